"""Join: the rows of DuckDB's join over whole tables, in the order of the left one, whichever way the tables meet."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Columns
from raypipe.data.split import rule
from raypipe.steps.join import Join

WAYS = ["one task", "broadcast", "dealt"]
HOWS = ["inner", "left", "semi", "anti", "full"]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    from raypipe.data.shuffle import stages

    if request.param == "broadcast":
        monkeypatch.setattr(stages, "SMALL_BYTES", 9000)
    if request.param == "dealt":
        request.getfixturevalue("dealt")
    return request.param


def flights(num_rows: int = 900) -> pa.Table:
    rng = np.random.default_rng(0)
    origin = pa.array([None if o == "-" else o for o in rng.choice(["JFK", "LGA", "EWR", "Zürich", "-"], num_rows)]).dictionary_encode()
    return pa.table({"flight": range(num_rows), "origin": origin, "hour": rng.integers(0, 24, num_rows).astype(np.int32)})


def weather() -> pa.Table:
    """Two readings for some hours, none for others, one without an origin."""
    rng = np.random.default_rng(1)
    origin = [None if o == "-" else o for o in rng.choice(["JFK", "LGA", "EWR", "Oslo", "-"], 100)]
    wind = pa.array(rng.normal(size=100).astype(np.float16))
    return pa.table(
        {"origin": origin, "hour": rng.integers(0, 30, 100), "wind": wind, "notes": [[f"n{i}"] for i in range(100)], "w": range(100)}
    )


def in_parts(rows: pa.Table, num_rows: int = 250) -> list[pa.Table]:
    return [rows.slice(at, num_rows) for at in range(0, rows.num_rows, num_rows)]


def by_duckdb(left: pa.Table, right: pa.Table, how: str) -> list[tuple[Any, ...]]:
    """Numbers of the matching rows, left and right, those of the right alone behind."""
    on = "l.origin = r.origin and l.hour = r.hour"
    kind = {"semi": "semi", "anti": "anti"}.get(how, f"{how} outer" if how != "inner" else "inner")
    columns = "l.flight" if how in ("semi", "anti") else "l.flight, r.w"
    with duckdb.connect() as connection:
        found = connection.register("l", left).sql("select 1") and connection.register("r", right.drop_columns(["wind"]))
        assert found is not None
        return connection.sql(f"select {columns} from l {kind} join r on {on} order by all nulls last").fetchall()


@pytest.mark.parametrize("how", HOWS)
def test_the_rows_are_those_of_a_join_of_the_whole_tables(bench, way, how):
    left, right = flights(), weather()
    if how == "full":
        left = left.set_column(2, "hour", left["hour"].cast(pa.int64()))
        left = left.set_column(1, "origin", left["origin"].cast(pa.string()))
    table = bench.run(Join(["origin", "hour"], how=how), left=bench.table(*in_parts(left)), right=bench.table(*in_parts(right, 40)))
    made, expected = bench.read(table), by_duckdb(left, right, how)
    assert made.schema.types[:3] == left.schema.types
    if how in ("semi", "anti"):
        assert made.column_names == left.column_names
        assert made["flight"].to_pylist() == [row[0] for row in expected]
        return
    assert made.schema.types[3:] == [pa.float16(), pa.list_(pa.string()), pa.int64()]
    pairs = list(zip(made["flight"].to_pylist(), made["w"].to_pylist(), strict=True))
    num_left = sum(row[0] is not None for row in expected)
    assert pairs[:num_left] == expected[:num_left]
    assert sorted(w for _, w in pairs[num_left:]) == sorted(row[1] for row in expected[num_left:])
    taken = right.take(pa.array([w for _, w in pairs if w is not None]))
    assert made.filter(made["w"].is_valid()).select(["wind", "notes"]).equals(taken.select(["wind", "notes"]))
    if how == "full":
        alone = made.slice(num_left)
        assert alone.select(["origin", "hour"]).equals(right.take(alone["w"].combine_chunks()).select(["origin", "hour"]))


def test_which_way_is_told_and_what_matched(bench, way):
    table = bench.run(Join(["origin", "hour"]), left=bench.table(*in_parts(flights())), right=bench.table(weather()))
    expected = by_duckdb(flights(), weather(), "inner")
    matched = len({flight for flight, _ in expected})
    figures = {key: table.figures[key] for key in ("left", "right", "matched", "pairs")}
    assert figures == {"left": 900, "right": 100, "matched": matched, "pairs": len(expected)}
    assert f"{matched:,} of 900 rows match, {900 - matched:,} do not" in bench.lines
    assert any("of one row" in line for line in bench.lines)
    assert ("the right table goes to each fragment of the left" in bench.lines) == (way == "broadcast")
    assert ("both tables are dealt by key" in bench.lines) == (way == "dealt")
    assert [path for path, *_ in bench.work.store.files() if "exchange" in path] == []


@pytest.mark.parametrize(
    ("validate", "left", "right", "told"),
    [
        ("m:1", [1, 1, 2], [1, 2], None),
        ("m:1", [1, 1, 2], [1, 1, None], "the right table has 2 rows with k = 1, but validate is 'm:1'"),
        ("1:1", [1, 2, None, None], [2, 3], None),
        ("1:1", [1, 2, 2], [2, 3], "the left table has 2 rows with k = 2"),
        ("1:m", [1, 2], [2, 2], None),
        ("1:m", [7, 2, 7], [2, 2], "the left table has 2 rows with k = 7"),
        ("m:m", [2, 2], [2, 2], None),
    ],
)
def test_keys_that_are_there_more_often_than_was_said(bench, way, validate, left, right, told):
    tables = {
        "left": bench.table(*in_parts(pa.table({"k": left}), 1)),
        "right": bench.table(*in_parts(pa.table({"k": right, "x": right}), 1)),
    }
    if told is None:
        bench.run(Join("k", validate=validate), **tables)
        return
    with pytest.raises(DataError, match=told):
        bench.run(Join("k", validate=validate), **tables)


def test_missing_keys_match_nothing_and_nan_matches_nan(bench, way):
    left = pa.table({"k": [None, float("nan"), -0.0, 1.0]})
    right = pa.table({"k": [None, float("nan"), 0.0], "x": [1, 2, 3]})
    made = bench.run(Join("k"), left=bench.table(left), right=bench.table(right))
    assert bench.read(made)["x"].to_pylist() == [None, 2, 3, None]


def test_keys_of_other_widths_and_names(bench, way):
    left = pa.table({"a": pa.array([1, 2, 3], pa.int8()), "s": pa.array(["x", "y", "z"], pa.large_string())})
    right = pa.table({"b": pa.array([3, 1], pa.uint64()), "t": pa.array(["z", "x"]).dictionary_encode(), "s": [30, 10]})
    made = bench.run(Join({"a": "b", "s": "t"}, suffix="_right"), left=bench.table(left), right=bench.table(right))
    assert bench.read(made).to_pylist() == [
        {"a": 1, "s": "x", "s_right": 10},
        {"a": 2, "s": "y", "s_right": None},
        {"a": 3, "s": "z", "s_right": 30},
    ]


@pytest.mark.parametrize("empty", ["left", "right"])
@pytest.mark.parametrize("how", HOWS)
def test_an_empty_table(bench, dealt, how, empty):
    tables = {"left": pa.table({"k": [1, 2]}), "right": pa.table({"k": [2, 3], "x": ["b", "c"]})}
    tables[empty] = tables[empty].slice(0, 0)
    made = bench.read(bench.run(Join("k", how=how), **{name: bench.table(rows) for name, rows in tables.items()}))
    sides = (how in ("left", "anti", "full"), how == "full")
    assert made["k"].to_pylist() == (([1, 2] if sides[0] else []) if empty == "right" else ([2, 3] if sides[1] else []))


def test_a_key_of_most_rows_is_worked_on_apart(bench, dealt):
    left = pa.table({"k": [7] * 1800 + [8, 9], "n": range(1802)})
    right = pa.table({"k": [7, 8], "x": ["often", "once"]})
    made = bench.run(Join("k", validate="m:1", max_key_bytes=9000), left=bench.table(*in_parts(left)), right=bench.table(right))
    assert bench.read(made)["x"].to_pylist() == ["often"] * 1800 + ["once", None]
    with pytest.raises(DataError, match=r"with k = 7.*max_key_bytes"):
        bench.run(Join("k", how="full", max_key_bytes=9000), left=bench.table(*in_parts(left)), right=bench.table(right))


def test_too_many_matches_are_refused_before_they_are_made(bench, way):
    often = pa.table({"k": [1] * 8000})
    with pytest.raises(DataError, match=r"64,000,000 of them with k = 1"):
        bench.run(Join("k"), left=bench.table(often), right=bench.table(often.append_column("x", often["k"])))


def test_keys_that_cannot_be_compared_are_refused(bench):
    left = pa.table({"a": [1], "b": [1], "c": pa.array([1], pa.timestamp("us"))})
    right = pa.table({"a": ["1"], "b": [1.0], "c": pa.array([1], pa.timestamp("us", "UTC")), "x": [1]})
    with pytest.raises(DataError) as told:
        bench.run(Join(["a", "b", "c"]), left=bench.table(left), right=bench.table(right))
    assert len(str(told.value).splitlines()) == 3
    assert "'a' is int64 and 'a' is string" in str(told.value)


def test_the_same_bits_on_any_number_of_processes(bench, dealt, ray_cluster):
    tables = {"left": bench.table(*in_parts(flights())), "right": bench.table(*in_parts(weather(), 40))}
    here, there = (bench.run(Join(["origin", "hour"]), inline=inline, **tables) for inline in (True, False))
    assert here.digest == there.digest


def test_the_split_of_the_left_table_stays(bench):
    split = rule("hash", key="flight", validation=0.1, test=0.1)
    left, right = flights(), weather()
    made = bench.run(Join(["origin", "hour"]), left=bench.table(left, split=split, label="hour"), right=bench.table(right))
    assert made.schema["split"] == split
    assert made.schema["label"] == "hour"
    other = right.append_column("flight", right["w"])
    with pytest.raises(DataError, match="is split, and not by the rule of"):
        bench.run(Join("w"), left=bench.table(right), right=bench.table(other.select(["w", "flight"]), split=split))
    both = {"left": bench.table(left, split=split), "right": bench.table(other.select(["hour", "flight"]), split=split)}
    with pytest.raises(DataError, match="split by 'flight', which is not among `on`"):
        bench.run(Join("hour", suffix="_right"), **both)
    with pytest.raises(DataError, match="would lack 'flight'"):
        bench.run(Join("hour", how="full"), left=bench.table(left, split=split), right=bench.table(right.select(["hour", "w"])))


def test_marks_come_along_under_the_new_names(bench):
    left = bench.table(flights(), known_afterwards=["flight"])
    right = bench.table(weather().append_column("flight", weather()["w"]), known_afterwards=["wind", "flight"])
    step = Join(["origin", "hour"], suffix="_seen")
    assert bench.run(step, left=left, right=right).schema["known_afterwards"] == ["flight", "flight_seen", "wind"]
    known = step.columns(
        Columns(("flight", "origin", "hour"), {}, frozenset({"flight"})),
        Columns(("origin", "hour", "wind", "flight"), {"wind": "float32"}, frozenset({"wind", "flight"})),
    )
    assert known.names == ("flight", "origin", "hour", "wind", "flight_seen")
    assert known.known_afterwards == {"flight", "flight_seen", "wind"}
    assert known.types == {"wind": "float32"}
    by_marked = Join("flight").columns(Columns(("flight",), {}, frozenset({"flight"})), Columns(("flight", "x")))
    assert by_marked.known_afterwards == {"flight", "x"}


def test_everything_that_is_wrong_is_told_at_once():
    left, right = Columns(("k", "x", "y")), Columns(("k", "x", "z"))
    assert [str(p) for p in Join("k").check("j", left, right)] == [
        "j: both tables have a column 'x'; give a `suffix` for the right one's, or say what to `take`"
    ]
    assert Join("k", take=["z"]).check("j", left, right) == []
    assert Join("k", how="semi").check("j", left, right) == []
    wrong = Join(["kk", "y"], how="outer", validate="one", take=["zz"])  # type: ignore[arg-type]
    assert len(wrong.check("j", left, right)) == 2
    told = [str(p) for p in Join(["kk", "y"], take=["zz"]).check("j", left, right)]
    assert len(told) == 4
    assert "j.on: there is no column 'kk' in 'source'. Did you mean 'k'?" in told
