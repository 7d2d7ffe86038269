"""Columns as a schema wants them: cast where they were widened, filled where they were added later."""

from __future__ import annotations

import datetime
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute

from raypipe.core.artifact import Json
from raypipe.core.canonical import canonical
from raypipe.core.errors import DataError
from raypipe.core.wording import first_line
from raypipe.data.types import type_name, value_type

FIELD_ID = b"PARQUET:field_id"
DEFAULT = b"raypipe:default"
"""Field metadata: what rows have in a column that was added after they were written, as text; without it they have null."""
LAST_ID = b"raypipe:last_field_id"
"""Schema metadata: the highest field id that the table has ever used; one that was dropped is not used again."""
OWN = (FIELD_ID, DEFAULT)

Find = Callable[[pa.Field], "pa.ChunkedArray | None"]


def field_id(column: pa.Field) -> int:
    """Of a column whose schema is numbered."""
    return int((column.metadata or {})[FIELD_ID])


def conformed(find: Find, schema: pa.Schema, num_rows: int) -> pa.Table:
    """A table of `schema` (bare), with the columns that `find` has for its fields; where it has none, of defaults."""
    if not schema.names:
        return pa.table({"none": pa.nulls(num_rows)}).select([])
    columns = []
    for field in schema:
        found = find(field)
        columns.append(filled(field, num_rows) if found is None else as_type(found, field.type))
    return pa.Table.from_arrays(columns, schema=bare_schema(schema))


def stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several tables of the same columns; of no columns too, which Arrow would lose."""
    if tables and not tables[0].num_columns:
        return pa.table({"none": pa.nulls(sum(table.num_rows for table in tables))}).select([])
    return pa.concat_tables(tables)


def taken(rows: pa.Table, indices: pa.Array) -> pa.Table:
    """The rows at these places, of columns of any type: Arrow has no `take` of views."""
    return pa.Table.from_arrays([_taken(column, indices) for column in rows.columns], schema=rows.schema)


def _taken(column: pa.ChunkedArray, indices: pa.Array) -> pa.ChunkedArray:
    type_: Any = column.type
    if pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_):
        return pa.chunked_array([_taken_views(pa.concat_arrays(column.chunks), indices)])
    if _has_list_view(type_):
        # Slow, and right: pyarrow 26 casts views of lists to lists with wrong values, without a word.
        whole = pa.concat_arrays(column.chunks)
        return pa.chunked_array([whole.slice(place, 1) for place in indices.to_pylist()], type_)
    plain = _without_views(type_)
    return column.take(indices) if plain == type_ else column.cast(plain).take(indices).cast(type_)


def _taken_views(views: Any, indices: pa.Array) -> pa.Array:
    """The same values under other offsets."""
    make = pa.LargeListViewArray if pa.types.is_large_list_view(views.type) else pa.ListViewArray
    valid = views.is_valid().take(indices)
    found = make.from_arrays(views.offsets.take(indices), views.sizes.take(indices), views.values, mask=_inverted(valid))
    return found.cast(views.type) if found.type != views.type else found


def _inverted(mask: Any) -> pa.Array:
    return cast(Any, pyarrow.compute).invert(mask)


def _has_list_view(type_: pa.DataType) -> bool:
    is_view = pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_)
    return is_view or any(_has_list_view(child.type) for child in children(type_))


def _without_views(type_: pa.DataType) -> pa.DataType:
    is_ = pa.types
    if is_.is_string_view(type_) or is_.is_binary_view(type_):
        return pa.large_string() if is_.is_string_view(type_) else pa.large_binary()
    inner = [child.with_type(_without_views(child.type)) for child in children(type_)]
    return rebuilt(type_, inner) if inner else type_


def by_name(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in the columns of `schema`, found by name."""
    return conformed(lambda field: rows.column(field.name) if field.name in rows.column_names else None, schema, rows.num_rows)


def as_type(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """Nothing is copied where it is of that type already."""
    if column.type == type_:
        return column
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), type_)])
    return _encoded(column, type_) if pa.types.is_dictionary(type_) else column.cast(type_)


def filled(field: pa.Field, num_rows: int) -> pa.ChunkedArray:
    """A column of the field's default, or of nulls."""
    default = default_of(field)
    if default is None:
        return pa.chunked_array([pa.nulls(num_rows, field.type)])
    values = pa.repeat(default, num_rows)
    return pa.chunked_array([values.dictionary_encode().cast(field.type) if pa.types.is_dictionary(field.type) else values])


def default_of(field: pa.Field) -> pa.Scalar | None:
    """As a value; of a dictionary, one of its values."""
    text = default_text(field)
    return None if text is None else parsed(text, value_type(field.type))


def default_text(field: pa.Field) -> str | None:
    text = (field.metadata or {}).get(DEFAULT)
    return None if text is None else text.decode()


def constant(value: Any, type_: pa.DataType) -> str:
    """A default's text, which DuckDB reads too. DataError for a value that is not of that type, and for types without constants.

    >>> constant(1.5, pa.decimal128(5, 2)), constant("2026-01-02T03:04:05Z", pa.timestamp("us", "UTC"))
    ('1.50', '2026-01-02 03:04:05+00')
    """
    plain = value_type(type_)
    if not _has_constants(plain):
        raise DataError(
            f"a default of {type_name(type_)} can only be null; numbers, bool, text, dates, timestamps and decimals have others"
        )
    try:
        scalar = _scalar(value, plain)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"the default {value!r} is no {type_name(plain)}: {first_line(error)}") from error
    return _text(scalar)


def parsed(text: str, type_: pa.DataType) -> pa.Scalar:
    """The value of a constant's text."""
    return pa.scalar(text).cast(type_)


def numbered(schema: pa.Schema) -> pa.Schema:
    """The schema of a new table: field ids 1, 2, ... on every field, children after their parent."""
    ids = itertools.count(1)
    fields = [with_id(column, ids) for column in bare_schema(schema)]
    return pa.schema(fields, {LAST_ID: str(next(ids) - 1).encode()})


def with_id(column: pa.Field, ids: Iterator[int]) -> pa.Field:
    """The field with the next id, and those inside it with the following ones."""
    metadata = {**(column.metadata or {}), FIELD_ID: str(next(ids)).encode()}
    inner = [with_id(child, ids) for child in children(column.type)]
    return pa.field(column.name, rebuilt(column.type, inner) if inner else column.type, column.nullable, metadata)


def with_ids_alone(schema: pa.Schema) -> pa.Schema:
    """What is written into a file: no defaults, which are the catalog's."""
    return pa.schema([f.with_metadata({k: v for k, v in (f.metadata or {}).items() if k != DEFAULT}) for f in schema])


def columns_digest(schema: pa.Schema) -> str:
    """sha256 of a numbered schema's ids, names and types: what tells whether two snapshots have the same columns."""
    return hashlib.sha256(canonical([_described(column) for column in schema]).encode()).hexdigest()


def _described(column: pa.Field) -> Json:
    return [field_id(column), column.name, str(column.type), column.nullable, *map(_described, children(column.type))]


def bare(column: pa.Field) -> pa.Field:
    """Without what raypipe has written into its metadata."""
    inner = [bare(child) for child in children(column.type)]
    kept = {key: value for key, value in (column.metadata or {}).items() if key not in OWN}
    return pa.field(column.name, rebuilt(column.type, inner) if inner else column.type, column.nullable, kept or None)


def bare_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([bare(column) for column in schema])


def children(type_: pa.DataType) -> list[pa.Field]:
    """The fields inside a nested type, in the order in which they are numbered."""
    if pa.types.is_map(type_):
        return [type_.key_field, type_.item_field]
    if pa.types.is_struct(type_):
        return [type_.field(i) for i in range(type_.num_fields)]
    if is_list(type_):
        return [cast(Any, type_).value_field]
    return []


def is_list(type_: pa.DataType) -> bool:
    is_ = pa.types
    return any(f(type_) for f in (is_.is_list, is_.is_large_list, is_.is_fixed_size_list, is_.is_list_view, is_.is_large_list_view))


def rebuilt(type_: pa.DataType, inner: Sequence[pa.Field]) -> pa.DataType:
    """A nested type with other fields inside."""
    if pa.types.is_struct(type_):
        return pa.struct(inner)
    if pa.types.is_map(type_):
        return pa.map_(inner[0], inner[1], keys_sorted=cast(Any, type_).keys_sorted)
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(inner[0], cast(Any, type_).list_size)
    make = {pa.types.is_large_list: pa.large_list, pa.types.is_list_view: pa.list_view, pa.types.is_large_list_view: pa.large_list_view}
    return next((to for is_, to in make.items() if is_(type_)), pa.list_)(inner[0])


def _encoded(column: pa.ChunkedArray, type_: pa.DictionaryType) -> pa.ChunkedArray:
    """Dictionaries of anything but text come back from Parquet as their values."""
    found = cast(Any, column.cast(type_.value_type).combine_chunks()).dictionary_encode()
    return pa.chunked_array([pa.DictionaryArray.from_arrays(found.indices.cast(type_.index_type), found.dictionary, ordered=type_.ordered)])


def _has_constants(type_: pa.DataType) -> bool:
    is_ = pa.types
    text = is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_)
    number = is_.is_integer(type_) or is_.is_floating(type_) or is_.is_boolean(type_) or is_.is_decimal(type_)
    return text or number or is_.is_date(type_) or is_.is_timestamp(type_)


def _scalar(value: Json, type_: pa.DataType) -> pa.Scalar:
    is_ = pa.types
    if is_.is_boolean(type_) != isinstance(value, bool) and not isinstance(value, str):
        raise TypeError(f"it is a {type(value).__name__}")
    if is_.is_decimal(type_) and isinstance(value, float | int):
        value = Decimal(str(value))
    if isinstance(value, datetime.date | datetime.datetime | Decimal) or not isinstance(value, str):
        return pa.scalar(value, type_)
    return pa.scalar(value).cast(type_)


def _text(scalar: Any) -> str:
    type_ = scalar.type
    if pa.types.is_boolean(type_):
        return "true" if scalar.as_py() else "false"
    if pa.types.is_floating(type_):
        return repr(float(scalar.as_py()))
    if pa.types.is_timestamp(type_) and type_.tz:
        return scalar.cast(pa.timestamp(type_.unit, "UTC")).cast(pa.timestamp(type_.unit)).cast(pa.string()).as_py() + "+00"
    return str(scalar.cast(pa.string()).as_py())
