"""Runs that are at work, or may be: what they have met, or may yet find, is not taken away below them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from raypipe.core import schema
from raypipe.core.lease import Owner
from raypipe.core.runs import RUNNING

SILENT = timedelta(days=7)
"""A run on another machine that has given no sign of life for so long is over: whether its process lives cannot be seen from here."""
SKEW = timedelta(hours=1)
"""By which the clocks of two machines, or of one that jumps, may differ."""
FOLLOWS = "follow:"
"""How the key of a follower's lease begins: it reads no table but its own, and no artifact at all."""


@dataclass(frozen=True)
class Alive:
    """A run that is not known to have ended."""

    project: str
    id: str
    started_at: str
    """UTC, ISO 8601."""
    follows: bool = False
    """It is a follower, which goes on for months, and finds nothing that was made before."""

    def may_read(self, gone_at: datetime) -> bool:
        """Whether it may have found something that was taken out of the ledger at that time: it had begun by then."""
        return not self.follows and datetime.fromisoformat(self.started_at) <= gone_at + SKEW


def alive(connection: Connection, one_host: bool, now: datetime, project: str | None = None) -> list[Alive]:
    """Of that project, or of all."""
    r = schema.runs.c
    query = select(r.project, r.id, r.started_at, r.owner).where(r.state == RUNNING)
    rows = connection.execute(query if project is None else query.where(r.project == project)).all()
    here = Owner.here()
    rows = [row for row in rows if not Owner(**row.owner).is_dead(here, one_host)]
    if not rows:
        return []
    keys, signs = _signs(connection, [row.id for row in rows])
    oldest = (now - SILENT).isoformat(timespec="milliseconds")
    there = [row for row in rows if _is_here(Owner(**row.owner), here) or max(row.started_at, signs.get(row.id, "")) >= oldest]
    return [Alive(row.project, row.id, row.started_at, any(k.startswith(FOLLOWS) for k in keys.get(row.id, ()))) for row in there]


def _is_here(owner: Owner, here: Owner) -> bool:
    """Then it is known to live."""
    return (owner.host, owner.boot, owner.pids) == (here.host, here.boot, here.pids)


def _signs(connection: Connection, runs: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """By run: the leases that it holds, and when it last recorded a step or said that it lives."""
    leases, s, ids = schema.leases.c, schema.steps.c, list(runs)
    keys: dict[str, list[str]] = {}
    signs = {row.run: row.at for row in connection.execute(select(s.run, func.max(s.at).label("at")).where(s.run.in_(ids)).group_by(s.run))}
    for row in connection.execute(select(schema.leases).where(leases.run.in_(ids), leases.released_at.is_(None))):
        keys.setdefault(row.run, []).append(row.key)
        last = max(row.claimed_at, row.beaten_at or 0.0)
        signs[row.run] = max(signs.get(row.run, ""), datetime.fromtimestamp(last, UTC).isoformat(timespec="milliseconds"))
    return keys, signs
