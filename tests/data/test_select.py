"""A SELECT taken apart: what it keeps, computes and leaves out, and what is not row by row."""

import pytest

from raypipe.core.errors import DataError
from raypipe.data.select import Selected, selected


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ('select a, b/c as r, "q w" from rows;', Selected(("a", "r", "q w"), (), {"r": "b/c"})),
        ("SELECT a AS a, cast(x as double) AS y -- why\nFROM rows", Selected(("a", "y"), (), {"y": "cast(x as double)"})),
        ("select * from rows where a = 'order by' or \"limit\" > 1", Selected(where="a = 'order by' or \"limit\" > 1")),
        ("select * exclude (a, b) replace (x/2 as x), a as c from rows", Selected(None, ("a", "b"), {"x": "x/2", "c": "a"})),
        ("select * exclude (a), b as a from rows", Selected(None, (), {"a": "b"})),
        ("select a is distinct from b as d from rows", Selected(("d",), (), {"d": "a is distinct from b"})),
        ("select trim(both 'x' from s) as t from rows where s = 'b'", Selected(("t",), (), {"t": "trim(both 'x' from s)"}, "s = 'b'")),
    ],
)  # fmt: skip
def test_its_parts(sql, found):
    assert selected(sql) == found


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("select distinct a from rows", "`distinct` is not row by row: .* raypipe.Distinct"),
        ("select a from rows order by a", "`order` is not row by row: .* raypipe.Sort"),
        ("select a from rows where a > 1 group by a", "`group` is not row by row: .* raypipe.Aggregate"),
        ("select a from rows limit 3", "`limit` is not row by row"),
        ("select a from rows union select a from rows", "a SELECT inside of another"),
        ("select a from rows join other on true", "`join` is not row by row: .* raypipe.Join"),
        ("select a from rows, other", "`from rows, other` is not row by row: .* raypipe.Join"),
        ("select (select max(a) from rows) as m from rows", "a SELECT inside of another"),
        ("with x as (select 1) select * from x", "a SELECT inside of another"),
        ("select * from 'secrets.csv'", "reads rows, what comes into the entry, and nothing else"),
        ("select * from read_parquet('x')", "and nothing else"),
        ("copy rows to 'x'", "found \"copy rows to 'x'\", expected `select ... from rows`"),
        ("select a / b from rows", "`a / b` has no name: write `a / b as NAME`"),
        ("select *, a from rows", "'a' would be there twice"),
        ("select a, b as a from rows", "'a' would be there twice"),
        ("select a, * from rows", "a star stands first"),
        ("select a", "expected `from rows`"),
        ("select a, from rows", "is missing between"),
        ("select * exclude a from rows", "expected `\\* exclude"),
        ("select * exclude (a / 2 as b) from rows", "expected names of columns"),
        ("select a from rows where", "expected a condition"),
    ],
)
def test_what_is_refused(sql, text):
    with pytest.raises(DataError, match=text):
        selected(sql)
