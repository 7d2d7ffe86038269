"""One input column of a request: JSON values into the exact Arrow type that the signature names, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raypipe.bundle.signature import Field
from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.types import parse_type, value_type

MISSING = object()
"""Stands for a field that a record does not have."""

JSON_NAMES = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
    object: "nothing",
}


@dataclass(frozen=True)
class Kind:
    """How the Arrow types of one kind are written in JSON. Numbers are numbers: no quotes around them, and a boolean is none.

    An integer may be written 3.0, as clients do that know only floats; 3.5 is refused, and so is what the type cannot hold.
    """

    takes: frozenset[type]
    """Python types of the decoded JSON values."""
    convert: Callable[[Sequence[Any], pa.DataType], pa.Array]
    """Raises ValueError or OverflowError where a value does not fit."""
    words: str
    """What a person should write; the Arrow type follows in parentheses."""
    example: Json
    otherwise: str = "a value out of range"
    """What is found where the JSON type is right and the value is not."""


@dataclass(frozen=True)
class Column:
    """A field of the signature, ready to read JSON values."""

    field: Field
    type: pa.DataType
    kind: Kind

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def expected(self) -> str:
        return f"{self.kind.words} ({self.field.type}){' or null' if self.field.nullable else ''}"

    def array(self, values: Sequence[Any]) -> pa.Array | None:
        """The column, MISSING as null where null is allowed; None where at least one value is wrong."""
        found = set(map(type, values))
        if object in found and self.field.nullable:
            values = [None if v is MISSING else v for v in values]
            found = found - {object} | {type(None)}
        if not (found - {type(None)} if self.field.nullable else found) <= self.kind.takes:
            return None
        try:
            return self.kind.convert(values, self.type)
        except (ValueError, OverflowError):
            return None

    def wrong(self, value: Any) -> str | None:
        """What was found instead of what is expected; None where the value is right."""
        if self.array([value]) is not None:
            return None
        if type(value) not in self.kind.takes:
            return JSON_NAMES[type(value)]
        fraction = isinstance(value, float) and pa.types.is_integer(self.type) and value % 1 > 0
        return "a number with a fraction" if fraction else self.kind.otherwise


def column(field: Field) -> Column:
    """Raises DataError for a type that JSON records cannot give."""
    type_ = parse_type(field.type)
    kind = next((kind for fits, kind in _KINDS if fits(value_type(type_))), None)
    try:
        if kind is not None and kind.convert([None], type_).type == type_:
            return Column(field, type_, kind)
    except pa.ArrowNotImplementedError:
        pass  # Arrow does not convert to it: a dictionary of times, say
    raise DataError(f"input column '{field.name}' is {field.type}, which a JSON request cannot give")


def _plain(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    return pa.array(values, type_)


def _integers(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    # Asked of Arrow itself, 1.5 would be 1.
    if float in set(map(type, values)):
        values = [_whole(v) if isinstance(v, float) else v for v in values]
    return pa.array(values, type_)


def _whole(value: float) -> int:
    if not value.is_integer():  # infinity too
        raise ValueError
    return int(value)


def _numbers(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    try:
        array = pa.array(values, pa.float64())
    except pa.ArrowInvalid:  # an integer beyond 2**53, which Arrow wants exact
        array = pa.array([None if v is None else float(v) for v in values], pa.float64())
    array = array if type_ == pa.float64() else array.cast(type_, safe=False)
    # After the cast: 1e300 is finite as a double and infinite as a float32.
    if np.isinf(array.to_numpy(zero_copy_only=False)).any():
        raise ValueError
    return array


def _texts(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string()).cast(type_)


def _decimals(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    return pa.array([None if v is None else str(v) for v in values], pa.string()).cast(type_)


def _zoned(type_: pa.DataType) -> bool:
    return pa.types.is_timestamp(type_) and type_.tz is not None


_STRING = frozenset({str})
_NUMBER = frozenset({int, float})
_OTHER_TEXT = "a string of another form"

_KINDS: list[tuple[Callable[[pa.DataType], bool], Kind]] = [
    (pa.types.is_boolean, Kind(frozenset({bool}), _plain, "boolean", True)),
    (pa.types.is_integer, Kind(_NUMBER, _integers, "integer", 1)),
    (pa.types.is_floating, Kind(_NUMBER, _numbers, "number", 0.5)),
    (pa.types.is_decimal, Kind(_NUMBER | _STRING, _decimals, "decimal number", "12.50")),
    (pa.types.is_string, Kind(_STRING, _texts, "string", "text")),
    (pa.types.is_large_string, Kind(_STRING, _texts, "string", "text")),
    (_zoned, Kind(_STRING, _texts, "ISO 8601 date and time with its offset from UTC", "2013-10-01T05:15:00Z", _OTHER_TEXT)),
    (pa.types.is_timestamp, Kind(_STRING, _texts, "ISO 8601 date and time without an offset", "2013-10-01T05:15:00", _OTHER_TEXT)),
    (pa.types.is_date, Kind(_STRING, _texts, "ISO 8601 date", "2013-10-01", _OTHER_TEXT)),
]
