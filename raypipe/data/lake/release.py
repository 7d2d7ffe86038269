"""Release: artifacts that a policy keeps no longer leave what plans find, and snapshots that nothing names then end. No byte is touched.

Two transactions. A run that begins after the first finds nothing of what was released; one that had begun before is seen by the second,
which ends no snapshot that such a run may read. `gc` deletes the files later, under the same rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from raypipe.core.released import release
from raypipe.core.retention import Retention
from raypipe.data.lake import catalog
from raypipe.data.lake.expire import end
from raypipe.data.lake.keeping import Held, Keeping, keeping

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger


@dataclass(frozen=True)
class Releasing:
    """What was released by a call."""

    num_artifacts: int
    num_snapshots: int


def rule(policy: Retention) -> str:
    """The settings that what is released did not meet."""
    return f"keep_last={policy.keep_last} keep_for={policy.keep_for} versions={policy.versions}"


def look(ledger: Ledger, policy: Retention, now: datetime | None = None) -> Keeping:
    """What would stay and what would go, and why; nothing is written."""
    with ledger.reading() as connection:
        return keeping(connection, ledger.project, policy, ledger.one_host, now or datetime.now(UTC))


def released_now(
    ledger: Ledger, policy: Retention, *, tables: bool = True, now: datetime | None = None, between: Callable[[], None] = lambda: None
) -> Releasing:
    """Releases what nothing keeps; without `tables` only what is no table. `between` is called between the two transactions, for tests."""
    at = now or datetime.now(UTC)
    num_artifacts = _artifacts(ledger, policy, tables, at) if _choose(look(ledger, policy, at), tables) else 0
    between()
    num_snapshots = _snapshots(ledger, policy, at) if tables and look(ledger, policy, at).ending else 0
    return Releasing(num_artifacts, num_snapshots)


def _artifacts(ledger: Ledger, policy: Retention, tables: bool, now: datetime) -> int:
    with ledger.writing() as connection:
        _lock(connection)
        chosen = _choose(keeping(connection, ledger.project, policy, ledger.one_host, now), tables)
        return release(ledger, connection, [held.id for held in chosen], rule(policy), sum(held.size for held in chosen))


def _choose(found: Keeping, tables: bool) -> Collection[Held]:
    return [held for held in found.released if tables or held.names is None]


def _snapshots(ledger: Ledger, policy: Retention, now: datetime) -> int:
    """Those that no live artifact is of: what nothing keeps only since the first transaction waits for the next call."""
    with ledger.writing() as connection:
        _lock(connection)
        ending = keeping(connection, ledger.project, policy, ledger.one_host, now, releases=False).ending
        for name in dict.fromkeys(name for name, _ in ending):
            end(connection, ledger, name, [number for of, number in ending if of == name], rule(policy))
        return len(ending)


def _lock(connection: Connection) -> None:
    if catalog.exists(connection):
        catalog.lock(connection)
