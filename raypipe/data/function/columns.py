"""The columns of what a function returns, which are the same for all rows: a batch of nothing but nulls yields to the others."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.types import type_name


def agreed(first: pa.Schema | None, other: pa.Schema) -> pa.Schema:
    """The columns that both are of, in the order of the first; DataError with every one that differs."""
    if first is None:
        return other.remove_metadata()
    if first.equals(other):
        return first
    names = dict.fromkeys([*first.names, *other.names])
    told = [f"'{name}' {_type(first, name)} and {_type(other, name)}" for name in names if not _may_be_one(first, other, name)]
    if told:
        raise DataError(", ".join(told))
    return pa.schema([_one(first.field(name), other.field(name)) for name in first.names])


def as_agreed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the agreed columns: in their order, nulls of no type with the type that they have elsewhere."""
    if table.schema.equals(schema):
        return table
    columns = [table.column(f.name) if table.schema.field(f.name).type == f.type else table.column(f.name).cast(f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema) if columns else table


def joined(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Tables of agreed columns as one."""
    return pa.concat_tables([as_agreed(table, schema) for table in tables])


def has_null_type(schema: pa.Schema) -> bool:
    return any(pa.types.is_null(f.type) for f in schema)


def _may_be_one(a: pa.Schema, b: pa.Schema, name: str) -> bool:
    if name not in a.names or name not in b.names:
        return False
    types = a.field(name).type, b.field(name).type
    return types[0] == types[1] or any(map(pa.types.is_null, types))


def _one(a: pa.Field, b: pa.Field) -> pa.Field:
    if a.equals(b):
        return a
    return pa.field(a.name, b.type if pa.types.is_null(a.type) else a.type)


def _type(schema: pa.Schema, name: str) -> str:
    return type_name(schema.field(name).type) if name in schema.names else "missing"
