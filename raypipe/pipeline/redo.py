"""Work whose commit met another's, done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from raypipe.core.errors import Conflict

T = TypeVar("T")
TRIES = 5
"""Times that such work is done in all."""


def redone(attempt: Callable[[], T], report: Callable[[str], None]) -> T:
    """What `attempt` returns. Where its commit conflicts with another's it is done again from what is there now; after TRIES, Conflict."""
    for _ in range(TRIES - 1):
        try:
            return attempt()
        except Conflict as conflict:
            report(f"{str(conflict).partition('. Run again')[0]}: done again from there")
    return attempt()
