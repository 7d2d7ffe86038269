"""What meets another's commit is done again, a bounded number of times, and that is told."""

from __future__ import annotations

import pytest

from raypipe.core.errors import Conflict, DataError
from raypipe.pipeline.redo import TRIES, redone


def meets(number: int, error: Exception):
    """An attempt that fails so many times before it returns how often it was made."""
    made = []

    def attempt() -> int:
        made.append(1)
        if len(made) <= number:
            raise error
        return len(made)

    return attempt


def test_it_is_done_again_and_that_is_told():
    told: list[str] = []
    conflict = Conflict("table t: up to snapshot 3 the columns were changed. Run again: nothing was written.")
    assert redone(meets(2, conflict), told.append) == 3
    assert told == ["table t: up to snapshot 3 the columns were changed: done again from there"] * 2


def test_not_for_ever():
    with pytest.raises(Conflict, match="again and again"):
        redone(meets(TRIES, Conflict("again and again")), lambda text: None)


def test_another_error_is_not_tried_again():
    with pytest.raises(DataError, match="no such column"):
        redone(meets(1, DataError("no such column")), lambda text: None)
