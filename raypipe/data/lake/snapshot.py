"""A snapshot: one version of a table, found in the DuckLake catalog of the ledger's database, with its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, desc, func, or_, select

from raypipe.core.artifact import File, Json
from raypipe.core.errors import DataError
from raypipe.data.fragment import Fragment
from raypipe.data.lake import catalog
from raypipe.data.lake.catalog import lake
from raypipe.data.positions import Deletes

Mode = Literal["append", "overwrite", "upsert", "replace", "delete", "compact", "restore", "evolve"]
"""What a commit did: `replace` is an overwrite of some partitions, `evolve` a change of the columns alone."""


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
    """Rows that a reader gets."""
    num_deleted: int
    """Rows that its files hold and its delete files delete."""
    num_files: int
    size: int
    """Bytes of its files."""
    columns_digest: str
    chain: str
    """Digest of its logical content: of all that was appended, and of what was done to it since. Compaction keeps it."""
    stats: dict[str, dict[str, Json]]
    """As a fragment's, over all rows of its files; of the columns that the catalog shows."""
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


def data_files(connection: Connection, snapshot: Snapshot) -> list[Fragment]:
    """Its files, in the order of the table's rows, each with its delete file.

    DataError where they are not those that were committed: compacted, deleted from or ended by another program.
    """
    made, first_row = [], 0
    for row in _rows(connection, snapshot):
        made.append(_fragment(row, first_row))
        first_row += made[-1].num_live
    strange = sum(f.deletes is not None and not f.deletes.sha256 for f in made)
    if strange or len(made) != snapshot.num_files or first_row != snapshot.num_rows:
        raise DataError(
            f"table {snapshot.name}: snapshot {snapshot.id} was committed with {snapshot.num_files} files and {snapshot.num_rows} rows; "
            f"the catalog now has {len(made)} of raypipe's files with {first_row} rows, and {strange} delete files that are not raypipe's: "
            "another program has changed it. Restore the ledger from a copy, and attach it read-only."
        )
    return made


def _rows(connection: Connection, snapshot: Snapshot) -> Sequence[Row]:
    """A row a data file and delete file, those of another program's making among the latter."""
    d, f, x = lake["data_file"].c, catalog.fragments.c, lake["delete_file"].c
    place = func.coalesce(d.file_order, d.data_file_id).label("place")
    deletes = (x.delete_file_id, x.path.label("delete_path"), x.delete_count, x.file_size_bytes.label("delete_size"))
    more = (x.footer_size.label("delete_footer"), catalog.deletes.c.sha256.label("delete_sha256"))
    columns = (d.data_file_id, place, d.path, d.record_count, d.file_size_bytes, d.footer_size, f.sha256, f.stats, *deletes, *more)
    joined = (
        lake["data_file"]
        .join(catalog.fragments, d.data_file_id == f.data_file_id)
        .outerjoin(lake["delete_file"], and_(x.data_file_id == d.data_file_id, *_visible(x, snapshot)))
        .outerjoin(catalog.deletes, catalog.deletes.c.delete_file_id == x.delete_file_id)
    )
    return connection.execute(select(*columns).select_from(joined).where(*_visible(d, snapshot)).order_by(place)).all()


def _fragment(row: Row, first_row: int) -> Fragment:
    deletes = None
    if row.delete_file_id is not None:
        about = (row.delete_path or "", row.delete_count or 0, row.delete_size or 0, row.delete_sha256 or "", row.delete_footer or 0)
        deletes = Deletes(*about, id=row.delete_file_id)
    about = (row.path, row.record_count, row.file_size_bytes, row.sha256, first_row, row.footer_size, row.stats)
    return Fragment(*about, deletes=deletes, id=row.data_file_id, place=row.place)


def files(connection: Connection, snapshot: Snapshot) -> list[File]:
    """Its files and delete files, as the store knows them."""
    parts = data_files(connection, snapshot)
    return [File(part.path, part.size, part.sha256) for f in parts for part in (f, f.deletes) if part]


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
