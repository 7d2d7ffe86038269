"""Tables written from Python, and read again as a pipeline's input."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import raypipe
from raypipe.core.cluster import Debug
from raypipe.core.errors import DataError
from raypipe.pipeline.driver import Options
from raypipe.pipeline.run import RunResult

ROWS = pa.table({"id": [1, 2, 3], "word": ["a", "b", None]})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "raypipe.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ids(name: str) -> list[int]:
    return raypipe.table(name).to_arrow()["id"].to_pylist()


def test_append_upsert_replace_overwrite_delete(project: Path):
    assert raypipe.write("notes", ROWS).to_arrow().equals(ROWS)
    raypipe.write("notes", pl.DataFrame({"id": [4], "word": ["d"]}))
    assert ids("notes") == [1, 2, 3, 4]
    raypipe.write("notes", pa.table({"id": [2, 5], "word": ["B", "e"]}), "upsert", by=["id"])
    assert ids("notes") == [1, 3, 4, 2, 5]
    raypipe.write("notes", pa.table({"id": [6], "word": ["a"]}), "replace", by=["word"])
    assert ids("notes") == [3, 4, 2, 5, 6]
    raypipe.delete("notes", "id > 4")
    assert ids("notes") == [3, 4, 2]
    raypipe.write("notes", ROWS.to_pandas(), "overwrite")
    assert ids("notes") == [1, 2, 3]
    first = raypipe.sql('select count(*) as n from "notes@1"').to_pylist()
    assert first == [{"n": 3}]


def test_what_does_not_fit_is_refused_and_nothing_is_written(project: Path):
    raypipe.write("notes", ROWS)
    with pytest.raises(DataError, match="column 'id'"):
        raypipe.write("notes", pa.table({"id": ["x"], "word": ["y"]}))
    with pytest.raises(DataError, match="mode upsert needs `by`"):
        raypipe.write("notes", ROWS, "upsert")
    with pytest.raises(DataError, match="mode append has no use for `by`"):
        raypipe.write("notes", ROWS, by=["id"])
    with pytest.raises(DataError, match="rows are list, expected"):
        raypipe.write("notes", [1, 2])
    assert ids("notes") == [1, 2, 3]


def test_a_table_as_a_pipelines_input(project: Path):
    raypipe.write("notes", ROWS)

    options = Options(cluster=Debug())

    def run() -> RunResult:
        steps = {"notes": raypipe.FromTable("notes"), "copy": raypipe.Write("copied", table="notes")}
        done = raypipe.run(raypipe.Pipeline("p", steps=steps, project_path=project), options=options)
        assert done.state == "done", done.error
        return done

    run()
    assert ids("copied") == [1, 2, 3]
    assert {s.state for s in run().steps.values()} == {"HIT"}
    raypipe.write("notes", pa.table({"id": [4], "word": ["d"]}))
    run()
    assert ids("copied") == [1, 2, 3, 1, 2, 3, 4]
