"""A whole SELECT as an entry of a chain."""

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.step import Columns
from raypipe.data.transform.chain import Chain, FittedChain
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.flow import check, columns_after
from raypipe.data.transform.query import Query, condition, problems, without_queries
from raypipe.data.transform.scaling import Standardize
from raypipe.testing import apply_transform, assert_same_online

COLUMNS = Columns(("a", "b", "n", "s"), {"a": "float64", "b": "float64", "n": "int64", "s": "string"}, frozenset({"n"}), label="y")


def fit(sql, schema):
    return Chain(without_queries({"q": Query(sql)})).fit(schema, lambda stage: [])


SELECTS = (
    "select a / b as r, n, a from rows",
    "select * exclude (b), a * 3 + b as r, n % 7 as m from rows",
    "select * replace (round(a, 2) as a), case when b > 0 then ln(b) else b * 2 end as l, s || 'x' as t from rows",
    "select upper(s) as s, coalesce(a, b, 0.5) as c, n * 3 as n, a > b and s = 'u' as k from rows",
)
FLOATS = st.one_of(st.none(), st.floats(width=64, allow_nan=False))
ROW = st.tuples(FLOATS, FLOATS, st.one_of(st.none(), st.integers(-(2**31), 2**31)), st.sampled_from(["u", "v'", None]))


@pytest.mark.parametrize("sql", SELECTS)
@settings(max_examples=25)
@given(rows=st.lists(ROW, min_size=2, max_size=9))
def test_a_request_gets_the_bits_of_the_batch_which_are_polars_own(sql, rows):
    types = (pa.float64(), pa.float64(), pa.int64(), pa.string())
    table = pa.table({n: pa.array(c, t) for n, c, t in zip("abns", zip(*rows, strict=True), types, strict=True)})
    chain = FittedChain.from_json(fit(sql, table.schema).to_json())
    made = chain.apply(table)
    alone = pa.concat_tables([chain.apply(table.slice(i, 1)) for i in range(len(rows))])
    assert repr(alone.to_pydict()) == repr(made.to_pydict())
    polars = pl.SQLContext(rows=pl.from_arrow(table)).execute(sql, eager=True).fill_nan(None)
    assert repr({n: made[n].to_pylist() for n in polars.columns}) == repr(polars.to_dict(as_series=False))


def test_columns_types_and_marks_are_known_before_anything_runs():
    entries = without_queries({"q": Query("select s, n / 2 as half, a from rows")})
    after = columns_after(entries, COLUMNS)
    assert (after.names, after.types) == (("s", "half", "a"), {"s": "string", "half": "float64", "a": "float64"})
    assert [str(p) for p in check(entries, COLUMNS, "t")] == [
        "t.q: 'n' is known only afterwards (by the contract): it cannot be an input of the model."
    ]
    missing = without_queries({"q": Query("select c, a + d as e from rows")})
    assert [str(p) for p in check(missing, COLUMNS, "t")] == [
        "t.q: no column 'd'. Valid: a, b, n, s.",
        "t.q: columns: no column 'c'. Valid: a, b, e, n, s.",
    ]


def test_what_is_not_row_by_row_is_told_with_its_reason():
    entries = without_queries({"q": Query("select avg(a) as m from rows")})
    assert [str(p) for p in check(entries, COLUMNS, "t")] == ["t.q: sql: 'avg(a)' reads more than its own row (an aggregate or a window)"]
    assert "raypipe.Sort" in Query("select a from rows order by a").problems()[0]
    assert Query(7).problems() == ["sql: found 7, expected a SELECT as text"]  # type: ignore[arg-type]


def test_rows_are_left_out_before_the_chain():
    entries = {"q": Query("select a from rows where a > 0 and b < 1"), "r": Query("select * from rows where n in (1, 2)")}
    assert condition("s = 'u'", entries) == "s = 'u' and a > 0 and b < 1 and n in (1, 2)"
    assert condition("a > b", entries) == "(a > b) and (a > 0 and b < 1) and (n in (1, 2))"
    assert condition(None, {"d": Derive({"x": "a"})}) is None


@pytest.mark.parametrize(
    ("before", "sql", "text"),
    [
        ({"d": Derive({"x": "a * 2"})}, "select * from rows where x > 1", "column 'x' is made by an entry in front"),
        ({"d": Standardize(["a"])}, "select * from rows where b > 1", "left out before 'd', which stands in front and learns"),
        ({"p": Query("select a from rows")}, "select * from rows where b > 1", "no column 'b'. Valid: a."),
        ({}, "select * from rows where c > 1", "no column 'c'. Valid: a, b, n, s."),
        ({}, "select * from rows where s > 1", "the column is string, and 1 is none"),
        ({}, "select * from rows where y", "no column 'y'"),
    ],
)
def test_a_where_reads_what_is_there_before_the_chain(before, sql, text):
    (problem,) = problems({**before, "q": Query(sql)}, COLUMNS, "t")
    assert problem.where == "t.q"
    assert text in problem.what


def test_a_step_leaves_rows_out_and_counts_them_a_request_is_answered():
    rows = pa.table({"a": [1.0, -2.0, 3.0], "b": [2.0, 2.0, None], "s": ["u", "v", "w"]})
    transform = {"q": Query("select a / b as r, s from rows where a > 0"), "upper": Query("select *, upper(s) as big from rows")}
    made = apply_transform(transform, rows)
    assert made.to_pydict() == {"r": [0.5, None], "s": ["u", "w"], "big": ["U", "W"], "a": [1.0, 3.0], "b": [2.0, None]}
    assert assert_same_online({"q": Query("select a / b as r, s from rows")}, rows).column_names == ["r", "s"]
