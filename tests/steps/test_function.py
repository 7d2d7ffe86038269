"""A plain function as a step: tables in every form, streams, Datasets of Ray's, and what such a function must not do."""

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raypipe as rp
from raypipe.cli.main import main
from raypipe.core.errors import ConfigError, DataError
from raypipe.pipeline.options import Options

MINE = """\
from __future__ import annotations
from collections.abc import Iterator
from typing import TYPE_CHECKING
import random
import sys
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import ray.data
if TYPE_CHECKING:
    from raypipe import Table

FACTOR = 10

def older(rows: pa.Table, than: int = 50) -> pa.Table:
    return rows.filter(pa.array([n > than for n in rows["n"].to_pylist()]))

def joined(rows: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    return rows.join(names, on="n", how="inner").sort("n")

def totals(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby("kind", as_index=False).agg(total=("n", "sum"))

def grouped(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby("kind").agg(total=("n", "sum"))

def lazily(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("n") < 3)

def mean(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"mean": np.array([rows["n"].mean()])}

def running(rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
    total = 0
    for piece in rows:
        values = []
        for n in piece["n"].to_pylist():
            total += n
            values.append(total)
        yield piece.append_column("total", pa.array(values, pa.int64()))

def counted(rows: Iterator[pl.DataFrame]) -> pa.Table:
    return pa.table({"rows": [sum(piece.height for piece in rows)]})

def nothing(rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield from ()

def uneven(rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
    for i, piece in enumerate(rows):
        yield piece if i == 0 else piece.drop_columns(["kind"])

def halts(rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
    for i, piece in enumerate(rows):
        if i == 1:
            raise KeyError("no such kind")
        yield piece

def leaves(rows: pa.Table) -> pa.Table:
    sys.exit(5)

def no_stream(rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
    return pa.table({"n": [1]})

def wrong(rows: pa.Table) -> pd.DataFrame:
    return rows

def odd(rows: Table) -> pa.Table:
    return rows

def spread(rows: ray.data.Dataset) -> pa.Table:
    return rows

class Scale:
    def __init__(self, by: int):
        self.by = by

    def __call__(self, batch):
        return {**batch, "scaled": batch["n"] * self.by * FACTOR, "vector": np.ones((len(batch["n"]), 3), np.float32),
                "image": np.zeros((len(batch["n"]), 2, 2), np.uint8)}

def scaled(rows: ray.data.Dataset, by: int) -> ray.data.Dataset:
    return rows.map_batches(Scale, fn_constructor_args=(by,), compute=ray.data.ActorPoolStrategy(size=2), batch_size=7)

def filtered(rows: ray.data.Dataset) -> ray.data.Dataset:
    return rows.map_batches(lambda t: t.filter(pa.array([n % 2 == 0 for n in t["n"].to_pylist()])), batch_format="pyarrow")

def empty(rows: ray.data.Dataset) -> ray.data.Dataset:
    return rows.map_batches(lambda batch: batch.slice(0, 0), batch_format="pyarrow")

def failing(batch):
    if 17 in batch["n"]:
        raise ZeroDivisionError("seventeen")
    return batch

def fails(rows: ray.data.Dataset) -> ray.data.Dataset:
    return rows.map_batches(failing)

def retyped(rows: ray.data.Dataset) -> ray.data.Dataset:
    def change(t):
        return t.append_column("x", pa.array([1 if t["n"][0].as_py() == 0 else "a"] * t.num_rows))
    return rows.map_batches(change, batch_format="pyarrow")

def objects(rows: ray.data.Dataset) -> ray.data.Dataset:
    return rows.map_batches(lambda b: {"x": np.array([random.Random() for _ in b["n"]], object)})

def no_dataset(rows: ray.data.Dataset) -> ray.data.Dataset:
    return rows.count()

def looked_up(rows: ray.data.Dataset, names: pl.DataFrame) -> ray.data.Dataset:
    known = dict(names.iter_rows())
    return rows.map(lambda row: {**row, "name": known.get(row["n"])})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    for folder in ("data", "names"):
        (tmp_path / folder).mkdir()
    for day in range(3):
        rows = pa.table({"n": range(day * 10, day * 10 + 10), "kind": ["a", "b"] * 5})
        pq.write_table(rows, tmp_path / "data" / f"day-{day}.parquet")
    pq.write_table(pa.table({"n": [3, 4], "name": ["three", "four"]}), tmp_path / "names" / "names.parquet")
    return tmp_path


def run(project: Path, function: str, cluster: Any = None, **settings: Any) -> Any:
    steps = {
        "names": rp.Ingest(source=rp.Parquet(path="names")),
        "out": {"_target_": f"mine.{function}", "rows": "source", **settings},
    }
    pipeline = rp.Pipeline("p", source=rp.Parquet(path="data"), steps=steps, project_path=project)
    return rp.run(pipeline, options=Options(cluster=cluster or rp.Debug()))


def made(project: Path) -> pa.Table:
    return rp.table("p.out", project_path=project).to_arrow()


WHOLE = [
    ("older", {"than": 27}, {"n": [28, 29], "kind": ["a", "b"]}),
    ("joined", {"names": "names"}, {"n": [3, 4], "kind": ["b", "a"], "name": ["three", "four"]}),
    ("totals", {}, {"kind": ["a", "b"], "total": [210, 225]}),
    ("lazily", {}, {"n": [0, 1, 2], "kind": ["a", "b", "a"]}),
    ("counted", {}, {"rows": [30]}),
]


@pytest.mark.parametrize(("function", "settings", "expected"), WHOLE)
def test_tables_in_every_form(function: str, settings: dict[str, Any], expected: Any, project: Path):
    result = run(project, function, **settings)
    assert result.exit_code == 0, result.error
    assert made(project).to_pydict() == expected
    assert result["out"].figures["rows_in"]["rows"] == 30


def test_types_stay_where_the_library_has_them(project: Path):
    run(project, "joined", names="names")
    assert made(project).schema.types == [pa.int64(), pa.string(), pa.string()]


def test_text_that_numpy_needs_no_column_of(project: Path):
    result = run(project, "mean")
    assert result.exit_code == 0, result.error
    assert made(project).to_pydict() == {"mean": [14.5]}


def test_a_stream_in_order_and_in_pieces(project: Path, monkeypatch: pytest.MonkeyPatch):
    from raypipe.data.function import whole

    monkeypatch.setattr(whole, "FRAGMENT_ROWS", 8)
    result = run(project, "running")
    assert result.exit_code == 0, result.error
    rows = made(project)
    assert rows["n"].to_pylist() == list(range(30))
    assert rows["total"].to_pylist()[-1] == 435
    assert result["out"].figures["num_fragments"] == 4


BAD = [
    ("grouped", r"function mine.grouped returned a frame with an index named 'kind', which no table has: put .reset_index\(\) behind it"),
    ("nothing", r"function mine.nothing gave no table at all: give at least an empty one"),
    (
        "uneven",
        r"function mine.uneven gave other columns in piece 2 \(from row 11 of what it gave\) than in those before: 'kind' .* missing",
    ),
    (
        "halts",
        r"function mine.halts raised KeyError: 'no such kind' \(line \d+ of mine.py: raise KeyError.*\). In rows 1 to 10 of .*parquet",
    ),
    ("leaves", r"function mine.leaves raised SystemExit: 5 \(line \d+ of mine.py: sys.exit\(5\)\)"),
    ("no_stream", r"function mine.no_stream returned Table, expected Iterator\[pa.Table\]: `yield` each piece"),
    ("wrong", r"function mine.wrong returned Table, expected a pandas.DataFrame"),
    ("filtered", r"mine.filtered is a function of Datasets of Ray's, and cluster=debug has no Ray: use cluster=local"),
]


@pytest.mark.parametrize(("function", "text"), BAD)
def test_bad_functions_are_told_and_leave_nothing(function: str, text: str, project: Path):
    result = run(project, function)
    assert result.exit_code == 1
    assert re.search(text, result.error), result.error
    with pytest.raises(DataError, match="there is no table"):
        made(project)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            "odd",
            r"out.rows: mine.odd takes 'rows' as raypipe.core.artifact.Table; a function that is a step takes and returns one of: pa.Table",
        ),
        ("spread", r"mine.spread takes a ray.data.Dataset and returns pa.Table: return the Dataset, which is written by tasks"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(function: str, text: str, project: Path):
    with pytest.raises(ConfigError, match=text):
        run(project, function)


def test_a_table_that_a_function_needs_and_is_not_given(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(MINE)
    assert main(["check", "+steps.old={_target_: mine.older}"]) == 2
    assert "rows" in capsys.readouterr().err


def test_datasets(project: Path, ray_cluster: None):
    result = run(project, "scaled", rp.Local(), by=2)
    assert result.exit_code == 0, result.error
    rows = made(project)
    assert rows["scaled"].to_pylist() == [n * 20 for n in range(30)], "rows keep their order"
    assert rows.schema.field("vector").type == pa.list_(pa.float32(), 3)
    assert rows.schema.field("image").type == pa.fixed_shape_tensor(pa.uint8(), [2, 2])
    assert (result["out"].figures["rows_in"], result["out"].figures["num_rows"]) == ({"rows": 30}, 30)
    run(project, "filtered", rp.Local())
    assert made(project)["n"].to_pylist() == list(range(0, 30, 2))
    run(project, "looked_up", rp.Local(), names="names")
    assert made(project).column("name").to_pylist()[:5] == [None, None, None, "three", "four"]
    result = run(project, "empty", rp.Local())
    assert result.exit_code == 0, result.error
    assert (made(project).num_rows, made(project).column_names) == (0, ["n", "kind"])


BAD_DATASETS = [
    ("fails", r"function mine.fails raised ZeroDivisionError: seventeen \(line \d+ of mine.py: raise ZeroDivisionError\(\"seventeen\"\)\)"),
    (
        "retyped",
        r"mine.retyped returned other columns for block .*its first row: n=10.* than for block .*first row: n=0.*'x' int64 and string",
    ),
    ("objects", r"the Dataset's column 'x' holds Python's objects, which no table can hold"),
    ("no_dataset", r"function mine.no_dataset returned int, expected a ray.data.Dataset"),
]


@pytest.mark.parametrize(("function", "text"), BAD_DATASETS)
def test_bad_functions_of_datasets(function: str, text: str, project: Path, ray_cluster: None):
    result = run(project, function, rp.Local())
    assert result.exit_code == 1
    assert re.search(text, result.error), result.error
    with pytest.raises(DataError, match="there is no table"):
        made(project)
