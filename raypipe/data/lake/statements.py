"""The statements of a commit: rows of the DuckLake catalog, with those of raypipe's own beside them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, bindparam, delete, desc, func, insert, select, update

from raypipe.core.artifact import Json
from raypipe.core.canonical import canonical
from raypipe.core.errors import DataError
from raypipe.core.statement import Statement
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.fragment.positions import Deletes
from raypipe.data.lake import catalog, layouts, schemas
from raypipe.data.lake.catalog import lake
from raypipe.data.lake.columns import CatalogColumn, bound_text
from raypipe.data.lake.snapshot import Snapshot
from raypipe.data.names import quoted

TIME = "%Y-%m-%d %H:%M:%S.%f+00"
"""A time as text, for SQLite, as DuckDB writes it there."""
MANY = 500
"""Numbers in one statement: SQLite and PostgreSQL have limits."""

_schema, _table, _column, _of_table = lake["schema"].c, lake["table"].c, lake["column"].c, bindparam("of_table")
_LAST = Statement(select(lake["snapshot"]).order_by(desc(lake["snapshot"].c.snapshot_id)).limit(1))
_SCHEMA = Statement(select(lake["schema"]).where(func.lower(_schema.schema_name) == bindparam("of_name"), _schema.end_snapshot.is_(None)))
_NAMED = Statement(
    select(_table.table_id, _table.table_name).where(
        _table.schema_id == bindparam("of_schema"), func.lower(_table.table_name) == bindparam("of_name"), _table.end_snapshot.is_(None)
    )
)
_COLUMNS = Statement(select(lake["column"]).where(_column.table_id == _of_table, _column.end_snapshot.is_(None)))
_NEXT_ROW = Statement(select(lake["table_stats"].c.next_row_id).where(lake["table_stats"].c.table_id == _of_table))
_OLD_STATS = [Statement(delete(lake[name]).where(lake[name].c.table_id == _of_table)) for name in ("table_stats", "table_column_stats")]
_ADD = {name: Statement(insert(table)) for name, table in lake.items()}
_ADD_FRAGMENT, _ADD_DELETES, _ADD_SNAPSHOT = (Statement(insert(own)) for own in (catalog.fragments, catalog.deletes, catalog.snapshots))
_END = {
    name: Statement(
        update(lake[name])
        .where(lake[name].c.table_id == _of_table, lake[name].c.end_snapshot.is_(None))
        .values(end_snapshot=bindparam("now"))
    )
    for name in ("table", "column", "data_file", "delete_file")
}


@dataclass
class At:
    """The snapshot being written, and the numbers that it hands out."""

    id: int
    schema_version: int
    catalog_id: int
    file_id: int
    time: datetime
    changes: list[str]
    has_new_schema: bool = False
    new_table: int | None = None
    """The table that begins with this snapshot: there is nothing of it yet."""


def create(connection: Connection, root: str) -> None:
    """The catalog's tables, and its snapshot 0."""
    catalog.tables.create_all(connection)
    meta = {"version": catalog.VERSION, "created_by": "raypipe", "data_path": _folder(root), "encrypted": "false"}
    _ADD["metadata"].on(connection, [{"key": key, "value": value} for key, value in meta.items()])
    start = At(0, 0, 1, 0, datetime.now(UTC), ['created_schema:"main"'])
    _add_schema(connection, 0, 0, "main", "main/", relative=True)
    _record_lake(connection, start, "", {})


def following(connection: Connection) -> At:
    """The snapshot after the newest one of the catalog."""
    last = _LAST.on(connection).one()
    return At(last.snapshot_id + 1, last.schema_version, last.next_catalog_id, last.next_file_id, datetime.now(UTC), [])


def schema_id(connection: Connection, at: At, project: str, root: str) -> int:
    """The project's schema. Its path is the store's root, which may have moved since the last commit."""
    c = lake["schema"].c
    there, path = _SCHEMA.on(connection, {"of_name": project.lower()}).one_or_none(), _folder(root)
    if there is None:
        at.catalog_id += 1
        _add_schema(connection, at.catalog_id - 1, at.id, project, path, relative=False)
        at.changes.append(f"created_schema:{quoted(project)}")
        return at.catalog_id - 1
    if there.schema_name != project:
        raise DataError(f"project {project}: the catalog has a schema {there.schema_name!r}, which SQL cannot tell from it; rename it")
    if there.path != path:
        connection.execute(update(lake["schema"]).where(c.schema_id == there.schema_id), {"path": path, "path_is_relative": False})
    return there.schema_id


def _folder(root: str) -> str:
    return root.rstrip("/") + "/"


def _add_schema(connection: Connection, number: int, begin: int, name: str, path: str, *, relative: bool) -> None:
    values = {"schema_id": number, "schema_uuid": str(uuid.uuid4()), "begin_snapshot": begin, "schema_name": name, "path": path}
    _ADD["schema"].on(connection, values | {"path_is_relative": relative})


def new_table(connection: Connection, at: At, project: str, name: str, schema_id: int) -> int:
    """A table of that name, without columns; the one that has it now ends."""
    for number, found in _NAMED.on(connection, {"of_schema": schema_id, "of_name": name.lower()}).all():
        if found != name:
            raise DataError(f"table {name}: there is a table {found!r} already, which SQL cannot tell from it; rename one of them")
        for each in ("table", "column", "data_file", "delete_file"):
            _end(connection, at, each, number)
        at.changes.append(f"dropped_table:{number}")
    at.catalog_id, table_id = at.catalog_id + 1, at.catalog_id
    at.new_table = table_id
    at.changes.append(f"created_table:{quoted(project)}.{quoted(name)}")
    values = {
        "table_id": table_id,
        "table_uuid": str(uuid.uuid4()),
        "begin_snapshot": at.id,
        "schema_id": schema_id,
        "table_name": name,
    }
    _ADD["table"].on(connection, values | {"path": "", "path_is_relative": True})
    return table_id


def set_columns(connection: Connection, at: At, table_id: int, columns: Sequence[CatalogColumn]) -> None:
    """From this snapshot on the table has these columns: rows of the catalog end and begin where they differ."""
    c = lake["column"].c
    found = _COLUMNS.on(connection, {"of_table": table_id}).all() if table_id != at.new_table else ()
    there: dict[int, Any] = {row.column_id: row for row in found}
    rows = [_column_row(column, at, table_id, order) for order, column in enumerate(columns, 1)]
    new = [row for row in rows if row["column_id"] not in there or _differs(there[row["column_id"]], row)]
    ended = [row["column_id"] for row in new if row["column_id"] in there]
    ended += [number for number in there if number not in {column.id for column in columns}]
    for start in range(0, len(ended), MANY):
        these = (c.table_id == table_id, c.end_snapshot.is_(None), c.column_id.in_(ended[start : start + MANY]))
        connection.execute(update(lake["column"]).where(*these), {"end_snapshot": at.id})
    if new:
        _ADD["column"].on(connection, new)
    altered(connection, at, table_id, tell=bool(there))


def altered(connection: Connection, at: At, table_id: int, *, tell: bool = True) -> None:
    """The snapshot has another schema than the one before, in columns or layout."""
    if tell and (change := f"altered_table:{table_id}") not in at.changes:
        at.changes.append(change)
    if not at.has_new_schema:
        at.has_new_schema = True
        at.schema_version += 1
        values = {"begin_snapshot": at.id, "schema_version": at.schema_version, "table_id": table_id}
        _ADD["schema_versions"].on(connection, values)


def _differs(there: Any, row: dict[str, Any]) -> bool:
    return any(getattr(there, key) != value for key, value in row.items() if key != "begin_snapshot")


def _column_row(column: CatalogColumn, at: At, table_id: int, order: int) -> dict[str, Any]:
    return {
        "column_id": column.id,
        "begin_snapshot": at.id,
        "table_id": table_id,
        "column_order": order,
        "column_name": column.name,
        "column_type": column.type,
        "initial_default": column.default,
        "default_value": "NULL",
        "nulls_allowed": column.nullable,
        "parent_column": column.parent,
        "default_value_type": "" if column.type in ("list", "struct", "map") else "literal",
        "default_value_dialect": "duckdb",
    }


def _end(connection: Connection, at: At, table: str, table_id: int) -> None:
    _END[table].on(connection, {"of_table": table_id, "now": at.id})


def end_all(connection: Connection, at: At, table_id: int) -> None:
    """Every file of the table ends."""
    for each in ("data_file", "delete_file"):
        _end(connection, at, each, table_id)


def end_files(connection: Connection, at: At, table_id: int, files: Sequence[int], deletes_of: Sequence[int]) -> None:
    """These data files end; so do their delete files, and those of the data files in `deletes_of`, which go on."""
    for each, numbers in (("data_file", files), ("delete_file", [*files, *deletes_of])):
        c = lake[each].c
        for start in range(0, len(numbers), MANY):
            these = c.data_file_id.in_(numbers[start : start + MANY])
            ended = update(lake[each]).where(c.table_id == table_id, c.end_snapshot.is_(None), these)
            connection.execute(ended, {"end_snapshot": at.id})


def add_files(
    connection: Connection, at: At, table_id: int, schema: pa.Schema, columns: Sequence[CatalogColumn], fragments: Sequence[Fragment]
) -> None:
    """The files, with their statistics and the delete files that they bring along."""
    if not fragments:
        return
    first_row, partitions = _next_row(connection, at, table_id), layouts.numbers(connection, table_id, schema)
    rows, own, stats, deletes, values = [], [], [], [], []
    for fragment in fragments:
        keys = tuple(key for key, _ in fragment.partition)
        rows.append(_file_row(fragment, at, table_id, first_row) | {"partition_id": partitions.get(keys)})
        if keys in partitions:
            values += layouts.value_rows(fragment, at.file_id, table_id)
        stats_by_id = schemas.by_id(fragment.stats, schema)
        digests = {"sha256": fragment.sha256, "footer_sha256": fragment.footer_sha256, "columns_digest": fragment.columns}
        own.append({"data_file_id": at.file_id, **digests, "stats": stats_by_id})
        stats += [_file_stats_row(column, fragment, at.file_id, table_id) for column in columns if column.bounds]
        if fragment.deletes:
            deletes.append((at.file_id, fragment.deletes))
        first_row += fragment.num_rows
        at.file_id += 1
    _ADD["data_file"].on(connection, rows)
    _ADD_FRAGMENT.on(connection, own)
    for table, more in (("file_column_stats", stats), ("file_partition_value", values)):
        if more:
            _ADD[table].on(connection, more)
    add_deletes(connection, at, table_id, deletes)
    at.changes.append(f"inserted_into_table:{table_id}")


def add_deletes(connection: Connection, at: At, table_id: int, deletes: Sequence[tuple[int, Deletes]]) -> None:
    """Delete files, each with the number of its data file; the ones before have been ended."""
    if not deletes:
        return
    rows, own = [], []
    for number, each in deletes:
        rows.append(_delete_row(each, number, at, table_id))
        own.append({"delete_file_id": at.file_id, "sha256": each.sha256})
        at.file_id += 1
    _ADD["delete_file"].on(connection, rows)
    _ADD_DELETES.on(connection, own)


def _delete_row(deletes: Deletes, data_file_id: int, at: At, table_id: int) -> dict[str, Any]:
    return {
        "delete_file_id": at.file_id,
        "table_id": table_id,
        "begin_snapshot": at.id,
        "data_file_id": data_file_id,
        "path": deletes.path,
        "path_is_relative": True,
        "format": "parquet",
        "delete_count": deletes.num_rows,
        "file_size_bytes": deletes.size,
        "footer_size": deletes.footer_bytes,
    }


def _next_row(connection: Connection, at: At, table_id: int) -> int:
    if table_id == at.new_table:
        return 0
    return _NEXT_ROW.on(connection, {"of_table": table_id}).scalar_one_or_none() or 0


def _file_row(fragment: Fragment, at: At, table_id: int, first_row: int) -> dict[str, Any]:
    return {
        "data_file_id": at.file_id,
        "table_id": table_id,
        "begin_snapshot": at.id,
        "file_order": fragment.place,
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


def set_table_stats(connection: Connection, at: At, columns: Sequence[CatalogColumn], made: Snapshot, num_new_rows: int) -> None:
    """The statistics of the table as it is now: replaced, they have no history."""
    next_row = _next_row(connection, at, made.table_id) + num_new_rows
    values = {"table_id": made.table_id, "record_count": made.num_rows, "next_row_id": next_row, "file_size_bytes": made.size}
    for old in _OLD_STATS if made.table_id != at.new_table else ():
        old.on(connection, {"of_table": made.table_id})
    _ADD["table_stats"].on(connection, values)
    rows = [_table_stats_row(column, made) for column in columns if column.bounds]
    if rows:
        _ADD["table_column_stats"].on(connection, rows)


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


def record(connection: Connection, at: At, project: str, made: Snapshot, message: str, about: dict[str, Json]) -> None:
    """The snapshot itself, with who made it and why."""
    _record_lake(connection, at, message, about)
    values = asdict(made)
    _ADD_SNAPSHOT.on(connection, {"snapshot_id": values.pop("id"), "project": project, **values})


def _record_lake(connection: Connection, at: At, message: str, about: dict[str, Json]) -> None:
    time = at.time if connection.dialect.name == "postgresql" else at.time.strftime(TIME)
    numbers = {"schema_version": at.schema_version, "next_catalog_id": at.catalog_id, "next_file_id": at.file_id}
    _ADD["snapshot"].on(connection, {"snapshot_id": at.id, "snapshot_time": time, **numbers})
    texts = {"author": "raypipe", "commit_message": message or None, "commit_extra_info": canonical(about) if about else None}
    _ADD["snapshot_changes"].on(connection, {"snapshot_id": at.id, "changes_made": ",".join(at.changes), **texts})
