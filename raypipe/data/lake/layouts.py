"""How a table's files are partitioned and sorted from a snapshot on, as the catalog keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from raypipe.core.statement import Statement
from raypipe.data.lake import schemas
from raypipe.data.lake.catalog import lake
from raypipe.data.names import quoted

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.lake.partition import Key, Layout, Transform
    from raypipe.data.lake.snapshot import Snapshot
    from raypipe.data.lake.statements import At

_p, _v, _d = lake["partition_column"].c, lake["file_partition_value"].c, lake["data_file"].c
_KEYS = Statement(
    select(_p.partition_id, _p.column_id, _p.transform)
    .where(_p.table_id == bindparam("of_table"))
    .order_by(_p.partition_id, _p.partition_key_index)
)
_VALUES = Statement(
    select(_v.data_file_id, _d.partition_id, _v.partition_value)
    .join(lake["data_file"], _d.data_file_id == _v.data_file_id)
    .where(_v.table_id == bindparam("of_table"))
    .order_by(_v.data_file_id, _v.partition_key_index)
)


def of(connection: Connection, snapshot: Snapshot) -> Layout:
    """By which the next files of the table are to be parted and sorted, under the names of that snapshot."""
    from raypipe.data.lake.partition import Layout, Order

    info, sort = lake["partition_info"].c, lake["sort_info"].c
    numbers = connection.execute(select(info.partition_id).where(*_in_force(info, snapshot))).scalars().all()
    keys = keys_of(connection, snapshot.table_id, schemas.of(connection, snapshot))
    e = lake["sort_expression"].c
    query = select(e.expression, e.sort_direction).join(lake["sort_info"], sort.sort_id == e.sort_id).where(*_in_force(sort, snapshot))
    orders = [Order(_plain(text), direction == "DESC") for text, direction in connection.execute(query.order_by(e.sort_key_index))]
    return Layout(tuple(key for number in numbers for key in keys[number]), tuple(orders))


def keys_of(connection: Connection, table_id: int, schema: pa.Schema) -> dict[int, list[Key]]:
    """The keys of each partitioning that the table ever had, by its number; under the names of `schema`."""
    from raypipe.data.fragment.conform import field_id
    from raypipe.data.lake.partition import Key

    names = {field_id(column): column.name for column in schema}
    made: dict[int, list[Key]] = {}
    for number, column, transform in _KEYS.on(connection, {"of_table": table_id}):
        word, _, count = transform.rstrip(")").partition("(")
        made.setdefault(number, []).append(Key(names.get(column, ""), cast("Transform", word), int(count or 0)))
    return made


def numbers(connection: Connection, table_id: int, schema: pa.Schema) -> dict[tuple[str, ...], int]:
    """The partitionings that the table ever had, by their keys as text: the newest of those that are the same."""
    return {tuple(map(str, keys)): number for number, keys in keys_of(connection, table_id, schema).items()}


def value_rows(fragment: Fragment, file_id: int, table_id: int) -> list[dict[str, Any]]:
    """The catalog's rows of what a file's rows have in common."""
    about = {"data_file_id": file_id, "table_id": table_id}
    return [{**about, "partition_key_index": i, "partition_value": value} for i, (_, value) in enumerate(fragment.partition)]


def parted(connection: Connection, snapshot: Snapshot, fragments: Sequence[Fragment]) -> list[Fragment]:
    """Fragments with what their rows have in common, under the names of that snapshot."""
    found = _VALUES.on(connection, {"of_table": snapshot.table_id}).all()
    if not found:
        return list(fragments)
    keys = keys_of(connection, snapshot.table_id, schemas.of(connection, snapshot))
    values: dict[int, list[tuple[str, str | None]]] = {}
    for file_id, number, value in found:
        mine = values.setdefault(file_id, [])
        mine.append((str(keys[number][len(mine)]), value))
    return [replace(fragment, partition=tuple(values.get(fragment.id or 0, ()))) for fragment in fragments]


def set_layout(connection: Connection, at: At, table_id: int, schema: pa.Schema, layout: Layout) -> bool:
    """From this snapshot on. Whether it is another one than before."""
    changes = [_set_partitions(connection, at, table_id, schema, layout), _set_order(connection, at, table_id, layout)]
    return any(changes)


def current_partition(connection: Connection, table_id: int) -> int | None:
    """The number of the partitioning that is in force now."""
    info = lake["partition_info"].c
    return connection.execute(select(info.partition_id).where(info.table_id == table_id, info.end_snapshot.is_(None))).scalar_one_or_none()


def _set_partitions(connection: Connection, at: At, table_id: int, schema: pa.Schema, layout: Layout) -> bool:
    number = current_partition(connection, table_id)
    there = keys_of(connection, table_id, schema)[number] if number is not None else []
    if there == list(layout.partition_by):
        return False
    _end(connection, at, "partition_info", table_id)
    if layout.partition_by:
        from raypipe.data.fragment.conform import field_id

        at.catalog_id, number = at.catalog_id + 1, at.catalog_id
        connection.execute(insert(lake["partition_info"]), {"partition_id": number, "table_id": table_id, "begin_snapshot": at.id})
        rows = [
            {"partition_id": number, "table_id": table_id, "partition_key_index": i, "column_id": field_id(schema.field(key.column))}
            | {"transform": key.stored}
            for i, key in enumerate(layout.partition_by)
        ]
        connection.execute(insert(lake["partition_column"]), rows)
    return True


def _set_order(connection: Connection, at: At, table_id: int, layout: Layout) -> bool:
    sort, e = lake["sort_info"].c, lake["sort_expression"].c
    query = select(e.expression, e.sort_direction).join(lake["sort_info"], sort.sort_id == e.sort_id)
    query = query.where(sort.table_id == table_id, sort.end_snapshot.is_(None)).order_by(e.sort_key_index)
    there = [tuple(row) for row in connection.execute(query)]
    wanted = [(quoted(order.column), "DESC" if order.descending else "ASC") for order in layout.sort_by]
    if there == wanted:
        return False
    _end(connection, at, "sort_info", table_id)
    if wanted:
        at.catalog_id, number = at.catalog_id + 1, at.catalog_id
        connection.execute(insert(lake["sort_info"]), {"sort_id": number, "table_id": table_id, "begin_snapshot": at.id})
        about = {"sort_id": number, "table_id": table_id, "dialect": "duckdb", "null_order": "NULLS_LAST"}
        rows = [about | {"sort_key_index": i, "expression": text, "sort_direction": way} for i, (text, way) in enumerate(wanted)]
        connection.execute(insert(lake["sort_expression"]), rows)
    return True


def _end(connection: Connection, at: At, table: str, table_id: int) -> None:
    c = lake[table].c
    connection.execute(update(lake[table]).where(c.table_id == table_id, c.end_snapshot.is_(None)), {"end_snapshot": at.id})


def _in_force(columns: Any, snapshot: Snapshot) -> Sequence[Any]:
    later = or_(columns.end_snapshot.is_(None), columns.end_snapshot > snapshot.id)
    return [and_(columns.table_id == snapshot.table_id, columns.begin_snapshot <= snapshot.id, later)]


def _plain(text: str) -> str:
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
