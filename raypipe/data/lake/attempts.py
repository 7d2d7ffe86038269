"""Attempts in the store: folders `PIPELINE/STEP/TOKEN-ID`, each written by one holder of a lease, and which of them are still at work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, select, update

from raypipe.core import schema
from raypipe.core.lease import Owner
from raypipe.data.lake.alive import FOLLOWS

_FOLDER = re.compile(r"([^/]+)/[^/]+/(\d{6,})-[0-9a-f]{12}/.+")
_CHECKPOINT = re.compile(r"checkpoints/[0-9a-f]{32}/([0-9a-f]{32})[-/]")

_NO_ATTEMPT = (FOLLOWS, "serve:")
"""Keys of leases that are held for months, and under which nothing is written: an attempt of theirs would be taken for one at work."""


def is_attempt(path: str) -> bool:
    """Whether a path of the store lies in the folder of an attempt."""
    return _FOLDER.fullmatch(path) is not None


def own(connection: Connection, paths: Iterable[str], at_work: Callable[[str], bool]) -> set[str]:
    """Those that lie in attempts of pipelines of this ledger, none of them at work."""
    a, r = schema.artifacts.c, schema.runs.c
    known = {*connection.execute(select(a.pipeline).distinct()).scalars(), *connection.execute(select(r.pipeline).distinct()).scalars()}
    return {path for path in paths if (match := _FOLDER.fullmatch(path)) and match[1] in known and not at_work(path)}


def live(connection: Connection, now: datetime, grace_s: float, one_host: bool) -> Callable[[str], bool]:
    """Whether a path may be one that an attempt is writing, or is about to publish, by its pipeline and the token of its lease; or a
    checkpoint of a training at work, by the key of its lease."""
    leases, runs = schema.leases, schema.runs
    joined = leases.outerjoin(runs, and_(runs.c.project == leases.c.project, runs.c.id == leases.c.run))
    query = select(leases, runs.c.pipeline).select_from(joined).where(leases.c.released_at.is_(None), leases.c.owner.is_not(None))
    here, seconds = Owner.here(), now.timestamp()
    rows = [row for row in connection.execute(query) if not row.key.startswith(_NO_ATTEMPT)]
    rows = [row for row in rows if not _is_stale(row, here, seconds, grace_s, one_host)]
    held, keys = {(row.pipeline, f"{row.token:06d}") for row in rows}, {row.key[:32] for row in rows}

    def at_work(path: str) -> bool:
        if (training := _CHECKPOINT.match(path)) is not None:
            return training[1] in keys
        match = _FOLDER.fullmatch(path)
        return match is not None and ((match[1], match[2]) in held or (None, match[2]) in held)

    return at_work


def end_stale(connection: Connection, now: datetime, grace_s: float, one_host: bool) -> None:
    """Ends the leases of processes that are dead, or have given no sign of life for the grace period: should one wake up after all, what
    it made is refused, since its files may be gone. One that publishes at this moment is waited for, and is not ended."""
    leases, here, seconds = schema.leases, Owner.here(), now.timestamp()
    query = select(leases).where(leases.c.released_at.is_(None), leases.c.owner.is_not(None))
    # In one order, so that two which do this do not wait for each other.
    for row in connection.execute(query.order_by(leases.c.project, leases.c.key)).all():
        if _is_stale(row, here, seconds, grace_s, one_host):
            this = and_(leases.c.project == row.project, leases.c.key == row.key, leases.c.token == row.token)
            connection.execute(update(leases).where(this, leases.c.released_at.is_(None)).values(released_at=seconds))


def _is_stale(row: Any, here: Owner, now: float, grace_s: float, one_host: bool) -> bool:
    last = row.claimed_at if row.beaten_at is None else row.beaten_at
    return abs(now - last) > max(grace_s, row.ttl_s) or Owner(**row.owner).is_dead(here, one_host)
