"""The line of the user's code that is another."""

from __future__ import annotations

import pytest

from raypipe.code.changed import changed_line

BEFORE = '''import math

LIMIT = 3


def first(x):
    """Says it."""
    return x


@staticmethod
def second(x):
    # doubles
    y = x * 2

    return y + LIMIT
'''


@pytest.mark.parametrize(
    ("old", "new", "name", "line"),
    [
        ("x * 2", "x * 3", "second", 14),
        ("    return y + LIMIT", "    print(y)\n    return y + LIMIT", "second", 16),
        ("    y = x * 2\n", "", "second", 15),
        ("LIMIT = 3", "LIMIT = 4", "LIMIT", 3),
        ("@staticmethod\n", "@classmethod\n", "second", 11),
        ("import math", "import math, os", "*", 1),
        ("    # doubles", "    # twice\n\n", "second", None),
        ('"""Says it."""', '"""Says\n    more."""', "first", None),
        ("x * 2", "x *", "second", None),
        ("x * 2", "x * 3", "first", None),
        ("x * 2", "x * 3", "third", None),
    ],
)
def test_the_first_line_that_is_another(old: str, new: str, name: str, line: int | None):
    assert changed_line(BEFORE, BEFORE.replace(old, new), name) == line


def test_lines_above_move_the_number_and_change_nothing():
    assert changed_line(BEFORE, "import os\n" + BEFORE, "second") is None
    assert changed_line(BEFORE, "import os\n" + BEFORE.replace("x * 2", "x * 4"), "second") == 15
