"""Functions of the user's in a transform, in every form: the same for a row alone as in a batch, and what they must not do."""

import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, DataError
from raypipe.data.transform.chain import Chain, FittedChain
from raypipe.data.transform.function import Function
from raypipe.pipeline.options import Options

ROWS = pa.table(
    {
        "a": pa.array([1.5, None, float("nan"), -0.0]),
        "n": pa.array([1, 2, 3, 4], pa.int16()),
        "text": pa.array(["x", None, "", "ü"]).dictionary_encode(),
        "at": pa.array([0, 1, None, 3], pa.timestamp("s", "UTC")),
    }
)


def fitted(function: Any, form: str, rows: pa.Table = ROWS, **settings: Any) -> FittedChain:
    entry = Function("m.f", settings, function=function, form=form, returns=form)
    return Chain({"f": entry}).fit(rows.schema, lambda stage: [stage(rows)])


def numpy_(batch):
    return {**batch, "twice": batch["a"] * 2, "long": batch["n"] > 2}


def pandas_(frame):
    frame["twice"] = frame["a"] * 2
    return frame.assign(long=frame["n"] > 2)


def polars_(frame):
    import polars as pl

    return frame.with_columns(twice=pl.col("a") * 2, long=pl.col("n") > 2)


def arrow_(table):
    made = polars_(pa_to_polars(table)).to_arrow()
    return table.append_column("twice", made["twice"]).append_column("long", made["long"])


def pa_to_polars(table):
    import polars as pl

    return pl.from_arrow(table)


@pytest.mark.parametrize(
    ("form", "function"), [("arrow", arrow_), ("numpy", numpy_), ("pandas", pandas_), ("polars", polars_), ("lazy", polars_)]
)
def test_a_row_alone_gets_the_bits_of_a_batch(form: str, function: Any):
    chain = fitted(function, form)
    whole = chain.apply(ROWS)
    assert whole.schema.equals(pa.schema([*ROWS.schema, ("twice", pa.float64()), ("long", pa.bool_())]))
    assert repr(whole.select(ROWS.column_names).to_pydict()) == repr(ROWS.to_pydict())
    for row in range(ROWS.num_rows):
        assert repr(chain.apply(ROWS.slice(row, 1)).to_pylist()) == repr(whole.slice(row, 1).to_pylist())
    again = FittedChain.from_json(chain.to_json(), {"m.f": function})
    assert repr(again.apply(ROWS).to_pydict()) == repr(whole.to_pydict())


def test_a_function_that_gives_something_else_each_time():
    def dice(batch):
        return {**batch, "x": batch["n"] + random.random()}

    with pytest.raises(DataError, match=r"transform.f: function m.f is not deterministic: column 'x' of the same row was .* In row \d"):
        fitted(dice, "numpy")


def test_a_function_that_learns_from_other_rows():
    with pytest.raises(DataError, match=r"function m.f is not row-wise: column 'n' of a row alone is"):
        fitted(lambda frame: frame.assign(n=frame["n"] - frame["n"].mean()), "pandas")


def test_a_class_is_built_once_for_many_rows():
    built = []

    class Model:
        def __init__(self):
            built.append(self)

        def __call__(self, batch):
            return batch

    chain = fitted(Model, "numpy")
    built.clear()
    for row in range(4):
        chain.apply(ROWS.slice(row, 1))
    chain.apply(ROWS)
    assert len(built) <= 1


MINE = """\
import numpy as np, pandas as pd, polars as pl, pyarrow as pa

def inverse(frame: pd.DataFrame) -> pd.DataFrame:
    frame["inverse"] = [1 / n for n in frame["n"]]
    return frame

def odd(rows: list) -> list:
    return rows

def stream(rows: "pl.LazyFrame") -> pl.LazyFrame:
    return rows.with_columns(twice=pl.col("n") * 2)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "data").mkdir()
    for day in range(2):
        pq.write_table(pa.table({"n": range(1 + day * 100, 101 + day * 100)}), tmp_path / "data" / f"{day}.parquet")
    return tmp_path


def run(project: Path, function: str) -> Any:
    steps = {
        "parts": rp.Split(by="hash", key="n", table=rp.Ref("source")),
        "out": rp.Transform(entries={"f": {"_target_": f"mine.{function}"}}, table=rp.Ref("parts")),
    }
    pipeline = rp.Pipeline("p", source=rp.Parquet(path="data"), steps=steps, project_path=project)
    return rp.run(pipeline, options=Options(cluster=rp.Debug()))


def test_the_annotation_says_the_form(project: Path):
    result = run(project, "stream")
    assert result.exit_code == 0, result.error
    assert rp.table("p.out", project_path=project).to_arrow()["twice"].to_pylist()[:3] == [2, 4, 6]


@pytest.mark.parametrize("row", [7, 64, 93])
def test_the_row_it_raises_on_is_named_by_file_and_number(row: int, project: Path):
    values = list(range(101, 201))
    values[row - 1] = 0
    pq.write_table(pa.table({"n": values}), project / "data" / "1.parquet")
    result = run(project, "inverse")
    assert result.exit_code == 1
    told = (
        rf"out.*transform.f: function mine.inverse raised ZeroDivisionError: .* \(line 4 of mine.py: .*\). In row {row} of .*parquet: n=0"
    )
    assert re.search(told.removeprefix("out.*"), result.error), result.error


def test_another_annotation_is_refused_before_anything_runs(project: Path):
    with pytest.raises(
        ConfigError, match=r"f: function mine.odd takes list; in a transform it is one of: pa.Table, dict\[str, np.ndarray\]"
    ):
        run(project, "odd")
