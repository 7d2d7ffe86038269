"""Reading the user's files once: within a plan or a run they are taken to stay as they were when they were first read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_depth = 0
_found: dict[Any, Any] = {}


@contextmanager
def settled() -> Iterator[None]:
    """What is read in the block, by any thread, is read once. A plan of 1,000 steps took 1.7 s of looking whether files had changed."""
    global _depth
    with _lock:
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _found.clear()


def once(read: Callable[P, R]) -> Callable[P, R]:
    """A function whose answer for the same arguments is kept within `settled`. It must not be changed by who gets it."""

    @wraps(read)
    def kept(*args: P.args, **more: P.kwargs) -> R:
        if not _depth:
            return read(*args, **more)
        key = (read, tuple(tuple(a) if isinstance(a, list) else a for a in args), tuple(sorted(more.items())))
        if key not in _found:
            _found[key] = read(*args, **more)
        return cast(R, _found[key])

    return kept
