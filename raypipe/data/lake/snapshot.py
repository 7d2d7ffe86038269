"""A snapshot: one version of a table, found in the DuckLake catalog of the ledger's database, with its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, desc, func, or_, select

from raypipe.core.artifact import File, Json
from raypipe.core.errors import DataError
from raypipe.data.lake import catalog
from raypipe.data.lake.catalog import lake

Mode = Literal["append", "overwrite"]


@dataclass(frozen=True)
class Snapshot:
    """One version of a table. `id` counts over the whole catalog, not per table."""

    id: int
    name: str
    table_id: int
    """DuckLake's number; a table with other columns is a new table of the same name."""
    artifact: str
    mode: Mode
    num_rows: int
    num_files: int
    size: int
    """Bytes of its files."""
    columns_digest: str
    chain: str
    """Digest over the digests of its fragments, in order."""
    stats: dict[str, dict[str, Json]]
    """As a fragment's, over all of its rows; of the columns that the catalog shows."""
    created_at: str
    """UTC, ISO 8601."""


def latest(connection: Connection, project: str, name: str) -> Snapshot | None:
    """The newest snapshot; None where the table was never made. DataError where another program has changed the table since."""
    found = newest_of(connection, project, name) if catalog.exists(connection) else None
    if found:
        refuse_foreign(connection, found)
    return found


def find(connection: Connection, project: str, name: str, snapshot: int) -> Snapshot:
    """That snapshot. DataError where raypipe did not write it."""
    s = catalog.snapshots.c
    query = select(catalog.snapshots).where(s.snapshot_id == snapshot, s.project == project, s.name == name)
    row = connection.execute(query).one_or_none() if catalog.exists(connection) else None
    if row is None:
        raise DataError(f"table {name}: raypipe has not written a snapshot {snapshot} of it in the project {project!r}")
    return _snapshot(row)


def snapshots(connection: Connection, project: str, name: str) -> list[Snapshot]:
    """Newest first."""
    if not catalog.exists(connection):
        return []
    s = catalog.snapshots.c
    query = select(catalog.snapshots).where(s.project == project, s.name == name).order_by(desc(s.snapshot_id))
    return [_snapshot(row) for row in connection.execute(query)]


def newest(connection: Connection, project: str) -> list[Snapshot]:
    """The newest snapshot of each table, by name."""
    if not catalog.exists(connection):
        return []
    s = catalog.snapshots.c
    ids = select(func.max(s.snapshot_id)).where(s.project == project).group_by(s.name)
    query = select(catalog.snapshots).where(s.snapshot_id.in_(ids)).order_by(s.name)
    return [_snapshot(row) for row in connection.execute(query)]


def data_files(connection: Connection, snapshot: Snapshot) -> Sequence[Row]:
    """path, num_rows, size, footer_bytes, sha256, stats of its files, in the order of the table's rows.

    DataError where they are not those that were committed: compacted, deleted from or ended by another program.
    """
    d, f = lake["data_file"].c, catalog.fragments.c
    joined = lake["data_file"].join(catalog.fragments, d.data_file_id == f.data_file_id)
    columns = (d.path, d.record_count, d.file_size_bytes, d.footer_size, f.sha256, f.stats)
    query = select(*columns).select_from(joined).where(*_visible(d, snapshot)).order_by(d.data_file_id)
    rows = connection.execute(query).all()
    deletes = lake["delete_file"].c
    deleted = connection.execute(select(func.count()).where(*_visible(deletes, snapshot))).scalar_one()
    num_rows = sum(row.record_count for row in rows)
    if deleted or len(rows) != snapshot.num_files or num_rows != snapshot.num_rows:
        raise DataError(
            f"table {snapshot.name}: snapshot {snapshot.id} was committed with {snapshot.num_files} files and {snapshot.num_rows} rows; "
            f"the catalog now has {len(rows)} of raypipe's files with {num_rows} rows, and {deleted} delete files: another program has "
            "changed it. Restore the ledger from a copy, and attach it read-only."
        )
    return rows


def files(connection: Connection, snapshot: Snapshot) -> list[File]:
    """Its files, as the store knows them."""
    return [File(row.path, row.file_size_bytes, row.sha256) for row in data_files(connection, snapshot)]


def _visible(columns: Any, snapshot: Snapshot) -> tuple[Any, ...]:
    ended_later = or_(columns.end_snapshot.is_(None), columns.end_snapshot > snapshot.id)
    return columns.table_id == snapshot.table_id, columns.begin_snapshot <= snapshot.id, ended_later


def newest_of(connection: Connection, project: str, name: str) -> Snapshot | None:
    s = catalog.snapshots.c
    query = select(catalog.snapshots).where(s.project == project, s.name == name).order_by(desc(s.snapshot_id)).limit(1)
    row = connection.execute(query).one_or_none()
    return _snapshot(row) if row else None


def _snapshot(row: Row) -> Snapshot:
    values = dict(row._mapping)
    return Snapshot(id=values.pop("snapshot_id"), **{k: v for k, v in values.items() if k != "project"})


_KINDS = {"inlined": "rows or deletions inlined in the catalog", "deleted": "delete files", "dropped": "the table dropped"}


def foreign(connection: Connection, snapshot: Snapshot) -> tuple[int, str] | None:
    """The first later snapshot that raypipe did not write and that names this table, with what it did."""
    changes, own = lake["snapshot_changes"], catalog.snapshots
    joined = changes.outerjoin(own, changes.c.snapshot_id == own.c.snapshot_id)
    query = (
        select(changes.c.snapshot_id, changes.c.changes_made)
        .select_from(joined)
        .where(changes.c.snapshot_id > snapshot.id, own.c.snapshot_id.is_(None))
        .order_by(changes.c.snapshot_id)
    )
    for number, made in connection.execute(query):
        plain = re.sub(r'"(?:[^"]|"")*"', '""', made or "")
        if found := re.search(rf"(\w+):{snapshot.table_id}\b", plain):
            return number, found[1]
    return None


def refuse_foreign(connection: Connection, snapshot: Snapshot) -> None:
    if found := foreign(connection, snapshot):
        number, what = found
        kind = next((text for word, text in _KINDS.items() if word in what), "files that raypipe did not write")
        raise DataError(
            f"table {snapshot.name}: snapshot {number} was written by another program ({what}: {kind}), and raypipe alone writes. "
            f"Snapshots up to {snapshot.id} are whole; a step that overwrites the table starts it afresh. Attach the catalog read-only."
        )
