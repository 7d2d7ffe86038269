"""Expressions as Python functions: the bits that Polars gives, or none at all."""

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.data.expression import Expression, computed
from raypipe.data.expression_row import in_python
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.derive import Derive

SCHEMA = pa.schema(
    [
        ("a", pa.float64()),
        ("b", pa.float64()),
        ("n", pa.int64()),
        ("i", pa.int32()),
        ("k", pa.bool_()),
        ("s", pa.string()),
        ("c", pa.dictionary(pa.int32(), pa.string())),
    ]
)
SHORT = (
    *("a / b * 60", "a / 3", "a / 3.7 * 2", "n / 7", "n / i", "i / 2", "a + n", "n * 3", "i + i", "n - 1", "-a", "-n", "(a + b) / 2"),
    *("a > 1.5", "a >= b", "a = b", "a <> b", "n < i", "n = 2", "a between 1 and 2", "s = 'x'", "s <> c", "c in ('x', 'é')", "n in (1, 2)"),
    *(
        "k and a > 1 or not k",
        "not k",
        "a is null",
        "b is not null and not (a <> 3)",
        "nullif(a, 0)",
        "coalesce(a, b, 0.5)",
        "ifnull(a, n)",
    ),
    *("case when k then 1 else a end", "case c when 'x' then 1.5 else b end", "case when a > 1 then s else 'y' end", "abs(a - b)"),
    *("cast(n as double) * 0.1", "case when n > 3 then 1 when n < -3 then -1 else 0 end"),
)
FLOATS = st.one_of(st.none(), st.floats(width=64), st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 1.0]))
ROW = st.tuples(
    FLOATS,
    FLOATS,
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-4, 4)),
    st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1), st.integers(-4, 4)),
    st.sampled_from([None, True, False]),
    *[st.sampled_from([None, "x", "y", "é", ""])] * 2,
)


def table(rows) -> pa.Table:
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def refused(sql: str) -> bool:
    return in_python(Expression(sql), SCHEMA) is None


@settings(max_examples=60)
@given(st.lists(ROW, min_size=2, max_size=6))
def test_the_bits_are_those_of_a_batch(rows):
    made = computed({sql: Expression(sql) for sql in SHORT}, table(rows))
    for sql, value in IN_PYTHON.items():
        assert repr([value(row) for row in table(rows).to_pylist()]) == repr(made[sql].to_pylist()), sql


IN_PYTHON = {sql: value for sql in SHORT if (value := in_python(Expression(sql), SCHEMA))}


def test_these_have_a_short_way():
    assert [sql for sql in SHORT if sql not in IN_PYTHON] == []


@pytest.mark.parametrize(
    "sql", ["upper(s)", "a * (1 / b)", "n * 0.5", "ln(a)", "round(a, 2)", "s || 'x'", "i * 3000000000", "n > 1.5", "s > 'x'"]
)
def test_what_has_no_equal_is_left_to_polars(sql):
    assert refused(sql)


NUMBER = st.sampled_from(["a", "b", "n", "i", "2", "0", "3.5", "7"])
NUMBERS = st.recursive(
    NUMBER,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(inner, st.sampled_from(["<", "=", ">="]), inner, inner, inner).map(
            lambda p: f"(case when {p[0]} {p[1]} {p[2]} then {p[3]} else {p[4]} end)"
        ),
        st.tuples(inner, inner).map(lambda parts: f"coalesce({', '.join(parts)})"),
    ),
    max_leaves=6,
)


@settings(max_examples=80)
@given(NUMBERS, st.lists(ROW, min_size=2, max_size=5))
def test_whatever_is_taken_gives_the_bits_of_polars(sql, rows):
    expression = Expression(sql)
    if expression.problems() or (value := in_python(expression, SCHEMA)) is None:
        return
    assert repr([value(row) for row in table(rows).to_pylist()]) == repr(expression.of(table(rows)).to_pylist())


def test_a_request_takes_it_and_a_chain_gives_the_same_bits():
    rows = table([(1.5, None, 3, -7, True, "x", "é"), (math.nan, 0.0, 2**62, 2**31 - 1, None, None, "x")])
    chain = Chain({"d": Derive({sql: sql for sql in SHORT})}).fit(rows.schema, lambda stage: [])
    assert chain._one_row.links[0].one is not None
    whole = chain.apply(rows)
    for row in range(2):
        alone = chain.apply(rows.slice(row, 1))
        assert alone.schema == whole.schema
        assert repr(alone.to_pydict()) == repr(whole.slice(row, 1).to_pydict())
