"""Groups made in halves are those that DuckDB makes of all rows at once, however the rows are cut into pieces."""

from __future__ import annotations

import math
from functools import cache

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.data.shuffle.aggregate import Grouping, aggregated, grouping, merged, partial
from tests.data.shuffle.tables import pieces, plain, tables

MAKE = {
    "n": "count(*)",
    "values": "count(number)",
    "total": 'sum("count")',
    "cents": "sum(money)",
    "lowest": "min(money)",
    "latest": 'max("at")',
    "word": "max(text)",
    "all": "bool_and(flag)",
    "some": "bool_or(flag)",
    "first": "first(row)",
    "last": "last(row)",
    "any": 'any_value("count")',
    "few": "count(*) filter (where flag)",
    "mean": 'avg("count")',
    "price": "avg(money)",
    "spread": 'stddev_pop("count")',
    "ratio": 'sum("count") / count(*)',
    "bits": "bit_xor(row)",
}
FLOATS = ("mean", "price", "spread", "ratio")


@cache
def grouped(schema: pa.Schema, by: tuple[str, ...]) -> Grouping:
    """Made once: it asks DuckDB for the type of each expression."""
    asked = grouping(schema, by, MAKE)
    assert asked.halves is not None
    return asked


def quoted(name: str) -> str:
    return f'"{name}"'


@settings(max_examples=20)
@given(data=st.data())
def test_halves_make_the_whole(data):
    table = data.draw(tables())
    by = data.draw(st.sampled_from([(), ("text",), ("number",), ("money", "at"), ("flag", "text")]))
    asked = grouped(table.schema, by)
    made = merged(asked, pa.concat_tables([partial(asked, piece) for piece in data.draw(pieces(table))]))
    columns = ", ".join([*map(quoted, by), *(f"{sql} as {quoted(name)}" for name, sql in MAKE.items())])
    keys = ", ".join(map(quoted, by))
    with duckdb.connect(config={"threads": "1"}) as connection:
        connection.execute("set TimeZone='UTC'").fetchall()
        given_rows = connection.register("given_rows", table)
        rest = f"group by {keys} order by {', '.join(f'{k} nulls last' for k in map(quoted, by))}" if by else ""
        expected = given_rows.sql(f"select {columns} from given_rows {rest}").to_arrow_table()
    same(made, expected)
    same(aggregated(asked, table), expected)


def same(made: pa.Table, expected: pa.Table) -> None:
    assert made.column_names == expected.column_names
    for name in made.column_names:
        ours, theirs = ([plain(v) for v in t[name].to_pylist()] for t in (made, expected))
        if name in FLOATS:
            assert all(a == b or (a is not None and math.isclose(a, b, rel_tol=1e-12)) for a, b in zip(ours, theirs, strict=True)), name
        else:
            assert ours == theirs, name


def test_an_average_of_times_has_no_halves():
    schema = pa.schema([pa.field("k", pa.int64()), pa.field("at", pa.timestamp("us"))])
    assert grouping(schema, ["k"], {"middle": 'avg("at")'}).halves is None
    assert grouping(schema, ["k"], {"n": "count(distinct k)"}).halves is None
    assert grouping(schema, ["k"], {"latest": 'max("at")'}).halves is not None


def test_names_that_differ_in_case_alone():
    table = pa.table({"X": [1, 2], "x": [10, 20], "select": [1, 1], 'q"': [5, 6]})
    asked = grouping(table.schema, ["select"], {"a": "sum(X)", "b": "sum(x)", "c": 'sum("q""")'})
    assert aggregated(asked, table).to_pylist() == [{"select": 1, "a": 3, "b": 30, "c": 11}]
