"""MapBatches: a function over a table batch by batch, what it may give back, and what an append costs."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, DataError
from raypipe.pipeline.build import component
from raypipe.pipeline.options import Options

MINE = """\
import numpy as np, pandas as pd, polars as pl, pyarrow as pa, pyarrow.compute as pc

def speed(rows: pl.DataFrame, unit: float = 1.0) -> pl.DataFrame:
    return rows.with_columns(speed=pl.col("distance") / pl.col("hours") * unit)

def fast(rows: pd.DataFrame, above: float) -> pd.DataFrame:
    return rows[rows["distance"] > above]

def arrays(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    assert set(batch) == {"distance"}, batch
    return {"double": batch["distance"] * 2}

class Model:
    def __init__(self, by: int):
        self.by = by
        print('built')

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**batch, "scored": batch["distance"] + self.by}

def shorter(rows: pa.Table) -> pa.Table:
    return rows.slice(1)

def wild(rows: pa.Table) -> pa.Table:
    return rows.append_column("x", pa.array(["a" if v == 7 else 1 for v in [rows["distance"][0].as_py()]] * rows.num_rows))

def seldom(rows: pd.DataFrame) -> pd.DataFrame:
    rows["x"] = [1 / (d - 17) for d in rows["distance"]]
    return rows

def nulls(rows: pa.Table) -> pa.Table:
    values = [None if d < 20 else d for d in rows["distance"].to_pylist()]
    return rows.append_column("x", pa.array(values))

def dice(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    print("rolling"); print("again")
    return {**batch, "x": np.random.default_rng().random(len(batch["distance"]))}

def mutates(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    batch["hours"] *= 60
    return batch

class Broken:
    def __init__(self, path: str):
        raise FileNotFoundError(path)

    def __call__(self, rows: pa.Table) -> pa.Table:
        return rows

def odd(rows: list[dict]) -> list[dict]:
    return rows
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(textwrap.dedent(MINE))
    (tmp_path / "data").mkdir()
    for day in range(3):
        write(tmp_path, day)
    return tmp_path


def write(project: Path, day: int, num_rows: int = 10) -> None:
    start = day * 10
    rows = pa.table({"distance": pa.array(range(start, start + num_rows), pa.int64()), "hours": pa.array([0.5] * num_rows, pa.float64())})
    pq.write_table(rows, project / "data" / f"day-{day}.parquet")


def run(project: Path, function: str, cluster: Any = None, **settings: Any) -> Any:
    named = {k: settings.pop(k) for k in list(settings) if k in ("by", "unit", "above", "path", "wrong")}
    step = {"_target_": "raypipe.MapBatches", "function": {"_target_": f"mine.{function}", **named}, **settings}
    pipeline = rp.Pipeline("p", source=rp.Parquet(path="data"), steps={"out": step}, project_path=project)
    lines: list[str] = []
    options = Options(cluster=cluster or rp.Debug(), on_event=lambda event: lines.append(event.why) if event.what == "progress" else None)
    result = rp.run(pipeline, options=options)
    return result, lines


def made(project: Path) -> pa.Table:
    return rp.table("p.out", project_path=project).to_arrow()


def test_a_fragment_for_a_fragment(project: Path):
    result, _ = run(project, "speed", unit=2.0)
    assert result.exit_code == 0, result.error
    rows = made(project)
    assert rows.column_names == ["distance", "hours", "speed"]
    assert rows["speed"].to_pylist() == [d * 4.0 for d in range(30)]
    figures = result["out"].figures
    assert (figures["num_fragments"], figures["rows_in"], figures["num_rows"], figures["deterministic"]) == (3, 30, 30, True)


def test_after_an_append_only_what_is_new_is_computed(project: Path):
    run(project, "speed")
    write(project, 3)
    result, lines = run(project, "speed")
    assert any("1 of 4 fragments are new: 25.0 % of the rows computed" in line for line in lines)
    assert result["out"].figures["rows_computed"] == 10
    assert made(project)["distance"].to_pylist() == list(range(40))


def test_rows_may_go_where_that_is_said(project: Path):
    result, _ = run(project, "fast", above=14, rows="any")
    assert made(project)["distance"].to_pylist() == list(range(15, 30))
    assert result["out"].figures["rows_in"] == 30
    assert made(project).schema.types == [pa.int64(), pa.float64()]


def test_the_columns_that_it_does_not_take_go_round(project: Path):
    run(project, "arrays", takes=["distance"], batch_rows=4)
    rows = made(project)
    assert rows.column_names == ["distance", "hours", "double"]
    assert rows["double"].to_pylist() == [2 * d for d in range(30)]


def test_only_the_columns_that_it_takes_are_read_where_rows_may_go(project: Path):
    run(project, "arrays", takes=["distance"], rows="any")
    assert made(project).column_names == ["double"]


def test_a_class_is_built_once(project: Path, capsys: pytest.CaptureFixture[str]):
    run(project, "Model", by=3, batch_rows=5)
    assert made(project)["scored"].to_pylist() == [d + 3 for d in range(30)]
    assert capsys.readouterr().out.count("built") == 1


def test_a_batch_of_nulls_yields_to_the_others(project: Path):
    run(project, "nulls", batch_rows=3)
    rows = made(project)
    assert rows.schema.field("x").type == pa.int64()
    assert rows["x"].to_pylist() == [None] * 20 + list(range(20, 30))


def test_a_fragment_of_no_rows(project: Path):
    write(project, 0, num_rows=0)
    run(project, "speed")
    assert made(project)["distance"].to_pylist() == list(range(10, 30))


def test_a_table_of_no_rows(project: Path):
    first = {"_target_": "raypipe.MapBatches", "function": {"_target_": "mine.fast", "above": 1000}, "rows": "any"}
    steps = {"none": first, "out": {"_target_": "raypipe.MapBatches", "function": {"_target_": "mine.speed"}, "table": "none"}}
    pipeline = rp.Pipeline("p", source=rp.Parquet(path="data"), steps=steps, project_path=project)
    result = rp.run(pipeline, options=Options(cluster=rp.Debug()))
    assert result.exit_code == 0, result.error
    assert made(project).schema.names == ["distance", "hours", "speed"]
    assert made(project).num_rows == 0


BAD = [
    (
        "shorter",
        {},
        r"function mine.shorter returned 9 rows for 10: say `rows: any` where it may drop or add rows. In rows 1 to 10 of .*parquet",
    ),
    ("shorter", {"batch_rows": 4}, r"returned 3 rows for 4: .* In rows 1 to 4 of"),
    ("wild", {"batch_rows": 7}, r"function mine.wild returned other columns for one batch of .*: 'x' int64 and string"),
    (
        "seldom",
        {},
        r"function mine.seldom raised ZeroDivisionError: .* \(line \d+ of mine.py: .*1 / .*\). In row 8 of .*: distance=17, hours=0.5",
    ),
    ("seldom", {"batch_rows": 3}, r"In row 8 of .*: distance=17, hours=0.5"),
    ("mutates", {}, r"function mine.mutates raised ValueError: .*read-only.* \(line \d+ of mine.py: batch\[\"hours\"\] \*= 60\).*copy"),
    (
        "Broken",
        {"path": "w.bin"},
        r"the constructor of class mine.Broken \(path='w.bin'\) raised FileNotFoundError: w.bin \(line \d+ of mine.py",
    ),
]


@pytest.mark.parametrize(("function", "settings", "text"), BAD)
def test_bad_functions_are_told_and_leave_nothing(function: str, settings: dict[str, Any], text: str, project: Path):
    result, _ = run(project, function, **settings)
    assert result.exit_code == 1
    assert re.search(text, result.error), result.error
    with pytest.raises(DataError, match="there is no table"):
        made(project)


def test_plan_explains_it(project: Path):
    from raypipe.pipeline.explain import explained
    from raypipe.pipeline.plan import open_scene

    step = {"_target_": "raypipe.MapBatches", "function": {"_target_": "mine.arrays"}, "takes": ["distance"]}
    pipeline = rp.Pipeline("p", source=rp.Parquet(path="data"), steps={"out": step}, project_path=project)
    (only,) = explained(pipeline, open_scene(project))["out"].passes
    called = only.parts[1]
    assert (called.engine, called.cuts, called.what) == ("Python", True, "mine.arrays")
    assert called.detail == "gets distance as dict[str, np.ndarray], gives dict[str, np.ndarray]"


def test_what_is_wrong_is_told_before_anything_runs(project: Path):
    with pytest.raises(
        ConfigError, match=r"out.function: mine.odd takes list\[dict\]; here that is one of: pa.Table, dict\[str, np.ndarray\]"
    ):
        run(project, "odd")
    with pytest.raises(ConfigError, match=r"out.function.wrong: unknown: mine.speed takes no 'wrong'"):
        run(project, "speed", wrong=1)
    with pytest.raises(ConfigError, match=r"out.function.above: missing: mine.fast needs 'above'"):
        run(project, "fast")
    with pytest.raises(ConfigError, match=r"out.batch_rows: found 0"):
        run(project, "speed", batch_rows=0)


def test_a_function_that_gives_something_else_each_time(project: Path):
    result, lines = run(project, "dice")
    assert any("mine.dice is not deterministic: for the same rows column 'x' of row 1 was" in line for line in lines)
    assert result["out"].figures["deterministic"] is False


def test_in_workers(project: Path, ray_cluster: None):
    result, lines = run(project, "dice", rp.Local())
    assert result.exit_code == 0, result.error
    assert "mine.dice printed 6 lines, the first: rolling" in lines
    result, _ = run(project, "Model", rp.Local(), by=3, concurrency=2)
    assert result.exit_code == 0, result.error
    assert made(project)["scored"].to_pylist() == [d + 3 for d in range(30)]
    result, _ = run(project, "Broken", rp.Local(), path="w.bin")
    assert "the constructor of class mine.Broken (path='w.bin') raised FileNotFoundError: w.bin" in result.error
    result, _ = run(project, "speed", rp.Local(), num_gpus=1)
    assert "a task of this step asks for 1 GPU, and the cluster has 0 in all" in result.error


def test_wrong_settings_are_told_at_their_place_before_anything_runs(tmp_path: Path):
    (tmp_path / "mine.py").write_text(MINE)
    function: Any = component({"_target_": "mine.speed", "unit": "x"}, [tmp_path])
    found = rp.MapBatches(function, num_cpus=-1, num_gpus=float("nan"), concurrency=0).check("steps.more")
    assert {p.where.removeprefix("steps.more."): p.what for p in found} == {
        "function.unit": "found 'x', expected a number.",
        "concurrency": "found 0, expected at least 1.",
        "num_cpus": "found -1, expected 0 or more.",
        "num_gpus": "found nan, expected 0 or more.",
    }
