"""Hugging Face datasets on disk: the folder beside this file was written by `datasets` 5.2.0, `save_to_disk(num_shards=2)`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.huggingface import HuggingFace
from raypipe.data.source.piece import NOTHING

WRITTEN = Path(__file__).parent / "huggingface"


@pytest.fixture
def project(tmp_path):
    shutil.copytree(WRITTEN, tmp_path / "reviews")
    return tmp_path


def new(source, project) -> Any:
    nothing: Any = None
    return source.new(Look("p", project, "p", "source", nothing, nothing), NOTHING)


def read(source, project):
    return pa.concat_tables([rows for piece in new(source, project).pieces for rows in source.batches(piece, {})])


def told(source, project):
    with pytest.raises(DataError) as error:
        read(source, project)
    return str(error.value)


def test_rows_are_as_they_were_stored(project):
    rows = read(HuggingFace("reviews"), project)
    assert [piece.name for piece in new(HuggingFace("reviews"), project).pieces] == [
        "reviews/data-00000-of-00002.arrow",
        "reviews/data-00001-of-00002.arrow",
    ]
    assert rows.column_names == ["text", "label", "v", "m"]
    assert rows["text"].to_pylist() == [f"row {i} ü" for i in range(7)]
    assert rows["label"].to_pylist() == [i % 2 for i in range(7)]
    assert rows.schema.field("v").type == pa.list_(pa.float32(), 2)
    assert rows["m"][3].as_py() == [[3, 3], [3, 3]]
    assert all(not field.metadata for field in rows.schema)
    assert read(HuggingFace("reviews", columns=["label"]), project).column_names == ["label"]


def test_a_dict_of_datasets(project):
    (project / "all").mkdir()
    (project / "all" / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    shutil.copytree(WRITTEN, project / "all" / "train")
    assert read(HuggingFace("all", split="train"), project).num_rows == 7
    assert told(HuggingFace("all"), project) == "all: is a dict of datasets, and none is named. Set split to one of: train, test."
    assert told(HuggingFace("all", split="trian"), project).endswith("'trian' is none of them. Did you mean 'train'?")
    assert "leave the setting split out" in told(HuggingFace("reviews", split="train"), project)


def test_a_folder_that_is_not_what_was_saved_is_told(project):
    folder = project / "reviews"
    (folder / "data-00000-of-00001.arrow").write_bytes((folder / "data-00000-of-00002.arrow").read_bytes())
    assert "reviews: state.json does not name data-00000-of-00001.arrow, which another save has left" in told(
        HuggingFace("reviews"), project
    )
    (folder / "data-00000-of-00001.arrow").rename(folder / "data-00001-of-00002.arrow")
    (folder / "data-00000-of-00002.arrow").unlink()
    assert "reviews: state.json names data-00000-of-00002.arrow, which is not there" in told(HuggingFace("reviews"), project)
    (folder / "state.json").write_text("{")
    assert told(HuggingFace("reviews"), project).startswith("reviews/state.json: is no JSON")
    (folder / "state.json").unlink()
    assert "reviews: has no state.json: no dataset that save_to_disk wrote" in told(HuggingFace("reviews"), project)


def test_a_shard_that_is_cut_off_is_told(project):
    assert told(HuggingFace("reviews", columns=["z"]), project).startswith("reviews/data-00000-of-00002.arrow: no column 'z'")
    path = project / "reviews" / "data-00000-of-00002.arrow"
    path.write_bytes(path.read_bytes()[:900])
    assert told(HuggingFace("reviews"), project).startswith("reviews/data-00000-of-00002.arrow: cannot be read as HuggingFace: ")


def test_from_an_object_store(s3):
    for path in WRITTEN.iterdir():
        url = s3(f"reviews/{path.name}", path.read_bytes())
    assert read(HuggingFace(url.rpartition("/")[0]), Path("/nowhere")).num_rows == 7
