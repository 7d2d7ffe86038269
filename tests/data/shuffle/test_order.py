"""What rows are ordered by, as people write it."""

import pytest

from raypipe.data.shuffle.order import Order, order, problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at", Order("at")),
        ("at asc", Order("at")),
        (" at DESC ", Order("at", True)),
        ("dep delay desc nulls first", Order("dep delay", True, True)),
        ("desc", Order("desc")),
        ("x nulls last", Order("x")),
    ],
)
def test_order(text, expected):
    assert order(text) == expected


def test_backwards_is_the_other_way_round():
    assert order("x desc nulls first").sql("o0") == "o0 desc nulls first"
    assert order("x desc nulls first").sql("o0", backwards=True) == "o0 asc nulls last"


def test_what_is_wrong_is_said():
    assert problems("at", "by", None) == ["by is the text 'at', expected a list: by: [at]"]
    assert problems([1], "by", None) == ["by is [1], expected a list such as [at, 'distance desc']"]
    assert problems(["at", "at desc"], "by", ["at"]) == ["by names 'at' twice"]
