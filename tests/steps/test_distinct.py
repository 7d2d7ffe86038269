"""Distinct: one row of each that are equal, in the order of the table, whichever way they are found."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Columns, Ref
from raypipe.steps.aggregate import Aggregate
from raypipe.steps.distinct import Distinct
from raypipe.steps.join import Join
from raypipe.steps.window import Window


def readings(num_rows: int = 900) -> pa.Table:
    rng = np.random.default_rng(0)
    place = pa.array([None if p == "-" else p for p in rng.choice(["a", "ß", "-"], num_rows)]).dictionary_encode()
    size = pa.array(rng.choice([0.0, -0.0, np.nan, 1.0], num_rows))
    return pa.table({"place": place, "size": size, "at": rng.integers(0, 50, num_rows), "row": range(num_rows), "tags": [["x"]] * num_rows})


def in_parts(rows: pa.Table, num_rows: int = 250) -> list[pa.Table]:
    return [rows.slice(at, num_rows) for at in range(0, rows.num_rows, num_rows)]


def expected(rows: pa.Table, keep: str, by_time: bool) -> list[int]:
    """The rows that are kept, by a loop."""
    best: dict[str, tuple[int, int]] = {}
    for place, size, at, row in zip(*(rows[name].to_pylist() for name in ("place", "size", "at", "row")), strict=True):
        key, rank = f"{place} {size + 0.0}", (at if by_time else 0, row)
        better = key not in best or (rank < best[key] if keep == "first" else rank > best[key])
        best[key] = rank if better else best[key]
    return sorted(row for _, row in best.values())


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("order_by", [[], ["at"]])
def test_one_row_of_each_stays_in_its_place(bench, way, keep, order_by):
    rows = readings()
    table = bench.run(Distinct(["place", "size"], keep, order_by), table=bench.table(*in_parts(rows)))
    made = bench.read(table)
    assert made["row"].to_pylist() == expected(rows, keep, bool(order_by))
    assert repr(made.to_pylist()) == repr(rows.take(made["row"].combine_chunks()).to_pylist())
    assert table.figures["dropped"] == 900 - made.num_rows
    assert bench.lines == [f"{900 - made.num_rows:,} of 900 rows are there already and are dropped"]


def test_rows_that_are_equal_in_everything(bench, way):
    rows = readings().drop_columns(["row"])
    made = bench.read(bench.run(Distinct(), table=bench.table(*in_parts(rows))))
    text = [str({**row, "size": row["size"] + 0.0}) for row in rows.to_pylist()]
    assert made.num_rows == len(set(text))
    assert made.slice(0, 1).equals(rows.slice(0, 1))


def test_descending_with_missing_values_first(bench, way):
    rows = pa.table({"k": [1, 1, 1, 2, 2], "at": [5, None, 9, 3, 4]})
    made = bench.read(bench.run(Distinct(["k"], "first", ["at desc nulls first"]), table=bench.table(*in_parts(rows, 2))))
    assert made["at"].to_pylist() == [None, 4]
    made = bench.read(bench.run(Distinct(["k"], "last", ["at desc"]), table=bench.table(*in_parts(rows, 2))))
    assert made["at"].to_pylist() == [None, 3]


def test_no_rows(bench, way):
    made = bench.read(bench.run(Distinct(["place"]), table=bench.table(readings().slice(0, 0))))
    assert made.schema.equals(readings().schema)
    assert made.num_rows == 0


def test_a_key_of_nearly_all_rows_fits(bench, dealt):
    rows = pa.table({"k": [1] * 5000 + [2], "x": range(5001)})
    made = bench.run(Distinct(["k"], max_key_bytes=20_000), table=bench.table(*in_parts(rows)))
    assert bench.read(made)["x"].to_pylist() == [0, 5000]


def test_the_same_bits_on_any_number_of_processes(bench, dealt, ray_cluster):
    given = bench.table(*in_parts(readings()))
    here, there = (bench.run(Distinct(["at"], "last"), inline=inline, table=given) for inline in (True, False))
    assert here.digest == there.digest


def test_a_column_without_equality_is_refused(bench):
    rows = pa.table({"x": pa.array([1], pa.decimal256(50, 2))})
    with pytest.raises(DataError, match=r"column 'x' is decimal256\(50, 2\), which cannot be grouped"):
        bench.run(Distinct(), table=bench.table(rows))


def test_everything_that_is_wrong_is_told_at_once():
    step = Distinct(["plac"], "any", ["when desc", "at"])  # type: ignore[arg-type]
    assert [str(p) for p in step.check("d", Columns(("place", "at")))] == [
        "d.by: there is no column 'plac' in 'source'. Did you mean 'place'?",
        "d.keep: found 'any', expected first or last.",
        "d: order_by: there is no column 'when'. Valid: at, place.",
    ]


def test_a_bound_that_nothing_can_keep():
    steps = [
        Distinct(max_key_bytes=0),
        Aggregate(["a"], {"n": "count(*)"}, max_key_bytes=-1),
        Window({"n": "row_number() over ()"}, max_key_bytes=0),
    ]
    steps.append(Join(left=Ref("l"), right=Ref("r"), on="a", max_key_bytes=0))
    told = [str(problem) for step in steps for problem in step.check("s")]
    assert told == [f"s: max_key_bytes is {n}, expected a number of bytes above 0" for n in (0, -1, 0, 0)]
