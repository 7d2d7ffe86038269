"""Which line of whose code an error is told with."""

from __future__ import annotations

import json

import pytest

from raypipe.core.frame import users_frame


def fails(text: str) -> object:
    return json.loads(text)


def test_the_last_line_that_is_the_users_own():
    with pytest.raises(ValueError, match="Expecting property name") as caught:
        fails("{")
    found = users_frame(caught.value)
    assert (found.name, found.line) == ("fails", "return json.loads(text)")


def test_without_any_the_last_of_all():
    with pytest.raises(ValueError, match="invalid literal") as caught:
        exec(compile("int('x')", "<text>", "exec"))
    error = caught.value
    error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
    assert users_frame(error).filename == "<text>"
