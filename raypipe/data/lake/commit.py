"""The writer of the DuckLake catalog: a commit of files to a table, as statements of the transaction that publishes them."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, desc, func, insert, select, update

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.schema import canonical
from raypipe.data.fragment import Fragment
from raypipe.data.lake import catalog
from raypipe.data.lake.catalog import lake, lock
from raypipe.data.lake.columns import CatalogColumn, bound_text, merged
from raypipe.data.lake.snapshot import Mode, Snapshot, foreign, newest_of, refuse_foreign


@dataclass(frozen=True)
class Change:
    """What a commit is to do."""

    project: str
    name: str
    root: str
    """The store's: where the paths of the files start."""
    columns: tuple[CatalogColumn, ...]
    columns_digest: str
    fragments: tuple[Fragment, ...]
    chain: str
    mode: Mode
    before: int | None = None
    """An append: the snapshot that it continues, or None where the table is to be new."""
    message: str = ""
    about: dict[str, Json] = field(default_factory=dict)
    """Kept with the snapshot as JSON: the artifact, the run."""


def commit(connection: Connection, change: Change, artifact: str) -> Snapshot:
    """Publishes the change in the open transaction. An append of nothing keeps the snapshot that is there.

    DataError where the table is not (any more) at the snapshot that an append continues. An overwrite of a table whose columns differ, or
    that another program has changed, starts a new DuckLake table of the same name; older snapshots stay readable.
    """
    lock(connection)
    if not catalog.exists(connection):
        _create(connection, change.root)
    before = newest_of(connection, change.project, change.name)
    if change.mode == "append":
        _check_base(connection, change, before)
        if before and not change.fragments:
            return before
    at = _next(connection)
    schema_id = _schema_id(connection, at, change)
    if before and _same_table(connection, change, before):
        table_id = before.table_id
        if change.mode == "overwrite":
            _end(connection, at, "data_file", table_id)
            at.changes.append(f"deleted_from_table:{table_id}")
    else:
        table_id = _new_table(connection, at, change, schema_id)
    base = before if change.mode == "append" else None
    made = _snapshot_of(at, change, artifact, table_id, base)
    _add_files(connection, at, change, made)
    _set_table_stats(connection, change, made)
    _record(connection, at, change, made)
    return made


@dataclass
class _At:
    """The snapshot being written, and the numbers that it hands out."""

    id: int
    schema_version: int
    catalog_id: int
    file_id: int
    time: datetime
    changes: list[str]


def _create(connection: Connection, root: str) -> None:
    catalog.tables.create_all(connection)
    meta = {"version": catalog.VERSION, "created_by": "raypipe", "data_path": _folder(root), "encrypted": "false"}
    connection.execute(insert(lake["metadata"]), [{"key": key, "value": value} for key, value in meta.items()])
    start = _At(0, 0, 1, 0, datetime.now(UTC), ['created_schema:"main"'])
    _add_schema(connection, 0, 0, "main", "main/", relative=True)
    _record_lake(connection, start, "", {})


def _folder(root: str) -> str:
    return root.rstrip("/") + "/"


def _next(connection: Connection) -> _At:
    c = lake["snapshot"].c
    last = connection.execute(select(lake["snapshot"]).order_by(desc(c.snapshot_id)).limit(1)).one()
    return _At(last.snapshot_id + 1, last.schema_version, last.next_catalog_id, last.next_file_id, datetime.now(UTC), [])


def _check_base(connection: Connection, change: Change, before: Snapshot | None) -> None:
    if before:
        refuse_foreign(connection, before)
    found = before.id if before else None
    if found != change.before:
        names = ["no snapshot" if number is None else f"snapshot {number}" for number in (found, change.before)]
        raise DataError(
            f"table {change.name}: another run has committed meanwhile: the table is at {names[0]}, and these rows continue {names[1]}. "
            "Run again: what is committed is kept."
        )
    if before and before.columns_digest != change.columns_digest:
        raise DataError(f"table {change.name}: rows with other columns or types than snapshot {before.id} has cannot be appended to it")


def _same_table(connection: Connection, change: Change, before: Snapshot) -> bool:
    """Whether the commit goes on with the same DuckLake table: the same columns, and nothing in it that raypipe did not write."""
    return before.columns_digest == change.columns_digest and foreign(connection, before) is None


def _schema_id(connection: Connection, at: _At, change: Change) -> int:
    """The project's schema. Its path is the store's root, which may have moved since the last commit."""
    c = lake["schema"].c
    query = select(lake["schema"]).where(func.lower(c.schema_name) == change.project.lower(), c.end_snapshot.is_(None))
    there, path = connection.execute(query).one_or_none(), _folder(change.root)
    if there is None:
        at.catalog_id += 1
        _add_schema(connection, at.catalog_id - 1, at.id, change.project, path, relative=False)
        at.changes.append(f"created_schema:{_quoted(change.project)}")
        return at.catalog_id - 1
    if there.schema_name != change.project:
        raise DataError(
            f"project {change.project}: the catalog has a schema {there.schema_name!r}, which SQL cannot tell from it; rename it"
        )
    if there.path != path:
        connection.execute(update(lake["schema"]).where(c.schema_id == there.schema_id), {"path": path, "path_is_relative": False})
    return there.schema_id


def _add_schema(connection: Connection, number: int, begin: int, name: str, path: str, *, relative: bool) -> None:
    values = {"schema_id": number, "schema_uuid": str(uuid.uuid4()), "begin_snapshot": begin, "schema_name": name, "path": path}
    connection.execute(insert(lake["schema"]), values | {"path_is_relative": relative})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _new_table(connection: Connection, at: _At, change: Change, schema_id: int) -> int:
    """A table of that name; the one that has it now ends."""
    t = lake["table"].c
    query = select(t.table_id, t.table_name).where(
        t.schema_id == schema_id, func.lower(t.table_name) == change.name.lower(), t.end_snapshot.is_(None)
    )
    for number, name in connection.execute(query).all():
        if name != change.name:
            raise DataError(f"table {change.name}: there is a table {name!r} already, which SQL cannot tell from it; rename one of them")
        for each in ("table", "column", "data_file", "delete_file"):
            _end(connection, at, each, number)
        at.changes.append(f"dropped_table:{number}")
    at.catalog_id, table_id = at.catalog_id + 1, at.catalog_id
    at.schema_version += 1
    at.changes.append(f"created_table:{_quoted(change.project)}.{_quoted(change.name)}")
    values = {
        "table_id": table_id,
        "table_uuid": str(uuid.uuid4()),
        "begin_snapshot": at.id,
        "schema_id": schema_id,
        "table_name": change.name,
    }
    connection.execute(insert(lake["table"]), values | {"path": "", "path_is_relative": True})
    connection.execute(insert(lake["column"]), [_column_row(column, at, table_id) for column in change.columns])
    connection.execute(
        insert(lake["schema_versions"]), {"begin_snapshot": at.id, "schema_version": at.schema_version, "table_id": table_id}
    )
    return table_id


def _column_row(column: CatalogColumn, at: _At, table_id: int) -> dict[str, Any]:
    return {
        "column_id": column.id,
        "begin_snapshot": at.id,
        "table_id": table_id,
        "column_order": column.id,
        "column_name": column.name,
        "column_type": column.type,
        "default_value": "NULL",
        "nulls_allowed": column.nullable,
        "parent_column": column.parent,
        "default_value_type": "" if column.type in ("list", "struct", "map") else "literal",
        "default_value_dialect": "duckdb",
    }


def _end(connection: Connection, at: _At, table: str, table_id: int) -> None:
    c = lake[table].c
    ended = update(lake[table]).where(c.table_id == table_id, c.end_snapshot.is_(None))
    connection.execute(ended, {"end_snapshot": at.id})


def _snapshot_of(at: _At, change: Change, artifact: str, table_id: int, base: Snapshot | None) -> Snapshot:
    parts = [(base.num_rows, base.stats)] if base else []
    parts += [(fragment.num_rows, fragment.stats) for fragment in change.fragments]
    return Snapshot(
        id=at.id,
        name=change.name,
        table_id=table_id,
        artifact=artifact,
        mode=change.mode,
        num_rows=sum(rows for rows, _ in parts),
        num_files=len(change.fragments) + (base.num_files if base else 0),
        size=sum(fragment.size for fragment in change.fragments) + (base.size if base else 0),
        columns_digest=change.columns_digest,
        chain=change.chain,
        stats=merged(change.columns, parts),
        created_at=at.time.isoformat(timespec="milliseconds"),
    )


def _add_files(connection: Connection, at: _At, change: Change, made: Snapshot) -> None:
    if not change.fragments:
        return
    first_row = _next_row(connection, made.table_id)
    rows, own, stats = [], [], []
    for fragment in change.fragments:
        rows.append(_file_row(fragment, at, made.table_id, first_row))
        own.append({"data_file_id": at.file_id, "sha256": fragment.sha256, "stats": fragment.stats})
        stats += [_file_stats_row(column, fragment, at.file_id, made.table_id) for column in change.columns if column.bounds]
        first_row += fragment.num_rows
        at.file_id += 1
    connection.execute(insert(lake["data_file"]), rows)
    connection.execute(insert(catalog.fragments), own)
    if stats:
        connection.execute(insert(lake["file_column_stats"]), stats)
    at.changes.append(f"inserted_into_table:{made.table_id}")


def _next_row(connection: Connection, table_id: int) -> int:
    c = lake["table_stats"].c
    return connection.execute(select(c.next_row_id).where(c.table_id == table_id)).scalar_one_or_none() or 0


def _file_row(fragment: Fragment, at: _At, table_id: int, first_row: int) -> dict[str, Any]:
    return {
        "data_file_id": at.file_id,
        "table_id": table_id,
        "begin_snapshot": at.id,
        "path": fragment.path,
        "path_is_relative": True,
        "file_format": "parquet",
        "record_count": fragment.num_rows,
        "file_size_bytes": fragment.size,
        "footer_size": fragment.footer_bytes,
        "row_id_start": first_row,
    }


def _file_stats_row(column: CatalogColumn, fragment: Fragment, file_id: int, table_id: int) -> dict[str, Any]:
    stats = fragment.stats[column.source]
    return {
        "data_file_id": file_id,
        "table_id": table_id,
        "column_id": column.id,
        "value_count": fragment.num_rows - stats["nulls"],
        "null_count": stats["nulls"],
        "min_value": bound_text(stats["min"]),
        "max_value": bound_text(stats["max"]),
        "contains_nan": stats["nans"] > 0 if column.floating else None,
    }


def _set_table_stats(connection: Connection, change: Change, made: Snapshot) -> None:
    """The statistics of the table as it is now: replaced, they have no history."""
    total, per_column = lake["table_stats"], lake["table_column_stats"]
    next_row = _next_row(connection, made.table_id) + sum(fragment.num_rows for fragment in change.fragments)
    values = {"table_id": made.table_id, "record_count": made.num_rows, "next_row_id": next_row, "file_size_bytes": made.size}
    for table in (total, per_column):
        connection.execute(delete(table).where(table.c.table_id == made.table_id))
    connection.execute(insert(total), values)
    rows = [_table_stats_row(column, made) for column in change.columns if column.bounds]
    if rows:
        connection.execute(insert(per_column), rows)


def _table_stats_row(column: CatalogColumn, made: Snapshot) -> dict[str, Any]:
    stats = made.stats[column.source]
    return {
        "table_id": made.table_id,
        "column_id": column.id,
        "contains_null": stats["nulls"] > 0,
        "contains_nan": stats["nans"] > 0 if column.floating else None,
        "min_value": bound_text(stats["min"]),
        "max_value": bound_text(stats["max"]),
    }


def _record(connection: Connection, at: _At, change: Change, made: Snapshot) -> None:
    about = {**change.about, "artifact": made.artifact}
    _record_lake(connection, at, change.message, about)
    values = asdict(made)
    connection.execute(insert(catalog.snapshots), {"snapshot_id": values.pop("id"), "project": change.project, **values})


def _record_lake(connection: Connection, at: _At, message: str, about: dict[str, Json]) -> None:
    time = at.time if connection.dialect.name == "postgresql" else at.time.strftime("%Y-%m-%d %H:%M:%S.%f+00")
    numbers = {"schema_version": at.schema_version, "next_catalog_id": at.catalog_id, "next_file_id": at.file_id}
    connection.execute(insert(lake["snapshot"]), {"snapshot_id": at.id, "snapshot_time": time, **numbers})
    texts = {"author": "raypipe", "commit_message": message or None, "commit_extra_info": canonical(about) if about else None}
    connection.execute(insert(lake["snapshot_changes"]), {"snapshot_id": at.id, "changes_made": ",".join(at.changes), **texts})
