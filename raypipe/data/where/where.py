"""Conditions on rows: `column op value`, joined by and; which rows meet them, and which files and row groups cannot hold any."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.data.fragment.conform import children, is_list
from raypipe.data.types import type_name, value_type
from raypipe.data.where.conditions import OPERATORS, SYNONYMS, Condition, parsed

pc: Any = pyarrow.compute

Conditions = str | Sequence[Sequence[Any]]
"""`"region = 'eu' and at >= '2026-01-01T00:00:00Z'"`, or the same as `[("region", "=", "eu"), ("at", ">=", datetime(...))]`."""


@dataclass(frozen=True)
class Test:
    """One condition on a column of a known type."""

    column: str
    type: pa.DataType
    op: str
    values: pa.Array
    """What is compared with, of that type (of a dictionary, its values'); one but for `in` and `not in`."""

    def mask(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """True where the row meets it, never null. A null meets nothing but `is null`; NaN is unequal to all and has no order."""
        if self.op.startswith("is "):
            return pc.is_null(column) if self.op == "is null" else pc.is_valid(column)
        plain = comparable(column)
        values = self.values if self.values.type == plain.type else self.values.cast(plain.type)
        if self.op in ("in", "not in"):
            # Arrow's is_in tells -0.0 from 0.0, which are equal; adding zero makes them one.
            zero = pa.scalar(0.0, plain.type) if pa.types.is_floating(plain.type) else None
            found = pc.is_in(plain, value_set=values) if zero is None else pc.is_in(pc.add(plain, zero), value_set=pc.add(values, zero))
            return found if self.op == "in" else pc.and_(pc.invert(found), pc.is_valid(plain))
        return getattr(pc, _FUNCTIONS[self.op])(plain, values[0]).fill_null(False)

    def may_match(self, stats: dict[str, Json] | None, num_rows: int) -> bool:
        """Whether a row of so many with such statistics (`nulls`, `nans`, `min`, `max`; None where not known) can meet it."""
        if num_rows == 0:
            return False
        if stats is None:
            return True
        if self.op == "is null":
            return stats["nulls"] > 0
        if stats["nulls"] >= num_rows:
            return False
        if self.op == "is not null":
            return True
        bounds = Bounds(*(None if stats[end] is None else bound_value(stats[end], self.type) for end in ("min", "max")))
        return self._in_bounds(bounds, stats["nulls"] + stats["nans"] < num_rows, stats["nans"] > 0)

    def _in_bounds(self, bounds: Bounds, has_values: bool, has_nans: bool) -> bool:
        values = [bound_value(v.as_py(), self.type) if not _is_ticks(self.type) else _ticks(v) for v in self.values]
        if self.op in ("!=", "not in"):
            only = bounds.low is not None and bounds.low == bounds.high and bounds.low in values
            return has_nans or (has_values and not only)
        return has_values and any(bounds.may_hold("=" if self.op == "in" else self.op, value) for value in values)


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest of some values; None where it is not known."""

    low: Any
    high: Any

    def may_hold(self, op: str, value: Any) -> bool:
        above = self.low is None or self.low < value or (self.low == value and op in ("=", "<="))
        below = self.high is None or self.high > value or (self.high == value and op in ("=", ">="))
        return above if op in ("<", "<=") else below if op in (">", ">=") else above and below


@dataclass(frozen=True)
class Predicate:
    """Conditions that all hold, on columns of known types. It is small and picklable."""

    tests: tuple[Test, ...]

    @property
    def columns(self) -> list[str]:
        """The columns that are looked at, each once."""
        return list(dict.fromkeys(test.column for test in self.tests))

    def mask(self, rows: pa.Table) -> pa.ChunkedArray | None:
        """True where a row meets all; None where there are no conditions."""
        found = None
        for test in self.tests:
            one = test.mask(rows.column(test.column))
            found = one if found is None else pc.and_(found, one)
        return found

    def rows(self, rows: pa.Table) -> pa.Table:
        """Those that meet it."""
        mask = self.mask(rows)
        return rows if mask is None else rows.filter(mask)

    def may_match(self, stats: dict[str, dict[str, Json]], num_rows: int) -> bool:
        """Whether a file with such statistics by column can hold a row that meets it. Never wrongly False."""
        return all(test.may_match(stats.get(test.column), num_rows) for test in self.tests)


def predicate(conditions: Conditions, schema: pa.Schema) -> Predicate:
    """Conditions held against a table's columns. DataError with every one that cannot be read, or does not fit its column."""
    listed = list(parsed(conditions)) if isinstance(conditions, str) else [_listed(condition) for condition in conditions]
    tests, told = [], []
    for column, op, value in listed:
        try:
            tests.append(_test(column, op, value, schema))
        except DataError as error:
            told.append(f"where {column} {op}: {error}")
    if told:
        raise DataError("\n".join(told))
    return Predicate(tuple(tests))


_FUNCTIONS = {"=": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}


def _listed(condition: Sequence[Any]) -> Condition:
    if isinstance(condition, str) or len(condition) not in (2, 3):
        raise DataError(
            f"where: {condition!r} is no condition; expected (column, operator, value), the operator one of {', '.join(OPERATORS)}"
        )
    column, op, *value = condition
    return str(column), SYNONYMS.get(str(op), str(op)), value[0] if value else None


def _test(column: str, op: str, value: Any, schema: pa.Schema) -> Test:
    if column not in schema.names:
        raise DataError(f"there is no column {column!r}.{nearest(column, schema.names)}")
    type_ = schema.field(column).type
    if op not in OPERATORS:
        raise DataError(f"there is no operator {op!r}. Valid: {', '.join(OPERATORS)}")
    if op.startswith("is "):
        return Test(column, type_, op, pa.nulls(0))
    plain = value_type(type_)
    if problem := _incomparable(plain, op):
        raise DataError(problem)
    many = op in ("in", "not in")
    if many and (isinstance(value, str | bytes) or not isinstance(value, Sequence)):
        raise DataError(f"{value!r} is no list of values")
    return Test(column, type_, op, pa.array([_scalar(v, plain) for v in (value if many else [value])], literal_type(plain)))


def _incomparable(type_: pa.DataType, op: str) -> str | None:
    is_ = pa.types
    text = is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_)
    binary = is_.is_binary(type_) or is_.is_large_binary(type_) or is_.is_binary_view(type_) or is_.is_fixed_size_binary(type_)
    plain = is_.is_integer(type_) or is_.is_floating(type_) or is_.is_decimal(type_) or text
    moment = is_.is_date(type_) or is_.is_timestamp(type_) or is_.is_time(type_)
    if plain or moment:
        return None
    if (is_.is_boolean(type_) or (binary and not is_.is_decimal(type_))) and op in ("=", "!=", "in", "not in"):
        return None
    nested = bool(children(type_)) or is_list(type_) or isinstance(type_, pa.BaseExtensionType)
    return f"the column is {type_name(type_)}, which can be {'tested for null only' if nested else 'compared by = and != only'}"


def literal_type(type_: pa.DataType) -> pa.DataType:
    """Views and halves have few functions in Arrow: they are compared as what holds the same values."""
    is_ = pa.types
    if is_.is_string_view(type_):
        return pa.string()
    if is_.is_binary_view(type_) or (is_.is_fixed_size_binary(type_) and not is_.is_decimal(type_)):
        return pa.binary()
    if is_.is_float16(type_):
        return pa.float32()
    if is_.is_decimal32(type_) or is_.is_decimal64(type_):
        return pa.decimal128(cast(Any, type_).precision, cast(Any, type_).scale)
    return type_


def comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as Arrow can compare and sort it: dictionaries as their values."""
    plain = value_type(column.type)
    type_ = literal_type(plain)
    return column if column.type == type_ else column.cast(plain).cast(type_)


def _scalar(value: Any, type_: pa.DataType) -> Any:
    """A value as one of the column's type, with nothing lost."""
    expected = type_name(type_)
    if value is None:
        raise DataError("nothing equals null: say `is null` or `is not null`")
    if isinstance(value, bool) != pa.types.is_boolean(type_):
        raise DataError(f"the column is {expected}, and {value!r} is none")
    if isinstance(value, float) and (math.isnan(value) or not (pa.types.is_floating(type_) or pa.types.is_decimal(type_))):
        raise DataError("nothing equals NaN" if math.isnan(value) else f"the column is {expected}, and {value!r} is none")
    try:
        return _cast(value, type_)
    except (pa.ArrowException, TypeError, ValueError, OverflowError, ArithmeticError) as error:
        raise DataError(f"the column is {expected}, and {value!r} is none: {str(error).splitlines()[0]}{_zone_advice(type_)}") from error


def _cast(value: Any, type_: pa.DataType) -> Any:
    is_ = pa.types
    literal = literal_type(type_)
    if is_.is_time(type_) and isinstance(value, str):
        value = datetime.time.fromisoformat(value)
    if is_.is_decimal(type_) and isinstance(value, int | float):
        value = str(value)
    text = is_.is_string(literal) or is_.is_large_string(literal)
    if isinstance(value, str) and not text:
        return pa.scalar(value).cast(pa.binary() if literal == pa.binary() else literal)
    if text and not isinstance(value, str):
        raise TypeError("text is written in quotes")
    return pa.scalar(value, literal)


def _zone_advice(type_: pa.DataType) -> str:
    if not pa.types.is_timestamp(type_):
        return ""
    return "; write the zone: 2026-01-31T12:00:00Z" if cast(Any, type_).tz else "; its moments have no zone: 2026-01-31T12:00:00"


def _is_ticks(type_: pa.DataType) -> bool:
    return pa.types.is_temporal(value_type(type_)) and not pa.types.is_duration(type_)


def bound_value(bound: Json, type_: pa.DataType) -> Any:
    """A bound as what Python orders as Arrow orders the values."""
    plain = value_type(type_)
    if pa.types.is_decimal(plain):
        from decimal import Decimal

        return Decimal(bound)
    if not _is_ticks(plain) or not isinstance(bound, str):
        return bound
    if pa.types.is_time(plain):
        return _ticks(pa.scalar(_time_ticks(bound, cast(Any, plain).unit), pa.int64()))
    return _ticks(pa.scalar(bound).cast(plain))


def _ticks(scalar: Any) -> int:
    """Days, milliseconds, ... since the beginning, in the type's own unit."""
    return scalar.value if hasattr(scalar, "value") else scalar.as_py()


def _time_ticks(text: str, unit: str) -> int:
    hours, minutes, rest = text.split(":")
    seconds, _, fraction = rest.partition(".")
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    whole = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    return whole * 10**digits + int((fraction + "0" * 9)[:digits] or 0)
