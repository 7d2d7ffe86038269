"""Values of a profile as a person and JSON have them: times as ISO text in UTC, decimals as digits, numbers as they are."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.statistics.column import ColumnProfile
from raypipe.data.types import parse_type

_SECONDS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def value_of(column: ColumnProfile, value: Any) -> Json:
    """One of the column's numbers, times or frequent values."""
    if value is None:
        return None
    if column.kind == "bool":
        return bool(value)
    if column.kind == "time":
        return _time(column.type, round(value))
    if column.kind != "number" or isinstance(value, str):
        return value
    if column.scale:
        return str(Decimal(value).scaleb(-column.scale)) if isinstance(value, int) else number(value * 10.0**-column.scale)
    return number(value)


def spread_of(column: ColumnProfile, value: float | None) -> Json:
    """A distance of two values: of times as seconds."""
    if value is None:
        return None
    if column.kind == "time":
        return number(value * unit_seconds(column.type))
    return number(value * 10.0**-column.scale)


def number(value: float | int | None) -> Json:
    """JSON has no infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def unit_seconds(type_name: str) -> float:
    """The seconds of one unit of a type of time."""
    if type_name.startswith("date32"):
        return 86_400.0
    return 1.0 / _SECONDS[getattr(_type(type_name), "unit", "ms")]


def _time(name: str, value: int) -> str:
    type_: Any = _type(name)
    if pa.types.is_duration(type_):
        seconds = value / _SECONDS[type_.unit]
        return str(timedelta(seconds=seconds)) if abs(seconds) < 8e13 else f"{seconds:g} s"
    if getattr(type_, "tz", None):
        type_ = pa.timestamp(type_.unit, "UTC")
    narrow = pa.types.is_date32(type_) or pa.types.is_time32(type_)
    try:
        text = pa.scalar(value, pa.int32() if narrow else pa.int64()).cast(type_).cast(pa.string()).as_py()
    except (pa.ArrowException, OverflowError):
        return f"{value} {getattr(type_, 'unit', 'day')}"
    whole, point, fraction = text.partition(".")
    zone = "Z" if fraction.endswith("Z") else ""
    return whole + (point + digits if (digits := fraction.rstrip("Z").rstrip("0")) else "") + zone


@lru_cache
def _type(name: str) -> pa.DataType:
    return parse_type(name)
