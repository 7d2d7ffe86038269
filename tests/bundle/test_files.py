"""A folder that is no bundle, or not all of one, is refused by name."""

import json
from pathlib import Path

import pytest

from raypipe.bundle.files import describe, read_folder
from raypipe.core.errors import DataError, StoreError


def bundle(folder: Path) -> Path:
    contents = {"model.txt": b"tree", "signature.json": b"{}"}
    for name, data in {**contents, "bundle.json": describe(contents, {"format": "lightgbm", "lineage": {}, "environment": {}})}.items():
        (folder / name).write_bytes(data)
    return folder


def test_every_file_is_read_and_no_other(tmp_path: Path):
    (bundle(tmp_path) / "notes.txt").write_text("mine")
    assert read_folder(tmp_path).keys() == {"bundle.json", "model.txt", "signature.json"}


def test_a_changed_or_missing_file_is_refused(tmp_path: Path):
    (bundle(tmp_path) / "model.txt").write_bytes(b"tref")
    with pytest.raises(StoreError, match=r"model\.txt: its bytes are not those that bundle\.json names"):
        read_folder(tmp_path)
    (tmp_path / "model.txt").unlink()
    with pytest.raises(StoreError, match=r"model\.txt: not there"):
        read_folder(tmp_path)
    with pytest.raises(StoreError, match=r"bundle\.json: not there"):
        read_folder(tmp_path / "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bundle": 2}, "the bundle is of version 2; this raypipe reads up to 1"),
        ({"bundle": "1"}, "of version 1"),
        ({"files": [{"path": "../model.txt", "sha256": ""}]}, "a file outside its folder, '../model.txt'"),
        ({"files": [{"path": "model.txt"}]}, "not one that raypipe wrote"),
        ({"files": 3}, "not one that raypipe wrote"),
    ],
)
def test_a_description_that_cannot_be_read_is_refused(tmp_path: Path, change: dict, message: str):
    path = bundle(tmp_path) / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path)
