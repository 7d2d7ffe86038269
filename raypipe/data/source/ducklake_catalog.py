"""What a DuckLake catalog says of one table: its columns and files at a snapshot, and what came since another one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, and_, column, func, or_, select, table

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.data.lake.catalog import lake
from raypipe.data.source.ducklake import DuckLake, LakeColumn, LakePiece
from raypipe.data.source.files import require
from raypipe.data.source.sql_rows import opened
from raypipe.data.source.url import is_url, url_problems

ADVICE = "Take everything anew into another table (setting `table` of Ingest)."


@dataclass(frozen=True)
class Held:
    """A table's files at one snapshot."""

    name: str
    uuid: str
    snapshot: int
    files: Sequence[Any]
    pieces: Sequence[LakePiece]
    """In the order of `files`."""

    @property
    def position(self) -> Json:
        return {"table": self.uuid, "snapshot": self.snapshot, "rows": _num_live(self.files)}

    def beyond(self, taken: Json) -> list[LakePiece]:
        """The files that came after the snapshot that was taken. DataError where what was taken is not all there any more."""
        if taken is None:
            return list(self.pieces)
        if taken["table"] != self.uuid:
            raise DataError(f"{self.name}: is another table of that name than the one that was taken. {ADVICE}")
        if self.snapshot < taken["snapshot"]:
            raise DataError(f"{self.name}: is at snapshot {self.snapshot}, and was taken up to {taken['snapshot']}: it went back. {ADVICE}")
        before = [file for file in self.files if file.begin_snapshot <= taken["snapshot"]]
        if any((file.partial_max or 0) > taken["snapshot"] for file in before):
            raise DataError(f"{self.name}: rows that were taken and new ones were compacted into one file. {ADVICE}")
        if _num_live(before) != taken["rows"]:
            raise DataError(f"{self.name}: {taken['rows']:,} rows were taken, {_num_live(before):,} of them are left unchanged. {ADVICE}")
        return [piece for file, piece in zip(self.files, self.pieces, strict=True) if file.begin_snapshot > taken["snapshot"]]


def read(source: DuckLake, project_path: Path) -> Held:
    """The table at the snapshot that the source names."""
    with opened(source.database, project_path) as database:
        return _read(source, database.connection, project_path)


def _read(source: DuckLake, connection: Connection, project_path: Path) -> Held:
    snapshot = _snapshot(source, connection)
    found = _table(source, connection, snapshot)
    root = _root(source, connection, found, project_path)
    _refuse_inlined(source, connection, found.table_id, snapshot)
    columns = _columns(source, connection, found.table_id, snapshot)
    files = _files(connection, found.table_id, snapshot)
    return Held(source.name, str(found.table_uuid), snapshot, files, [_piece(source, file, root, columns) for file in files])


def _snapshot(source: DuckLake, connection: Connection) -> int:
    c = lake["snapshot"].c.snapshot_id
    if source.snapshot is None:
        return connection.execute(select(func.max(c))).scalar_one()
    if connection.execute(select(c).where(c == source.snapshot)).first() is None:
        raise DataError(f"{source.name}: the catalog has no snapshot {source.snapshot} (any more)")
    return source.snapshot


def _table(source: DuckLake, connection: Connection, snapshot: int) -> Any:
    t, s = lake["table"].c, lake["schema"].c
    joined = lake["table"].join(lake["schema"], t.schema_id == s.schema_id)
    about = (t.table_id, t.table_uuid, t.table_name, s.schema_name, t.path, t.path_is_relative, s.path, s.path_is_relative)
    query = select(*(c.label(n) for c, n in zip(about, _ABOUT, strict=True))).select_from(joined)
    rows = connection.execute(query.where(_visible(t, snapshot), _visible(s, snapshot))).all()
    schema, _, name = source.name.rpartition(".")
    for row in rows:
        if (row.schema_name, row.table_name) == (schema or "main", name):
            return row
    names = [row.table_name if row.schema_name == "main" else f"{row.schema_name}.{row.table_name}" for row in rows]
    raise DataError(f"{source.name}: the catalog has no such table at snapshot {snapshot}.{nearest(source.name, names)}")


_ABOUT = ("table_id", "table_uuid", "table_name", "schema_name", "table_path", "table_relative", "schema_path", "schema_relative")


def _root(source: DuckLake, connection: Connection, found: Any, project_path: Path) -> tuple[str, str]:
    """The folder of the catalog's files, and that of the table."""
    m = lake["metadata"].c
    query = select(m.key, m.value).where(m.key.in_(["data_path", "encrypted"]))
    rows = {row.key: row.value for row in connection.execute(query)}
    if rows.get("encrypted") == "true":
        raise DataError(f"{source.name}: the catalog's files are encrypted, which is not read")
    base = rows.get("data_path", "")
    if not is_url(base):
        base = os.path.join(project_path, base)
    schema = _below(base, found.schema_path or "", bool(found.schema_relative))
    return base, _below(schema, found.table_path or "", bool(found.table_relative))


def _below(base: str, path: str, is_relative: bool) -> str:
    return f"{base.rstrip('/')}/{path}" if is_relative else path


def _refuse_inlined(source: DuckLake, connection: Connection, table_id: int, snapshot: int) -> None:
    """Small inserts may lie in the catalog's own database, in tables of its own."""
    i = lake["inlined_data_tables"].c
    for name in connection.execute(select(i.table_name).where(i.table_id == table_id)).scalars().all():
        rows = table(name, column("begin_snapshot"), column("end_snapshot"))
        if num := connection.execute(select(func.count()).select_from(rows).where(_visible(rows.c, snapshot))).scalar_one():
            raise DataError(
                f"{source.name}: {num:,} of its rows are inlined in the catalog, which is not read: have its owner call "
                "ducklake_flush_inlined_data"
            )


def _columns(source: DuckLake, connection: Connection, table_id: int, snapshot: int) -> tuple[LakeColumn, ...]:
    c = lake["column"].c
    query = select(c.column_name, c.column_id, c.column_type, c.initial_default).where(c.table_id == table_id, c.parent_column.is_(None))
    rows = connection.execute(query.where(_visible(c, snapshot)).order_by(c.column_order)).all()
    found = {row.column_name: LakeColumn(row.column_name, row.column_id, row.column_type, row.initial_default) for row in rows}
    require(source.columns, list(found))
    return tuple(found[name] for name in source.columns or found)


def _files(connection: Connection, table_id: int, snapshot: int) -> Sequence[Any]:
    d, x = lake["data_file"].c, lake["delete_file"].c
    joined = lake["data_file"].outerjoin(lake["delete_file"], and_(x.data_file_id == d.data_file_id, _visible(x, snapshot)))
    deletes = (x.path.label("delete_path"), x.path_is_relative.label("delete_relative"), x.format.label("delete_format"), x.delete_count)
    own = (d.path, d.path_is_relative, d.record_count, d.file_size_bytes, d.begin_snapshot, d.partial_max, d.encryption_key, d.file_format)
    query = select(*own, *deletes, x.partial_max.label("delete_partial")).select_from(joined)
    query = query.where(d.table_id == table_id, _visible(d, snapshot))
    return connection.execute(query.order_by(func.coalesce(d.file_order, d.data_file_id))).all()


def _piece(source: DuckLake, file: Any, root: tuple[str, str], columns: tuple[LakeColumn, ...]) -> LakePiece:
    where = _located(source, file.path, file.path_is_relative, root)
    name = f"{source.name}: {where.rpartition('/')[2]}"
    unread = [
        *([f"is a {file.file_format} file"] if (file.file_format or "parquet") != "parquet" else []),
        *(["is encrypted"] if file.encryption_key else []),
        *([f"has a delete file of format {file.delete_format}"] if (file.delete_format or "parquet") != "parquet" else []),
        *(["has a delete file of several snapshots"] if file.delete_partial is not None else []),
        *(["holds rows of later snapshots"] if source.snapshot is not None and (file.partial_max or 0) > source.snapshot else []),
    ]
    if unread:
        raise DataError(f"{name} {unread[0]}, which is not read")
    deletes = None if file.delete_path is None else _located(source, file.delete_path, file.delete_relative, root)
    return LakePiece(name, file.file_size_bytes, where, deletes, columns)


def _located(source: DuckLake, path: str, is_relative: Any, root: tuple[str, str]) -> str:
    """A catalog is data: what it names must lie in its own folder, so that it cannot send the reader elsewhere."""
    where = _below(root[1], path, bool(is_relative))
    inside = where.startswith(f"{root[0].rstrip('/')}/") and ".." not in where.removeprefix(root[0]).split("/")
    if not inside or (is_url(where) and url_problems(where)):
        raise DataError(f"{source.name}: the catalog names the file {where}, which does not lie below its folder {root[0]}")
    return where


def _visible(c: Any, snapshot: int) -> Any:
    return and_(c.begin_snapshot <= snapshot, or_(c.end_snapshot.is_(None), c.end_snapshot > snapshot))


def _num_live(files: Sequence[Any]) -> int:
    return sum(file.record_count - (file.delete_count or 0) for file in files)
