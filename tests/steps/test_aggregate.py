"""Aggregate: SQL aggregates of groups, equal to DuckDB's over the whole table, however the rows are dealt."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Columns
from raypipe.data.split import rule
from raypipe.steps.aggregate import Aggregate

MERGED = {
    "n": "count(*)",
    "num_delays": "count(delay)",
    "distance": "sum(distance)",
    "mean": "avg(delay)",
    "spread": "stddev(delay)",
    "longest": "max(distance) - min(distance)",
    "first": "first(distance)",
    "share_late": "count(*) filter (where delay > 1) / count(*)",
}
TOGETHER = {"median": "median(delay)", "places": "count(distinct distance)", "all": "list(distance)"}


def flights(num_rows: int = 900, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    delay = [None if x < -1 else float(x) for x in rng.normal(size=num_rows)]
    carrier = pa.array([None if c == "-" else c for c in rng.choice(["UA", "AA", "Zürich", "-"], num_rows)]).dictionary_encode()
    return pa.table({"carrier": carrier, "month": rng.integers(1, 13, num_rows), "delay": delay, "distance": rng.integers(0, 50, num_rows)})


def in_parts(rows: pa.Table, num_rows: int = 250) -> list[pa.Table]:
    return [rows.slice(at, num_rows) for at in range(0, rows.num_rows, num_rows)]


def by_duckdb(rows: pa.Table, columns: dict[str, str], where: str = "true") -> pa.Table:
    selected = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
    sql = f"select carrier, month, {selected} from rows where {where} group by carrier, month order by carrier nulls last, month"
    with duckdb.connect() as connection:
        return connection.register("rows", rows).sql(sql).to_arrow_table()


def same(made: pa.Table, expected: pa.Table) -> bool:
    """Row for row once sorted by key; floats to the last bits."""
    key = [("carrier", "ascending"), ("month", "ascending")]
    plain = made.set_column(0, "carrier", made["carrier"].cast(pa.string())).sort_by(key)
    expected = expected.sort_by(key)
    return all(_close(plain[name], expected[name]) for name in expected.column_names)


def _close(a: Any, b: Any) -> bool:
    if pa.types.is_floating(a.type):
        return np.allclose(a.to_numpy(), b.to_numpy(), rtol=1e-12, atol=1e-12, equal_nan=True)
    return a.to_pylist() == b.to_pylist()


@pytest.mark.parametrize("columns", [MERGED, TOGETHER], ids=["in halves", "together"])
def test_groups_of_a_small_table_are_ordered_by_key(bench, columns):
    rows = flights()
    made = bench.read(bench.run(Aggregate(["carrier", "month"], columns, "distance >= 5"), table=bench.table(*in_parts(rows))))
    assert made.schema.field("carrier").type == rows.schema.field("carrier").type
    expected = by_duckdb(rows, columns, "distance >= 5")
    assert made["month"].to_pylist() == expected["month"].to_pylist()
    assert same(made, expected)


@pytest.mark.parametrize("columns", [MERGED, TOGETHER], ids=["in halves", "together"])
def test_groups_of_a_large_table_are_the_same(bench, dealt, columns):
    rows = flights()
    table = bench.run(Aggregate(["carrier", "month"], columns), table=bench.table(*in_parts(rows)))
    assert len(bench.fragments(table)) > 1
    assert same(bench.read(table), by_duckdb(rows, columns))
    assert [path for path, *_ in bench.work.store.files() if "exchange" in path] == []


def test_rows_are_counted_and_nothing_else_is_left(bench, dealt):
    table = bench.run(Aggregate([], {"n": "count(*)", "total": "sum(distance)"}), table=bench.table(*in_parts(flights())))
    assert bench.read(table).to_pylist() == [{"n": 900, "total": sum(flights()["distance"].to_pylist())}]
    assert table.figures["read"] == 900
    assert table.figures["groups"] == 1


@pytest.mark.parametrize("columns", [MERGED, TOGETHER], ids=["in halves", "together"])
def test_no_rows_make_no_groups(bench, dealt, columns):
    table = bench.run(Aggregate(["carrier", "month"], columns), table=bench.table(flights().slice(0, 0)))
    made = bench.read(table)
    assert made.num_rows == 0
    assert made.column_names == ["carrier", "month", *columns]


def test_large_sums_of_integers_are_exact_or_refused(bench, dealt):
    half = 2**62
    made = bench.run(Aggregate(["k"], {"s": "sum(x)"}), table=bench.table(pa.table({"k": [1, 1], "x": [half, half - 1]})))
    assert bench.read(made)["s"].to_pylist() == [2**63 - 1]
    with pytest.raises(DataError, match="out of range"):
        bench.run(Aggregate(["k"], {"s": "sum(x)"}), table=bench.table(pa.table({"k": [1, 1], "x": [half, half]})))


def test_the_spread_of_large_numbers_does_not_cancel(bench, dealt):
    x = np.array([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16])
    parts = [pa.table({"k": [1], "x": x[i : i + 1]}) for i in range(4)]
    made = bench.read(bench.run(Aggregate(["k"], {"v": "var_samp(x)", "p": "var_pop(x)"}), table=bench.table(*parts)))
    assert made.to_pylist() == [{"k": 1, "v": 30.0, "p": 22.5}]


def test_types_of_keys_come_back_as_they_were(bench, dealt):
    keys = {
        "zoned": pa.array([0, 1, None], pa.timestamp("ns", "Europe/Berlin")),
        "day": pa.array([0, 86_400_000, None], pa.date64()),
        "cents": pa.array([1, 2, None], pa.decimal128(38, 2)),
        "half": pa.array(np.array([0.5, -0.0, np.nan], np.float16)),
        "long": pa.array([1, 2, None], pa.duration("us")),
        "text": pa.array(["a", "ß", None], pa.large_string()),
        "kind": pa.array([3, 4, None], pa.int16()).dictionary_encode(),
    }
    rows = pa.table(keys)
    made = bench.read(bench.run(Aggregate(list(keys), {"n": "count(*)"}), table=bench.table(rows, rows)))
    assert made.drop_columns(["n"]).schema.types == rows.schema.types
    assert made["n"].to_pylist() == [2, 2, 2]
    assert sorted(map(str, made["text"].to_pylist())) == ["None", "a", "ß"]


@pytest.mark.parametrize("columns", [MERGED, TOGETHER], ids=["in halves", "together"])
def test_the_same_bits_on_any_number_of_processes(bench, dealt, ray_cluster, columns):
    given = bench.table(*in_parts(flights()))
    here, there = (bench.run(Aggregate(["month"], columns), inline=inline, table=given) for inline in (True, False))
    assert here.digest == there.digest


def test_a_key_whose_rows_do_not_fit_is_named(bench, dealt):
    rows = pa.table({"k": ["often"] * 900 + ["once"], "x": [*range(901)]})
    with pytest.raises(DataError, match=r"k = 'often'.*max_key_bytes"):
        bench.run(Aggregate(["k"], {"m": "median(x)"}, max_key_bytes=2000), table=bench.table(rows))
    assert bench.run(Aggregate(["k"], {"m": "avg(x)"}, max_key_bytes=2000), table=bench.table(rows)).num_rows == 2


def test_a_table_that_is_split_is_not_mixed(bench):
    split = rule("hash", key="month", validation=0.1, test=0.1)
    given = bench.table(flights(), split=split)
    with pytest.raises(DataError, match="split by 'month', which is not among `by`"):
        bench.run(Aggregate(["carrier"], {"n": "count(*)"}), table=given)
    assert bench.run(Aggregate(["month"], {"n": "count(*)"}), table=given).schema["split"] == split


def test_marks_follow_what_is_counted(bench):
    given = bench.table(flights(), known_afterwards=["delay"])
    step = Aggregate(["month"], {"n": "count(*)", "late": "avg(delay)"})
    assert bench.run(step, table=given).schema["known_afterwards"] == ["late"]
    known = Columns(("month", "delay"), {"month": "int64"}, frozenset({"delay"}))
    assert step.columns(known) == Columns(("month", "n", "late"), {"month": "int64"}, frozenset({"late"}))
    chosen = Aggregate(["month"], {"n": "count(*)"}, where="delay > 0")
    assert chosen.columns(known).known_afterwards == {"n"}
    assert bench.run(chosen, table=given).schema["known_afterwards"] == ["n"]


def test_everything_that_is_wrong_is_told_at_once():
    step = Aggregate(["carier"], {"a": "sum(", "b": "avg(dela)", "carier": "count(*)", "c": "random()", "d": "middle(delay)"}, "x +")
    told = [str(p) for p in step.check("delays", Columns(("carrier", "delay")))]
    assert len(told) == 7
    assert "delays.by: there is no column 'carier' in 'source'. Did you mean 'carrier'?" in told
    assert "delays.make.b: 'avg(dela)': there is no column 'dela'. Did you mean 'delay'?" in told
    assert any("no function middle()" in line for line in told)
    assert any("another value at each call" in line for line in told)
    assert step.columns(Columns(("carrier", "delay"))).names == ("carier", "a", "b", "carier", "c", "d")


def test_an_expression_that_is_no_aggregate_is_refused(bench):
    with pytest.raises(DataError, match=r"x: 'delay': column 'delay' has many values in a group"):
        bench.run(Aggregate(["month"], {"x": "delay"}), table=bench.table(flights()))


def test_a_column_with_many_values_in_a_group_is_refused_before_anything_runs():
    make = {"a": "age", "b": "sum(age) / months", "c": "max(age) + len(plan)", "d": "list(age order by months)"}
    found = Aggregate(["plan"], make).check("by_plan", Columns(("plan", "age", "months")))
    assert [(p.where, p.what) for p in found] == [
        ("by_plan.make.a", "'age': column 'age' has many values in a group: aggregate it (max(age)), or put it into `by`"),
        (
            "by_plan.make.b",
            "'sum(age) / months': column 'months' has many values in a group: aggregate it (max(months)), or put it into `by`",
        ),
    ]
