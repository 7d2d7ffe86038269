"""Sort: a stable order of the whole table, whichever way it is made."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Columns
from raypipe.steps.sort import Sort


def rows(num_rows: int = 900) -> pa.Table:
    rng = np.random.default_rng(0)
    columns = {
        "x": pa.array([None if v < -1.5 else v for v in rng.choice([*rng.normal(size=40), np.nan, np.inf, -np.inf, 0.0, -0.0], num_rows)]),
        "text": pa.array([None if t == "-" else t for t in rng.choice(["b", "a", "Z", "ß", "", "-"], num_rows)]).dictionary_encode(),
        "at": pa.array(rng.integers(-5, 5, num_rows), pa.timestamp("ns", "UTC")),
        "cents": pa.array([int(v) for v in rng.integers(0, 9, num_rows)], pa.decimal128(20, 2)),
        "flag": pa.array(rng.integers(0, 2, num_rows).astype(bool)),
        "half": pa.array(rng.normal(size=num_rows).astype(np.float16)),
        "bytes": [bytes([v]) for v in rng.integers(0, 256, num_rows)],
    }
    return pa.table({**columns, "row": range(num_rows), "tags": [[str(i)] for i in range(num_rows)]})


def in_parts(rows: pa.Table, num_rows: int = 250) -> list[pa.Table]:
    return [rows.slice(at, num_rows) for at in range(0, rows.num_rows, num_rows)]


def expected(given: pa.Table, by: list[tuple[str, bool, bool]]) -> list[int]:
    """The rows in order, by Python's stable sort, from the last key to the first."""
    places = list(range(given.num_rows))
    for name, descending, nulls_first in reversed(by):
        column = given[name].cast(pa.int64()).to_pylist() if name == "at" else given[name].to_pylist()
        column = [v.encode() if isinstance(v, str) else v for v in column]
        some = [i for i in places if column[i] is not None]
        some.sort(key=lambda i: (column[i] != column[i], 0 if column[i] != column[i] else column[i]), reverse=descending)
        none = [i for i in places if column[i] is None]
        places = none + some if nulls_first else some + none
    return places


@pytest.mark.parametrize(
    "by",
    [
        ["x"],
        ["x desc"],
        ["x desc nulls first"],
        ["text", "x desc"],
        ["text desc nulls first", "at"],
        ["at desc", "cents"],
        ["flag", "cents desc", "half"],
        ["bytes", "text"],
        ["flag"],
    ],
    ids=", ".join,
)
def test_rows_are_in_order_and_equal_ones_stay(bench, way, by):
    given = rows()
    table = bench.run(Sort(by), table=bench.table(*in_parts(given)))
    made = bench.read(table)
    asked = [(text.split()[0], "desc" in text, "nulls first" in text) for text in by]
    assert made["row"].to_pylist() == expected(given, asked)
    assert repr(made.slice(0, 9).to_pylist()) == repr(given.take(pa.array(expected(given, asked)[:9])).to_pylist())
    assert made.schema.equals(given.schema)
    assert (len(bench.fragments(table)) > 1) == (way == "dealt")


def test_ranges_are_of_about_one_size_even_where_all_values_are_equal(bench, dealt):
    given = pa.table({"x": [1] * 20_000, "row": range(20_000)})
    table = bench.run(Sort(["x"]), table=bench.table(*in_parts(given, 5000)))
    assert bench.read(table).equals(given)
    sizes = [fragment.num_rows for fragment in bench.fragments(table)]
    assert len(sizes) > 10
    assert max(sizes) < 2000


def test_no_rows(bench, way):
    made = bench.read(bench.run(Sort(["x"]), table=bench.table(rows().slice(0, 0))))
    assert made.num_rows == 0
    assert made.schema.equals(rows().schema)


def test_the_same_bits_on_any_number_of_processes(bench, dealt, ray_cluster):
    given = bench.table(*in_parts(rows()))
    here, there = (bench.run(Sort(["text", "x desc"]), inline=inline, table=given) for inline in (True, False))
    assert here.digest == there.digest


def test_a_column_without_an_order_is_refused(bench):
    with pytest.raises(DataError, match="column 'tags' is list<string>, which has no order"):
        bench.run(Sort(["tags"]), table=bench.table(rows()))


def test_everything_that_is_wrong_is_told_at_once():
    assert [str(p) for p in Sort(["x", "x desc", "tex"]).check("s", Columns(("x", "text")))] == [
        "s: by names 'x' twice",
        "s: by: there is no column 'tex'. Did you mean 'text'?",
    ]
    assert [str(p) for p in Sort([]).check("s")] == ["s: by is empty, expected at least one column"]
    assert [str(p) for p in Sort("x").check("s")] == ["s: by is the text 'x', expected a list: by: [x]"]  # type: ignore[arg-type]
