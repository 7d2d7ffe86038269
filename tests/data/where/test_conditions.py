"""Conditions as text."""

import pytest

from raypipe.core.errors import DataError
from raypipe.data.where.conditions import parsed


def test_what_can_be_said():
    text = """a=-1.5 AND "b ""c" <> 'it''s' and d in (1, 2) and e NOT IN ('x') and f is null and g IS NOT NULL and h == true and i>=1e3"""
    assert list(parsed(text)) == [
        ("a", "=", -1.5), ('b "c', "!=", "it's"), ("d", "in", [1, 2]), ("e", "not in", ["x"]), ("f", "is null", None),
        ("g", "is not null", None), ("h", "=", True), ("i", ">=", 1000.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it ends where a column should stand"),
        ("a", "it ends where an operator should stand"),
        ("a =", "it ends where a value should stand"),
        ("a = b", "found 'b', expected a number, true, false or text in single quotes"),
        ("1 = a", "found 1, expected a column"),
        ("a = 1 or b = 2", "found 'or', expected `and`"),
        ("lower(a) = 'x'", "found '(' after 'lower', expected one of ="),
        ("a in 'x'", "expected a list of values in brackets after `in`"),
        ("a in ('x' 'y')", "found 'y', expected `,` or `)`"),
        ("a = 'x", 'found "\'x", expected a value'),
        ("a is 1", "found 1, expected `null`"),
    ],
)
def test_what_cannot(text, told):
    with pytest.raises(DataError) as caught:
        list(parsed(text))
    assert told in str(caught.value)
    assert "for `or` and functions use raypipe tables sql" in str(caught.value)
