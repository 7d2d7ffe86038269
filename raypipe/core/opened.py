"""What a block of the program opens, closed at its end whatever way it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

_now: ContextVar[contextlib.ExitStack | None] = ContextVar("opened", default=None)


@contextlib.contextmanager
def closed_at_end() -> Iterator[None]:
    """Ledgers that the thread of the block opens in it are closed behind it: a verb opens one, and has nobody to hand it to."""
    with contextlib.ExitStack() as stack:
        before = _now.set(stack)
        try:
            yield
        finally:
            _now.reset(before)


def closes(close: Callable[[], None]) -> None:
    """Called by what was opened, where a block closes it."""
    if stack := _now.get():
        stack.callback(close)
