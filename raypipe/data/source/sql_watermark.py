"""Values of a watermark column as JSON and as words, and rows told apart where two reads overlap."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError

ID_BYTES = 16
MOST_SEEN = 1_000_000
"""Rows in an overlap, at most: what tells them apart is kept with the progress, 21 bytes each."""


def encoded(value: Any) -> Json:
    """A value as JSON that says its type; None as null."""
    if value is None or (isinstance(value, int | str) and not isinstance(value, bool)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    raise DataError(f"a watermark or a column of shards is a number, a time or text, found {type(value).__name__}")


_PARSERS: dict[str, Any] = {
    "float": float.fromhex,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
}


def value_of(json: Json) -> Any:
    """What `encoded` was given."""
    if not isinstance(json, dict):
        return json
    ((kind, text),) = json.items()
    return _PARSERS[kind](text)


def words(value: Any) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def before(value: Any, overlap: float) -> Any:
    """The value that lies `overlap` before: seconds before a time, and so much less than a number."""
    if not overlap:
        return value
    if isinstance(value, str):
        return _text_before(value, overlap)
    if isinstance(value, date):
        return value - timedelta(seconds=overlap)
    if isinstance(value, int):
        return value - int(overlap)
    return value - Decimal(str(overlap)) if isinstance(value, Decimal) else value - overlap


def _text_before(value: str, overlap: float) -> str:
    """SQLite keeps times as text, which it compares as text: the answer is written as the value is."""
    try:
        moment = datetime.fromisoformat(value) - timedelta(seconds=overlap)
    except ValueError:
        raise DataError(f"the watermark {value!r} is text that is no time, so that no overlap can be taken from it") from None
    if len(value) == len("2026-01-01"):
        return moment.date().isoformat()
    fraction = len(value.partition(".")[2].rstrip("Z").partition("+")[0])
    unit = "seconds" if not fraction else "milliseconds" if fraction == 3 else "microseconds"
    text = moment.isoformat(value[10], unit)
    return text.replace("+00:00", "Z") if value.endswith("Z") else text


def ids(rows: pa.Table) -> list[bytes]:
    """A digest of each row, over the values of all columns of the table: equal rows have equal ones."""
    return ids_of([_plain(rows.column(name)).to_pylist() for name in rows.column_names])


def ids_of(columns: Sequence[Sequence[Any]]) -> list[bytes]:
    """The same of Python's values, by column."""
    return [hashlib.blake2b(repr(row).encode(), digest_size=ID_BYTES).digest() for row in zip(*columns, strict=True)]


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times as integers: their Python values are written differently by different versions."""
    type = column.type
    if pa.types.is_timestamp(type) or pa.types.is_time64(type) or pa.types.is_duration(type):
        return column.cast(pa.int64())
    return column.cast(pa.int32()) if pa.types.is_date32(type) or pa.types.is_time32(type) else column


@dataclass(frozen=True)
class Seen:
    """Rows by what tells them apart, as text, and how many they are."""

    text: str
    num: int


def packed(found: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(found)).decode()


def joined(marks: Sequence[Json]) -> Seen:
    """Several as one. DataError where they are more than can be kept."""
    data = sorted(one for mark in marks for one in unpacked(mark))
    if len(data) > MOST_SEEN:
        raise DataError(f"{len(data):,} rows lie in the overlap, at most {MOST_SEEN:,} can be told apart: make `overlap` shorter")
    return Seen(packed(data), len(data))


def unpacked(mark: str | None) -> list[bytes]:
    data = base64.b64decode(mark or "")
    return [data[n : n + ID_BYTES] for n in range(0, len(data), ID_BYTES)]


class Unseen:
    """Leaves out rows that were taken before; of equal rows as many as were."""

    def __init__(self, mark: str | None):
        self._seen = Counter(unpacked(mark))

    def __call__(self, found: Sequence[bytes]) -> list[bool]:
        return [self._is_new(one) for one in found]

    def _is_new(self, one: bytes) -> bool:
        if not self._seen[one]:
            return True
        self._seen[one] -= 1
        return False
