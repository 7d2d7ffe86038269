"""JSON messages decoded into typed columns, many at a time; one that cannot be is told by its place, with the reason."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.types import is_text, type_name, value_type


@dataclass(frozen=True)
class Decoded:
    """The rows of the messages that could be decoded, in order."""

    columns: dict[str, pa.Array]
    kept: Sequence[int]
    """The places of those messages among all."""
    bad: Mapping[int, str]
    """Place -> why that one could not be decoded."""


class Decoder:
    """Objects with the fields that `types` names, each null where it is missing; every value must be of its type, nothing is converted.

    `as_text`: columns whose value is kept as JSON text, whatever it is. `unknown`: whether a field that is no column is passed over;
    otherwise the message is bad. DataError for a type that no JSON value has.
    """

    def __init__(self, types: Mapping[str, pa.DataType], as_text: Sequence[str] = (), unknown: bool = False):
        import msgspec

        self._types = dict(types)
        self._as_text = set(as_text)
        fields: Any = []
        for n, (name, type) in enumerate(types.items()):
            if name in self._as_text:
                fields.append((f"f{n}", msgspec.Raw, msgspec.field(default=msgspec.Raw(b"null"), name=name)))
            else:
                fields.append((f"f{n}", _python_type(name, type) | None, msgspec.field(default=None, name=name)))
        message = msgspec.defstruct("Message", fields, forbid_unknown_fields=not unknown, gc=False)
        self._json = msgspec.json.Decoder(message)

    def decode(self, values: Sequence[bytes | None]) -> Decoded:
        rows, bad = self._rows(values)
        kept: Sequence[int] = range(len(values)) if not bad else [n for n in range(len(values)) if n not in bad]
        columns, wrong = self._columns(rows)
        while wrong:
            bad = {**bad, **{kept[n]: text for n, text in wrong.items()}}
            rows = [row for n, row in enumerate(rows) if n not in wrong]
            kept = [place for n, place in enumerate(kept) if n not in wrong]
            columns, wrong = self._columns(rows)
        return Decoded(columns, kept, bad)

    def _rows(self, values: Sequence[bytes | None]) -> tuple[list[Any], dict[int, str]]:
        """All in one call, 1.5 times as fast as one by one, where each is one line: then a line cannot be two messages, nor half of one."""
        import msgspec

        try:
            joined = b"\n".join(values)  # type: ignore[arg-type]
            if joined.count(b"\n") == len(values) - 1:
                rows = self._json.decode_lines(joined)
                if len(rows) == len(values):
                    return rows, {}
        except (TypeError, ValueError, msgspec.DecodeError):
            pass
        return self._one_by_one(values)

    def _one_by_one(self, values: Sequence[bytes | None]) -> tuple[list[Any], dict[int, str]]:
        import msgspec

        rows, bad = [], {}
        for place, value in enumerate(values):
            try:
                if value is None:
                    raise ValueError("has no value")
                rows.append(self._json.decode(value))
            except (ValueError, RecursionError, msgspec.DecodeError) as error:
                bad[place] = self._told(str(error))
        return rows, bad

    def _told(self, error: str) -> str:
        """msgspec's words with the field's own name for the struct's."""
        return error.replace("`$.", "`").replace(" - at `$`", "")

    def _columns(self, rows: Sequence[Any]) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """The columns, or the places of the values that do not fit their type."""
        columns: dict[str, pa.Array] = {}
        for n, (name, type) in enumerate(self._types.items()):
            field = f"f{n}"
            values = [getattr(row, field) for row in rows]
            if name in self._as_text:
                values = [None if (raw := bytes(value)) == b"null" else raw.decode() for value in values]
            try:
                columns[name] = _array(values, type)
            except (pa.ArrowException, OverflowError, ValueError):
                return {}, _wrong(name, values, type)
        return columns, {}


def _array(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(type) and type.unit != "us":
        return pa.array(values, pa.timestamp("us", type.tz)).cast(type)  # pa.array alone would cut what the unit cannot hold
    if pa.types.is_dictionary(type):
        return pa.array(values, type.value_type).cast(type)
    return pa.array(values, type)


def _wrong(name: str, values: Sequence[Any], type: pa.DataType) -> dict[int, str]:
    wrong = {}
    for place, value in enumerate(values):
        try:
            _array([value], type)
        except (pa.ArrowException, OverflowError, ValueError):
            wrong[place] = f"{str(value)[:80]} does not fit {type_name(type)} - at `{name}`"
    assert wrong, f"column {name}: no value alone is wrong"
    return wrong


_PLAIN: list[tuple[Callable[[pa.DataType], bool], Any]] = [
    (pa.types.is_boolean, bool),
    (pa.types.is_floating, float),
    (is_text, str),
    (pa.types.is_date32, datetime.date),
    (pa.types.is_time, datetime.time),
    (pa.types.is_decimal, decimal.Decimal),
    (lambda type: pa.types.is_binary(type) or pa.types.is_large_binary(type), bytes),
]


def _python_type(name: str, type: pa.DataType) -> Any:
    import msgspec

    type = value_type(type)
    if pa.types.is_integer(type):
        bits = type.bit_width
        signed = pa.types.is_signed_integer(type)
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        # msgspec's bounds are of 64 signed bits; beyond them Arrow refuses the value.
        return Annotated[int, msgspec.Meta(ge=low, le=min(high, (1 << 63) - 1) if bits < 64 else None)]
    if pa.types.is_timestamp(type):
        return Annotated[datetime.datetime, msgspec.Meta(tz=type.tz is not None)]
    if pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type):
        return list[_python_type(name, type.value_type) | None]
    for is_it, python in _PLAIN:
        if is_it(type):
            return python
    raise DataError(f"column '{name}': no JSON value is a {type_name(type)}; take it as text (setting `as_text`) or of another type")
