"""A snapshot: one version of a table, found in the DuckLake catalog of the ledger's database, with its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Row, and_, bindparam, desc, func, or_, select

from raypipe.core.artifact import File, Json
from raypipe.core.errors import DataError, nearest
from raypipe.core.schema import events
from raypipe.core.statement import Statement
from raypipe.data.lake import catalog, layouts, schemas
from raypipe.data.lake.catalog import lake

if TYPE_CHECKING:
    from sqlalchemy import Select

    from raypipe.data.fragment.fragment import Fragment

EXPIRED = "expired"
"""The entry of the audit trail about snapshots that ended."""

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
    asked = {"of_snapshot": snapshot, "of_project": project, "of_name": name}
    row = _FIND.on(connection, asked).one_or_none() if catalog.exists(connection) else None
    if row is None:
        kept = _kept(connection, project, name)
        if ended := _ended(connection, project, name, snapshot):
            raise DataError(f"table {name}: snapshot {snapshot} has expired{ended}{kept.replace(', or it has expired:', ';')}")
        raise DataError(f"table {name}: raypipe has not written a snapshot {snapshot} of it in the project {project!r}{kept}")
    return _snapshot(row)


def _ended(connection: Connection, project: str, name: str, snapshot: int) -> str:
    """When a snapshot ended, and under which rule where it was retention that ended it; empty where none did."""
    e = events.c
    for row in connection.execute(select(e.at, e.detail).where(e.project == project, e.what == EXPIRED)):
        if row.detail["table"] == name and snapshot in row.detail["snapshots"]:
            rule = row.detail.get("rule")
            return f" on {row.at[:10]}{f': retention ended it under {rule}' if rule else ''}"
    return ""


def _kept(connection: Connection, project: str, name: str) -> str:
    s = catalog.snapshots.c
    query = select(func.min(s.snapshot_id), func.max(s.snapshot_id)).where(s.project == project, s.name == name)
    low, high = connection.execute(query).one() if catalog.exists(connection) else (None, None)
    return "" if low is None else f", or it has expired: the oldest that is kept is {low}, the newest {high}"


def at(connection: Connection, project: str, name: str, spec: str | int | None) -> Snapshot:
    """The snapshot of that number, of that tag, or the newest one by that time (`2026-11-01T00:00Z`; UTC where no zone is given).

    None: the newest. DataError where there is none such, with what there is, and where another program has changed the table since.
    """
    text = "" if spec is None else str(spec).strip()
    if text.isdigit():
        return find(connection, project, name, int(text))
    if not text:
        found = latest(connection, project, name)
        if found is None:
            there = [snapshot.name for snapshot in newest(connection, project)]
            raise DataError(f"there is no table {name!r}.{nearest(name, there)}")
        return found
    if (time := moment(text)) is not None:
        return _by_time(connection, project, name, time)
    return find(connection, project, name, _tagged(connection, project, name, text))


def moment(text: str) -> datetime | None:
    """The time that a text says, in UTC where it says no zone; None where it says none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def _by_time(connection: Connection, project: str, name: str, time: datetime) -> Snapshot:
    s = catalog.snapshots.c
    of_table = select(catalog.snapshots).where(s.project == project, s.name == name)
    # Times are kept to the millisecond, all in UTC, so that their texts sort as they do.
    until = of_table.where(s.created_at <= time.isoformat(timespec="milliseconds")).order_by(desc(s.snapshot_id)).limit(1)
    row = connection.execute(until).one_or_none() if catalog.exists(connection) else None
    if row is None:
        oldest = connection.execute(of_table.order_by(s.snapshot_id).limit(1)).one_or_none() if catalog.exists(connection) else None
        there = f"the oldest that is kept is snapshot {oldest.snapshot_id} of {oldest.created_at}" if oldest else "there is no such table"
        raise DataError(f"table {name}: has no snapshot of {time.isoformat()} or before: {there}")
    return _snapshot(row)


def _tagged(connection: Connection, project: str, name: str, tag: str) -> int:
    t = catalog.tags.c
    query = select(t.tag, t.snapshot_id).where(t.project == project, t.name == name)
    tags = {row.tag: row.snapshot_id for row in connection.execute(query)} if catalog.exists(connection) else {}
    if tag not in tags:
        raise DataError(f"table {name}: has no tag {tag!r}, and that is no snapshot's number and no time.{nearest(tag, tags)}")
    return tags[tag]


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
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.fragment.positions import Deletes

    made, first_row = [], 0
    for row in _rows(connection, snapshot):
        deletes = None if row.delete_file_id is None else Deletes(*_delete_file(row), row.delete_footer, row.delete_file_id)
        about = (row.path, row.record_count, row.file_size_bytes, row.sha256, first_row, row.footer_size, row.stats)
        made.append(Fragment(*about, deletes, row.data_file_id, row.place, row.columns_digest, footer_sha256=row.footer_sha256))
        first_row += made[-1].num_live
    return layouts.parted(connection, snapshot, schemas.as_of(connection, snapshot, made))


def _delete_file(row: Row) -> tuple[str, int, int, str]:
    return row.delete_path, row.delete_count, row.delete_size, row.delete_sha256


def _rows(connection: Connection, snapshot: Snapshot) -> Sequence[Row]:
    """A row a data file, with its delete file."""
    rows = _FILES.on(connection, {"of_table": snapshot.table_id, "of_snapshot": snapshot.id}).all()
    _check(snapshot, rows)
    return rows


def _files_of_one() -> Select:
    d, f, x = lake["data_file"].c, catalog.fragments.c, lake["delete_file"].c
    place = func.coalesce(d.file_order, d.data_file_id).label("place")
    deletes = (x.delete_file_id, x.path.label("delete_path"), x.delete_count, x.file_size_bytes.label("delete_size"))
    more = (x.footer_size.label("delete_footer"), catalog.deletes.c.sha256.label("delete_sha256"))
    own = (f.sha256, f.footer_sha256, f.columns_digest, f.stats)
    files = (d.data_file_id, place, d.path, d.record_count, d.file_size_bytes, d.footer_size, *own)
    joined = (
        lake["data_file"]
        .join(catalog.fragments, d.data_file_id == f.data_file_id)
        .outerjoin(lake["delete_file"], and_(x.data_file_id == d.data_file_id, *_visible(x)))
        .outerjoin(catalog.deletes, catalog.deletes.c.delete_file_id == x.delete_file_id)
    )
    return select(*files, *deletes, *more).select_from(joined).where(*_visible(d)).order_by(place)


def _check(snapshot: Snapshot, rows: Sequence[Row]) -> None:
    num_rows = sum(row.record_count - (row.delete_count or 0) for row in rows)
    strange = sum(row.delete_file_id is not None and row.delete_sha256 is None for row in rows)
    if strange or len(rows) != snapshot.num_files or num_rows != snapshot.num_rows:
        raise DataError(
            f"table {snapshot.name}: snapshot {snapshot.id} was committed with {snapshot.num_files} files and {snapshot.num_rows} rows; "
            f"the catalog now has {len(rows)} of raypipe's files with {num_rows} rows, and {strange} delete files that are not raypipe's: "
            "another program has changed it. Restore the ledger from a copy, and attach it read-only."
        )


def files(connection: Connection, snapshot: Snapshot) -> list[File]:
    """Its files and delete files, as the store knows them."""
    rows = _rows(connection, snapshot)
    deletes = [File(row.delete_path, row.delete_size, row.delete_sha256) for row in rows if row.delete_file_id is not None]
    return [*(File(row.path, row.file_size_bytes, row.sha256) for row in rows), *deletes]


def _visible(columns: Any) -> tuple[Any, ...]:
    table, snapshot = bindparam("of_table"), bindparam("of_snapshot")
    ended_later = or_(columns.end_snapshot.is_(None), columns.end_snapshot > snapshot)
    return columns.table_id == table, columns.begin_snapshot <= snapshot, ended_later


_FILES = Statement(_files_of_one())
_s = catalog.snapshots.c
_OF_TABLE = _s.project == bindparam("of_project"), _s.name == bindparam("of_name")
_FIND = Statement(select(catalog.snapshots).where(_s.snapshot_id == bindparam("of_snapshot"), *_OF_TABLE))
_NEWEST = Statement(select(catalog.snapshots).where(*_OF_TABLE).order_by(desc(_s.snapshot_id)).limit(1))


def newest_of(connection: Connection, project: str, name: str) -> Snapshot | None:
    row = _NEWEST.on(connection, {"of_project": project, "of_name": name}).one_or_none()
    return _snapshot(row) if row else None


def _snapshot(row: Row) -> Snapshot:
    values = row._asdict()
    return Snapshot(id=values.pop("snapshot_id"), **{k: v for k, v in values.items() if k != "project"})


def _foreign_changes() -> Select:
    changes, own = lake["snapshot_changes"], catalog.snapshots
    joined = changes.outerjoin(own, changes.c.snapshot_id == own.c.snapshot_id)
    query = select(changes.c.snapshot_id, changes.c.changes_made).select_from(joined)
    return query.where(changes.c.snapshot_id > bindparam("of_snapshot"), own.c.snapshot_id.is_(None)).order_by(changes.c.snapshot_id)


_FOREIGN = Statement(_foreign_changes())
_KINDS = {"inlined": "rows or deletions inlined in the catalog", "deleted": "delete files", "dropped": "the table dropped"}


def foreign(connection: Connection, snapshot: Snapshot) -> tuple[int, str] | None:
    """The first later snapshot that raypipe did not write and that names this table, with what it did."""
    for number, made in _FOREIGN.on(connection, {"of_snapshot": snapshot.id}):
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
