"""SQL over several rows: what is read, and everything that is wrong with it, in words."""

import pytest

from raypipe.data.shuffle.expression import columns_read, over_groups, problems, renamed, text, tree
from raypipe.steps.aggregate import Aggregate


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("sum(x) / count(*)", None),
        ("list(x order by y desc)", None),
        ("'a''b' || max(s.part)", None),
        ("avg(x) over (rows between 3 preceding and 1 preceding)", None),
        ("sum(", "is no SQL expression"),
        ("x from t", "is no single SQL expression"),
        ("x, y", "is no single SQL expression"),
        ("x; drop table t", "is no S"),
        ("count(*) limit 1", "is no single SQL expression"),
        ("count(*) as n", "the name stands before the expression"),
        ("(select 1)", "holds a SELECT of its own"),
        ("list_transform(x, lambda v: v + 1)", "holds a lambda"),
        ("max($1)", "holds a parameter"),
        ("max(zz)", "there is no column 'zz'"),
        ("summ(x)", "there is no function summ(). Did you mean 'sum'?"),
        ("max(random())", "random() gives another value at each call"),
        ("max(now())", "now() gives another value at each call"),
        ("unnest(list(x))", "holds unnest(), which makes several rows of one"),
    ],
)
def test_what_is_wrong_is_said(sql, told):
    found = problems(sql, ["x", "y", "s"])
    assert (found == []) if told is None else (len(found) == 1 and told in found[0]), found


def test_a_column_named_like_a_word_of_sql_is_to_be_quoted():
    (told,) = problems("max(at)", ["x", "at"])
    assert told.endswith('A column named like a word of SQL is written in double quotes: "at"')
    assert problems('max("at")', ["at"]) == []
    assert "double quotes" not in problems("max(", ["x", "at"])[0]


def test_columns_are_read_and_renamed():
    found = tree('sum("a b") filter (where s.part > 1) / max(sum)')
    assert set(columns_read(found)) == {"a b", "s", "sum"}
    names = {"a b": "c0", "s": "c1", "sum": 'c"2'}
    assert text(renamed(found, names)) == '(sum(c0) FILTER (WHERE (c1.part > 1)) / max("c""2"))'


def test_an_aggregate_looks_at_no_other_group():
    assert over_groups("sum(x) / count(*)") == []
    for sql in ("row_number() over ()", "count(*) / sum(count(*)) over ()"):
        assert over_groups(sql) == [
            f"'{sql}' looks from one group at the others (`over`): that is a step of its own behind this one, raypipe.Window"
        ]
    assert Aggregate(["x"], {"n": "count(*) / sum(count(*)) over ()"}).check("a")[0].where == "a.make.n"
