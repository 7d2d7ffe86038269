"""An item: one value, or one row of values, that a function is called with, and the key under which its result is found again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.canonical import canonical
from raypipe.core.errors import DataError
from raypipe.core.wording import first_line
from raypipe.data.types import type_name

SHOWN = 80
"""Characters of an item that a message shows."""
LIST = ("over", "takes", "items")
"""Settings and edges of a map that say which items there are: what one of them gives does not hang on the others."""


@dataclass(frozen=True)
class Item:
    """What a function is called with, beside what it gets each time."""

    number: int
    """Its place in the list, from 0."""
    arguments: Mapping[str, Any]
    key: str
    """sha256 of these and of all else that shapes its result."""

    def __str__(self) -> str:
        text = ", ".join(f"{name}={_shown(value)}" for name, value in self.arguments.items())
        return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


@dataclass(frozen=True)
class Items:
    """A list of items: the arguments of each, and the same as columns."""

    arguments: Sequence[Mapping[str, Any]]
    table: pa.Table

    @classmethod
    def of_list(cls, values: Sequence[Json], first: str) -> Items:
        """Values of a config: a mapping is arguments by name, any other value the argument `first`. DataError for a column of unlike
        kinds."""
        rows = [dict(value) if isinstance(value, Mapping) else {first: value} for value in values]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return cls(rows, pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names} or {first: pa.nulls(0)}))

    @classmethod
    def of_table(cls, table: pa.Table) -> Items:
        """Each row. DataError for nanoseconds that Python's times cannot hold."""
        columns = {name: _of_python(name, table.column(name)).to_pylist() for name in table.column_names}
        return cls([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], table)

    def keyed(self, identity: Mapping[str, Json] | None) -> list[Item]:
        """`identity`: the document of the step's fingerprint; what only says which items there are does not count."""
        start = hashlib.sha256(canonical(_shared(identity or {})).encode()).hexdigest()
        return [Item(number, row, _key(start, row)) for number, row in enumerate(self.arguments)]

    @cached_property
    def names(self) -> list[str]:
        return self.table.column_names


def _shared(identity: Mapping[str, Json]) -> dict[str, Json]:
    """What the results of all items hang on."""
    settings = {name: value for name, value in identity.get("settings", {}).items() if name not in LIST}
    inputs = {name: value for name, value in identity.get("inputs", {}).items() if name not in LIST}
    return {**identity, "settings": settings, "inputs": inputs, "observed": None}


def _key(start: str, arguments: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical([start, {name: _told(value) for name, value in arguments.items()}]).encode()).hexdigest()


def _told(value: Any) -> Json:
    """A value as JSON that no other value has."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (list, tuple)):
        return [_told(v) for v in value]
    if isinstance(value, Mapping):
        return {"mapping": {str(k): _told(v) for k, v in value.items()}}
    if isinstance(value, (datetime, date, time)):
        return {type(value).__name__: value.isoformat()}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    assert isinstance(value, (Decimal, timedelta)), type(value)
    return {type(value).__name__: str(value)}


def _column(name: str, values: list[Json]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"'{name}' has values of unlike kinds: {first_line(error)}") from error


def _of_python(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as values that Python has by itself: of times, no nanoseconds."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _of_python(name, column.cast(kind.value_type))
    wide = (pa.types.is_timestamp(kind) or pa.types.is_duration(kind) or pa.types.is_time64(kind)) and kind.unit == "ns"
    if not wide:
        return column
    less = (
        pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")
    )
    try:
        return column.cast(less)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"column '{name}' is {type_name(kind)} with nanoseconds, which Python's times cannot hold: round it before"
        ) from error


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else value.isoformat() if isinstance(value, (date, datetime, time)) else repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
