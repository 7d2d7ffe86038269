"""Window: columns of each row's neighbours, equal to DuckDB's over the whole table; every row stays where it is."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Columns
from raypipe.data.split import rule
from raypipe.steps.window import Window

MAKE = {
    "last_3": "avg(x) over (rows between 3 preceding and 1 preceding)",
    "step": "x - lag(x) over ()",
    "place": "row_number() over ()",
    "rank": "rank() over ()",
    "so_far": "sum(n) over ()",
    "two_hours": "count(*) over (range between interval 2 hours preceding and current row)",
    "first": "first_value(n) over (rows unbounded preceding)",
}


def flights(num_rows: int = 900) -> pa.Table:
    rng = np.random.default_rng(0)
    at = pa.array(np.sort(rng.integers(0, 300, num_rows)) * 600_000_000, pa.timestamp("us", "America/New_York"))
    x = pa.array([None if v < -1.5 else float(v) for v in rng.normal(size=num_rows)])
    origin = pa.array([None if o == "-" else o for o in rng.choice(["JFK", "LGA", "-"], num_rows)]).dictionary_encode()
    return pa.table({"origin": origin, "at": at, "x": x, "n": rng.integers(0, 9, num_rows), "tags": [["a"]] * num_rows})


def in_parts(rows: pa.Table, num_rows: int = 250) -> list[pa.Table]:
    return [rows.slice(at, num_rows) for at in range(0, rows.num_rows, num_rows)]


def by_duckdb(rows: pa.Table, order: str = "at") -> pa.Table:
    """With the row's number as the last thing to order by, wherever ties would not be told apart."""
    told, equal = (f"over (partition by origin order by {o} nulls last" for o in (f"{order}, i", order))
    told, equal = (text.replace("by at", 'by "at"') for text in (told, equal))
    columns = {
        "last_3": f"avg(x) {told} rows between 3 preceding and 1 preceding)",
        "step": f"x - lag(x) {told})",
        "place": f"row_number() {told})",
        "rank": f"rank() {equal})",
        "so_far": f"(sum(n) {equal}))::bigint",
        "two_hours": f"count(*) {equal} range between interval 2 hours preceding and current row)",
        "first": f"first_value(n) {told} rows unbounded preceding)",
    }
    given = rows.select(["origin", "at", "x", "n"]).append_column("i", pa.array(range(rows.num_rows)))
    with duckdb.connect() as connection:
        selected = ", ".join(f"{sql} as {name}" for name, sql in columns.items())
        return connection.register("given", given).sql(f"select {selected} from given order by i").to_arrow_table()


@pytest.mark.parametrize("size", ["small", "dealt"])
@pytest.mark.parametrize("order", ["at", "at desc"])
def test_windows_are_those_of_the_whole_table(bench, request, size, order):
    if size == "dealt":
        request.getfixturevalue("dealt")
    rows = flights()
    table = bench.run(Window(MAKE, ["origin"], [order]), table=bench.table(*in_parts(rows)))
    made = bench.read(table)
    assert made.select(rows.column_names).equals(rows)
    expected = by_duckdb(rows, order)
    for name in MAKE:
        assert made.schema.field(name).type == expected.schema.field(name).type
        assert np.allclose(
            made[name].to_numpy().astype(float), expected[name].to_numpy().astype(float), rtol=1e-12, atol=1e-12, equal_nan=True
        )
    assert len(bench.fragments(table)) == (4 if size == "dealt" else 1)


def test_a_large_fragment_is_worked_on_in_pieces(bench, dealt, monkeypatch):
    from raypipe.data.shuffle import exchange

    whole = bench.read(bench.run(Window(MAKE, ["origin"], ["at"]), table=bench.table(*in_parts(flights()))))
    monkeypatch.setattr(exchange, "PIECE_ROWS", 100)
    table = bench.run(Window(MAKE, ["origin"], ["at"]), table=bench.table(flights()))
    assert bench.read(table).equals(whole)
    assert len(bench.fragments(table)) == 9


def test_without_a_partition_or_an_order(bench, dealt):
    rows = pa.table({"x": [3, 1, 2]})
    made = bench.run(Window({"before": "lag(x) over ()", "x": "sum(x) over ()"}), table=bench.table(rows.slice(0, 2), rows.slice(2)))
    assert bench.read(made).to_pylist() == [{"x": 6, "before": None}, {"x": 6, "before": 3}, {"x": 6, "before": 1}]


def test_no_rows(bench, dealt):
    made = bench.read(bench.run(Window(MAKE, ["origin"], ["at"]), table=bench.table(flights().slice(0, 0))))
    assert made.num_rows == 0
    assert made.column_names == [*flights().column_names, *MAKE]


def test_the_same_bits_on_any_number_of_processes(bench, dealt, ray_cluster):
    given = bench.table(*in_parts(flights()))
    here, there = (bench.run(Window(MAKE, ["origin"], ["at"]), inline=inline, table=given) for inline in (True, False))
    assert here.digest == there.digest


BY_TIME = rule("time", on="at", validation_from="1970-01-02", test_from="1970-01-03")
BACK = {
    "a": "avg(x) over (rows between 3 preceding and 1 preceding)",
    "b": "lag(x, 2) over ()",
    "c": "rank() over ()",
    "d": "sum(n) over ()",
}


@pytest.mark.parametrize(
    ("make", "order", "told"),
    [
        (BACK, ["at"], None),
        (BACK, ["at desc"], "later rows would feed earlier"),
        (BACK, [], "later rows would feed earlier"),
        ({"a": "avg(x) over (rows between 1 preceding and 1 following)"}, ["at"], "looks at rows that come later"),
        ({"a": "avg(x) over (rows between unbounded preceding and unbounded following)"}, ["at"], "looks at rows that come later"),
        ({"a": "lead(x) over ()"}, ["at"], "looks at rows that come later"),
        ({"a": "lag(x, -1) over ()"}, ["at"], "looks at rows that come later"),
        ({"a": "percent_rank() over ()"}, ["at"], "looks at rows that come later"),
        ({"at": 'lag("at") over ()'}, ["at"], "changes the column 'at'"),
    ],
)
def test_a_window_over_a_table_that_is_split_by_time_looks_back(bench, make, order, told):
    given, step = bench.table(flights(), split=BY_TIME), Window(make, ["origin"], order)
    if told is None:
        assert bench.run(step, table=given).schema["split"] == BY_TIME
        return
    with pytest.raises(DataError, match=told):
        bench.run(step, table=given)


def test_a_window_over_a_table_that_is_split_by_a_key_stays_within_it(bench):
    given = bench.table(flights(), split=rule("hash", key="n", validation=0.1, test=0.1))
    with pytest.raises(DataError, match="'n', which is not in `partition_by`"):
        bench.run(Window(BACK, ["origin"], ["at"]), table=given)
    assert bench.run(Window({"all": "avg(x) over ()"}, ["origin", "n"]), table=given).num_rows == 900


def test_marks_follow_what_is_read(bench):
    given = bench.table(flights(), known_afterwards=["x"])
    step = Window({"last": "lag(x) over ()", "place": "row_number() over ()"}, ["origin"], ["at"])
    assert bench.run(step, table=given).schema["known_afterwards"] == ["last", "x"]
    known = step.columns(Columns(("origin", "at", "x"), {}, frozenset({"x"})))
    assert known.names == ("origin", "at", "x", "last", "place")
    assert known.known_afterwards == {"last", "x"}


def test_everything_that_is_wrong_is_told_at_once():
    make = {"a": "avg(x)", "b": "x + 1", "c": "sum(x) over (partition by y)", "d": "sum(z) over ()", "e": "sum(", "f": "nope(x) over ()"}
    told = [str(p) for p in Window(make, ["orign"], ["att desc"]).check("w", Columns(("x", "y", "origin", "at")))]
    assert len(told) == 8
    assert "w: order_by: there is no column 'att'. Did you mean 'at'?" in told
    assert any("avg is over no window" in line for line in told)
    assert any("are the step's" in line for line in told)


def test_a_partition_that_does_not_fit_is_named(bench, dealt):
    rows = pa.table({"k": [1] * 450 + [2], "x": range(451)})
    with pytest.raises(DataError, match=r"\(450 rows\) with k = 1"):
        bench.run(Window({"m": "sum(x) over ()"}, ["k"], max_key_bytes=2000), table=bench.table(rows))
