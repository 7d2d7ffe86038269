"""Expiry: snapshots of a table end in the catalog. No file is touched: `gc` collects what nothing names any more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Text, delete, select, type_coerce, update

from raypipe.core import schema
from raypipe.core.artifact import Json, Table
from raypipe.core.errors import DataError
from raypipe.core.runs import now_utc
from raypipe.core.step import Commit, Made, Work
from raypipe.data.lake import catalog
from raypipe.data.lake.catalog import lake
from raypipe.data.lake.current import change_made, require
from raypipe.data.lake.needed import chunks, needed
from raypipe.data.lake.snapshot import EXPIRED, Snapshot, snapshots
from raypipe.data.table import TableSchema

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger


def expire(
    work: Work, name: str, *, older_than: timedelta | None = None, keep_last: int | None = None, said: TableSchema | None = None
) -> Made[Table]:
    """Ends the snapshots that are older than that and are not among the last so many (each where it is given), but for those needed.

    Needed are the newest, those with a tag, and those that a registered model, a live run or the newest artifact of a step was made from.
    An artifact of an ended snapshot is superseded: a later plan makes it again. `said` is what a step knows of the table beyond its
    columns. Figures: `expired`, `kept` (how many were needed).
    """
    if older_than is None and keep_last is None:
        raise DataError(f"table {name}: expire: say `older_than`, `keep_last`, or both")
    if keep_last is not None and keep_last < 1:
        raise DataError(f"table {name}: expire: keep_last is {keep_last}, expected at least 1")
    now = require(work.ledger, name)
    until = None if older_than is None else datetime.now(UTC) - older_than
    made = change_made(work, name, "compact", now, now.said(said), {})
    return Made(made.digest, schema=made.schema, commits=(*made.commits, _ending(work.ledger, name, until, keep_last)))


def expirable(ledger: Ledger, name: str, *, older_than: timedelta | None = None, keep_last: int | None = None) -> list[Snapshot]:
    """What `expire` would end now, oldest first."""
    until = None if older_than is None else datetime.now(UTC) - older_than
    with ledger.reading() as connection:
        return _chosen(connection, ledger, name, until, keep_last)[0]


def _ending(ledger: Ledger, name: str, until: datetime | None, keep_last: int | None) -> Commit:
    def commit(connection: Connection, artifact: str) -> dict[str, Json]:
        catalog.lock(connection)
        chosen, num_kept = _chosen(connection, ledger, name, until, keep_last)
        end(connection, ledger, name, [snapshot.id for snapshot in chosen])
        return {"expired": len(chosen), "kept": num_kept}

    return commit


def end(connection: Connection, ledger: Ledger, name: str, numbers: Sequence[int], rule: str = "") -> None:
    """Takes snapshots of a table out of the catalog, in the caller's transaction, which holds its lock; what names them is superseded."""
    _supersede(connection, ledger.project, name, set(numbers))
    for some in chunks(numbers):
        for table in (catalog.snapshots, lake["snapshot"], lake["snapshot_changes"]):
            connection.execute(delete(table).where(table.c.snapshot_id.in_(some)))
    if numbers:
        ledger.note(connection, EXPIRED, {"table": name, "snapshots": list(numbers)} | ({"rule": rule} if rule else {}))


def _chosen(connection: Connection, ledger: Ledger, name: str, until: datetime | None, keep_last: int | None) -> tuple[list[Snapshot], int]:
    there = snapshots(connection, ledger.project, name)
    old = [s for s in there[keep_last or 1 :] if until is None or s.created_at < until.isoformat(timespec="milliseconds")]
    still = needed(connection, ledger.project, ledger.one_host).snapshots
    return [s for s in reversed(old) if (name, s.id) not in still], sum((name, s.id) in still for s in old)


def _supersede(connection: Connection, project: str, name: str, numbers: set[int]) -> None:
    """The artifacts that name an ended snapshot: what made it, and what said something else of it."""
    a = schema.artifacts.c
    named = type_coerce(a.figures, Text).contains(f'"table":{json.dumps(name)}', autoescape=True)
    query = select(a.id, a.figures).where(a.project == project, a.kind == "Table", a.superseded_at.is_(None), named)
    ids = [id for id, figures in connection.execute(query).all() if figures.get("snapshot") in numbers]
    for some in chunks(ids):
        connection.execute(update(schema.artifacts).where(a.id.in_(some)).values(superseded_at=now_utc()))
