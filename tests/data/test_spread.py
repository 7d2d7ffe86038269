"""Parts of an expression that are the same for a whole batch: a row has the bits that it has alone."""

import struct

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.expression import Expression, parsed
from raypipe.data.spread import MARK, spread

SCHEMA = pa.schema(
    [
        ("a", pa.float64()),
        ("f", pa.float32()),
        ("i", pa.int32()),
        ("n", pa.int64()),
        ("k", pa.bool_()),
        ("s", pa.string()),
        ("t", pa.timestamp("us", "UTC")),
        ("d", pa.decimal128(12, 3)),
    ]
)


def table(*rows: dict) -> pa.Table:
    return pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | row for row in rows], schema=SCHEMA)


def bits(column: pa.ChunkedArray) -> list:
    return [struct.pack("<d", value) if isinstance(value, float) else value for value in column.to_pylist()]


@pytest.mark.parametrize(
    ("sql", "row", "other"),
    [
        ("coalesce(a, 0) - i", {"i": 0}, {"a": 2.0, "i": 1}),
        ("a / (case when k then 3 else 7 end)", {"a": 7.3, "k": False}, {"a": 1.0, "k": True}),
        ("a / coalesce(f, 49)", {"a": 5.3}, {"a": 1.0, "f": 2.0}),
        ("coalesce(7, i) + 0", {"i": 1}, {"i": None}),
        ("nullif(7 + 1, case when k then i else 7 end)", {"k": False}, {"k": True, "i": 8}),
        ("pow(a, case when k then 2.5 else 7 end)", {"a": 1.37, "k": False}, {"a": 1.0, "k": True}),
        ("a / cast(coalesce(k, true) as double)", {"a": 1.1}, {"a": 1.1, "k": False}),
    ],
)
def test_a_row_has_its_bits_whatever_the_others_are(sql, row, other):
    alone, twice, among = (Expression(sql).of(table(*rows)) for rows in ([row], [row, row, row], [row, other]))
    assert bits(alone) == bits(twice)[:1] == bits(among)[:1]
    assert alone.type == twice.type == among.type
    assert (len(twice), len(among)) == (3, 2)


@pytest.mark.parametrize(
    "sql", ["a / 3 + i", "case when k then 1 else a end", "coalesce(a, 0)", "coalesce(a, 0) > f and k", "upper(s) = 'A'", "pow(a, 2)"]
)
def test_what_never_is_one_value_among_columns_is_left_as_it_is(sql):
    assert spread(parsed(sql)) is parsed(sql)


def test_a_part_of_literals_alone_is_one_value_in_every_batch():
    assert spread(parsed("a / (2 + 1)")) is parsed("a / (2 + 1)")
    assert MARK in spread(parsed("a / (2 + coalesce(f, 1))")).meta.root_names()


def joined(words: str):
    return lambda parts: words.format(*parts)


LEAF = st.sampled_from([*"afind", "0", "2", "3", "7", "49", "0.1", "3.5", "length(s)", "date_part('hour', t)"])
TRUE = st.sampled_from(["k", "a is null", "i is not null", "s = 'a'", "f > 0", "n < i", "d >= 3"])
NUMBER = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "/", "%"]), inner).map(joined("({} {} {})")),
        st.tuples(TRUE, inner, inner).map(joined("(case when {} then {} else {} end)")),
        st.tuples(inner, st.sampled_from(["<", "=", ">="]), inner, inner).map(joined("(case when {} {} {} then {} end)")),
        st.tuples(st.sampled_from(["coalesce", "nullif", "greatest", "least", "pow"]), inner, inner).map(joined("{}({}, {})")),
        st.tuples(st.sampled_from(["round", "floor", "abs", "sqrt", "exp", "ln", "sign"]), inner).map(joined("{}({})")),
        st.tuples(TRUE, st.sampled_from(["double", "float", "bigint"])).map(joined("cast({} as {})")),
    ),
    max_leaves=7,
)
FLOATS = st.sampled_from([None, 0.0, -0.0, 1.0, 7.3, -5.3, 1e5 / 3, float("inf")])
ROW = st.fixed_dictionaries(
    {
        "a": FLOATS,
        "f": FLOATS,
        "i": st.sampled_from([None, 0, 1, -3, 7, 2**30]),
        "n": st.sampled_from([None, 0, 1, -3, 7, 2**40]),
        "k": st.sampled_from([None, True, False]),
        "s": st.sampled_from([None, "", "a", "é"]),
        "t": st.sampled_from([None, 0, 10**15]),
        "d": st.sampled_from([None, 0, 3, 7]),
    }
)


@settings(max_examples=150, deadline=None)
@given(NUMBER, st.lists(ROW, min_size=2, max_size=4))
def test_a_row_alone_is_the_row_in_the_batch(sql, rows):
    expression = Expression(sql)
    if expression.problems():
        return
    try:
        whole = expression.of(table(*rows))
    except DataError:
        return
    alone = [expression.of(table(row)) for row in rows]
    assert [bits(one)[0] for one in alone] == bits(whole)
    assert {one.type for one in alone} == {whole.type}
