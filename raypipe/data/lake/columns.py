"""A table's columns as the catalog shows them: DuckLake's nearest type for each of Arrow's, and bounds as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.fragment.conform import FIELD_ID, children, default_text, is_list

Stats = dict[str, dict[str, Json]]
"""By column: `nulls`, `nans`, `min`, `max`."""

_DECIMAL_DIGITS = 38
_PLAIN = {"bool": "boolean", "halffloat": "float32", "float": "float32", "double": "float64", "null": "int32"}


@dataclass(frozen=True)
class CatalogColumn:
    """A row of `ducklake_column`; nested types have one for each of their children."""

    id: int
    """The field id in the Parquet files."""
    parent: int | None
    source: str
    """Its name in Arrow."""
    name: str
    """Its name in SQL: of two that differ in case only, the second gets a number."""
    type: str
    nullable: bool
    bounds: bool
    """Whether the catalog has statistics of it: top-level columns of plain types."""
    floating: bool
    default: str | None = None
    """What rows of older files have in it; None is null."""


def catalog_columns(schema: pa.Schema) -> tuple[CatalogColumn, ...]:
    """Of a numbered schema. What DuckDB would read wrongly is left out: tensors (no field ids inside extension types), long decimals."""
    return tuple(_below([field for field in schema if not _is_opaque(field.type)], None))


def _is_opaque(type_: Any) -> bool:
    if isinstance(type_, pa.BaseExtensionType):
        return bool(children(type_.storage_type))
    return (pa.types.is_decimal(type_) and type_.precision > _DECIMAL_DIGITS) or any(_is_opaque(child.type) for child in children(type_))


def _below(fields: Sequence[pa.Field], parent: int | None, names: Sequence[str] = ()) -> Iterator[CatalogColumn]:
    for field, name in zip(fields, names or _distinct([f.name for f in fields]), strict=True):
        number = int((field.metadata or {})[FIELD_ID])
        inner = children(field.type)
        floating = pa.types.is_floating(field.type)
        type_ = catalog_type(field.type)
        plain = parent is None and not inner
        yield CatalogColumn(number, parent, field.name, name, type_, field.nullable, plain, floating, default_text(field))
        yield from _below(inner, number, ("key", "value") if type_ == "map" else ("element",) if type_ == "list" else ())


def _distinct(names: Sequence[str]) -> list[str]:
    """SQL takes no empty names, and does not tell `A` from `a`."""
    made: list[str] = []
    taken = {name.lower() for name in names}
    seen: set[str] = set()
    for position, name in enumerate(names, 1):
        free = name or f"column{position}"
        number = 1
        while free.lower() in seen or (free != name and free.lower() in taken):
            number += 1
            free = f"{name or 'column'}_{number}"
        seen.add(free.lower())
        made.append(free)
    return made


def catalog_type(type_: pa.DataType) -> str:
    """DuckLake's name of the nearest type.

    >>> catalog_type(pa.uint8()), catalog_type(pa.timestamp("ns")), catalog_type(pa.dictionary(pa.int8(), pa.string()))
    ('uint8', 'timestamp_ns', 'varchar')
    """
    is_ = pa.types
    if is_.is_dictionary(type_):
        return catalog_type(cast(Any, type_).value_type)
    if isinstance(type_, pa.BaseExtensionType):
        return {"arrow.uuid": "uuid", "arrow.json": "json"}.get(type_.extension_name) or catalog_type(type_.storage_type)
    if is_.is_struct(type_) or is_.is_map(type_) or is_list(type_):
        return "struct" if is_.is_struct(type_) else "map" if is_.is_map(type_) else "list"
    if is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_):
        return "varchar"
    if is_.is_temporal(type_):
        return _temporal(type_)
    if is_.is_decimal(type_):
        return f"decimal({type_.precision},{type_.scale})"
    return _PLAIN.get(str(type_)) or (str(type_) if is_.is_integer(type_) else "blob")


def _temporal(type_: Any) -> str:
    if pa.types.is_timestamp(type_):
        return "timestamptz" if type_.tz else "timestamp_ns" if type_.unit == "ns" else "timestamp"
    if pa.types.is_duration(type_):
        return "int64"
    return "date" if pa.types.is_date(type_) else "time"


def bound_text(value: Json) -> str | None:
    """A bound as DuckDB's text of it."""
    if value is None or isinstance(value, bool):
        return None if value is None else str(int(value))
    if isinstance(value, str):
        return value
    return repr(value)


def merged(columns: Sequence[CatalogColumn], parts: Sequence[tuple[int, Stats]]) -> Stats:
    """The statistics of several parts, each with its number of rows. A bound that one part does not know is not known."""
    return {c.source: _merged(c, [(rows, stats[c.source]) for rows, stats in parts]) for c in columns if c.parent is None}


def _merged(column: CatalogColumn, parts: Sequence[tuple[int, dict[str, Json]]]) -> dict[str, Json]:
    valued = [stats for rows, stats in parts if stats["nulls"] + stats["nans"] < rows]
    key = Decimal if column.type.startswith("decimal") else None
    lows, highs = [s["min"] for s in valued], [s["max"] for s in valued]
    return {
        "nulls": sum(stats["nulls"] for _, stats in parts),
        "nans": sum(stats["nans"] for _, stats in parts),
        "min": min(lows, key=key) if lows and None not in lows else None,
        "max": max(highs, key=key) if highs and None not in highs else None,
    }
