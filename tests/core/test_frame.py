"""Which line of whose code an error is told with."""

from __future__ import annotations

import json

from raypipe.core.frame import users_frame


def fails(text: str) -> object:
    return json.loads(text)


def test_the_last_line_that_is_the_users_own():
    try:
        fails("{")
    except ValueError as error:
        found = users_frame(error)
    assert (found.name, found.line) == ("fails", "return json.loads(text)")


def test_without_any_the_last_of_all():
    try:
        exec(compile("int('x')", "<text>", "exec"))
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        assert users_frame(error).filename == "<text>"
