"""What Ray is told of the tasks that a step starts: resources and environment, as its execution says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

_options: ContextVar[Mapping[str, Any]] = ContextVar("raypipe_placement")


@contextlib.contextmanager
def placed(options: Mapping[str, Any]) -> Iterator[None]:
    """The tasks that this thread starts in the block are started with these options of Ray's."""
    before = _options.set(options)
    try:
        yield
    finally:
        _options.reset(before)


def ray_options() -> dict[str, Any]:
    """For `ray.remote`, and for Ray Data's operators."""
    return dict(_options.get({}))
