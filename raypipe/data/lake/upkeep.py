"""Upkeep: what a run does for its store when it has ended, and the line that it says where much of what the store holds could go.

Counted is from the ledger, not from the store: what artifacts made since the last count weigh is one query by their numbers (1 ms).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, insert, select

from raypipe.core import schema
from raypipe.core.errors import RaypipeError
from raypipe.core.retention import Retention
from raypipe.core.store import is_remote
from raypipe.core.wording import first_line, size_text
from raypipe.data.lake.forget import forget
from raypipe.data.lake.gc import gc
from raypipe.data.lake.keeping import keeping
from raypipe.data.lake.release import released_now

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store

PAUSE = timedelta(days=1)
"""Between two times that runs clean up by themselves."""
GROWN = 0.1
"""It is counted anew when the store has grown by this share."""
MUCH = 1 / 3
"""So much of what a store holds must be releasable for a run to say so."""


@dataclass(frozen=True)
class Counted:
    """What the project's artifacts weighed when they were counted."""

    number: int
    """Of the newest artifact then."""
    held_bytes: int
    releasable_bytes: int
    """Of what nothing kept."""
    cleaned_at: str
    """UTC, ISO 8601: when a run, or `raypipe gc`, cleaned up."""


def tend(ledger: Ledger, store: Store, policy: Retention, now: datetime | None = None) -> list[str]:
    """For a run that has made something: cleans up where a day has passed, and what there is to say. It raises nothing."""
    try:
        return _tended(ledger, store, policy, now or datetime.now(UTC))
    except RaypipeError as error:
        return [f"retention: {first_line(error)}"]


def count(ledger: Ledger, policy: Retention, now: datetime, cleaned_at: str) -> Counted:
    """Counts anew, and keeps that for the next run."""
    with ledger.reading() as connection:
        found = keeping(connection, ledger.project, policy, ledger.one_host, now)
    sizes = {id: held.size for id, held in found.artifacts.items()}
    number = max((held.number for held in found.artifacts.values()), default=0)
    counted = Counted(number, sum(sizes.values()), sum(held.size for held in found.released), cleaned_at)
    with ledger.writing() as connection:
        connection.execute(delete(schema.meta).where(schema.meta.c.key == _key(ledger)))
        connection.execute(insert(schema.meta).values(key=_key(ledger), value=json.dumps(asdict(counted))))
    return counted


def _tended(ledger: Ledger, store: Store, policy: Retention, now: datetime) -> list[str]:
    with ledger.reading() as connection:
        counted = _counted(connection, ledger)
        new_bytes = _bytes_since(connection, ledger, counted.number) if counted else 0
    if counted is None:  # a ledger that was never looked at: nothing is taken from it at once
        counted, new_bytes = count(ledger, policy, now, now.isoformat()), 0
    lines = []
    if policy.auto and datetime.fromisoformat(counted.cleaned_at) + PAUSE <= now:
        lines += _cleaned(ledger, store, policy)
        counted, new_bytes = count(ledger, policy, now, now.isoformat()), 0
    elif new_bytes > max(GROWN * counted.held_bytes, GROWN * policy.tell_bytes):
        counted, new_bytes = count(ledger, policy, now, counted.cleaned_at), 0
    return [*lines, *_told(counted, counted.held_bytes + new_bytes, policy)]


def _cleaned(ledger: Ledger, store: Store, policy: Retention) -> list[str]:
    """What can be made again and is no table, lines of old runs, and files that nothing names. An object store's list may take minutes."""
    releasing, old = released_now(ledger, policy, tables=False), forget(ledger, policy)
    deleted = () if is_remote(store.root) else gc(ledger, store, policy=policy).deleted
    told = {
        "artifacts released": releasing.num_artifacts,
        "lines of old runs forgotten": old.num_lines,
        f"files of {size_text(sum(g.size for g in deleted))} deleted": len(deleted),
    }
    said = ", ".join(f"{number:,} {what}" for what, number in told.items() if number)
    return [f"retention: {said}"] if said else []


def _told(counted: Counted, held: int, policy: Retention) -> list[str]:
    free = counted.releasable_bytes
    if free < max(policy.tell_bytes, MUCH * held, 1):
        return []
    return [f"the store holds {size_text(held)}, {size_text(free)} of it released by retention: raypipe gc"]


def _counted(connection: Connection, ledger: Ledger) -> Counted | None:
    value = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == _key(ledger))).scalar_one_or_none()
    return Counted(**json.loads(value)) if value else None


def _bytes_since(connection: Connection, ledger: Ledger, number: int) -> int:
    a = schema.artifacts.c
    query = select(a.files).where(a.number > number, a.project == ledger.project)
    return sum(size for (files,) in connection.execute(query) for _, size, _ in files)


def _key(ledger: Ledger) -> str:
    return f"upkeep of {ledger.project}"
