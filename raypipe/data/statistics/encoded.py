"""A profile as bytes: a magic line, the sha256 of what follows, and zstd-compressed MessagePack of plain values; no pickle.

RAYPIPE PROFILE 2\\n | sha256, 32 bytes | size of the payload, 8 bytes little-endian | payload, compressed
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.statistics.column import ColumnProfile
from raypipe.data.statistics.distinct import NUM_REGISTERS, Distinct
from raypipe.data.statistics.moments import Moments
from raypipe.data.statistics.numbers import Numbers
from raypipe.data.statistics.profile import Profile
from raypipe.data.statistics.ranks import Ranks
from raypipe.data.statistics.top import Top

if TYPE_CHECKING:
    import numpy as np

VERSION = 2
"""Raised with every change of what is kept or how it is computed: an older file is computed anew."""
_BEGIN, _MAGIC = b"RAYPIPE PROFILE ", f"RAYPIPE PROFILE {VERSION}\n".encode()
MAX_BYTES = 1 << 30
_DTYPES = ("<i8", "<u8", "<f8", "|u1")


@dataclass(frozen=True)
class Kept:
    """A profile with what it is of."""

    profile: Profile
    of: str = ""
    """The sha256 of the file, and of its delete file where it has one; empty: of rows that are no file's."""
    columns: str = ""
    """The digest of the table's columns as they were then."""
    ids: dict[str, int] = field(default_factory=dict)
    """Column -> field id, where they are known: it outlives a new name."""
    is_whole: bool = False
    """Whether all columns of the table as it was are in it."""


def to_bytes(kept: Kept) -> bytes:
    import msgspec

    columns = [_column(column) for column in kept.profile.columns.values()]
    about = {"of": kept.of, "columns_digest": kept.columns, "ids": kept.ids, "is_whole": kept.is_whole}
    payload = msgspec.msgpack.encode({**about, "num_rows": kept.profile.num_rows, "columns": columns})
    packed = pa.Codec("zstd").compress(payload, asbytes=True)
    rest = len(payload).to_bytes(8, "little") + packed
    return _MAGIC + hashlib.sha256(rest).digest() + rest


def from_bytes(data: bytes) -> Kept:
    """DataError, with the reason, for what is no profile of this version, whole and unchanged."""
    import msgspec

    if not data.startswith(_MAGIC):
        other = data.split(b"\n", 1)[0][len(_BEGIN) :][:9].decode("ascii", "replace") if data.startswith(_BEGIN) else ""
        raise DataError(f"a profile of version {other}, expected {VERSION}" if other else "no profile of raypipe's")
    begin = len(_MAGIC) + 32
    rest = data[begin:]
    if hashlib.sha256(rest).digest() != data[len(_MAGIC) : begin]:
        raise DataError("a profile whose bytes are not what was written")
    size = int.from_bytes(rest[:8], "little")
    if size > MAX_BYTES:
        raise DataError(f"a profile of {size:,} bytes, more than any that is written")
    try:
        found = msgspec.msgpack.decode(pa.Codec("zstd").decompress(rest[8:], decompressed_size=size, asbytes=True))
        columns = [_column_of(value) for value in found["columns"]]
        profile = Profile(int(found["num_rows"]), {column.name: column for column in columns})
        ids = {str(name): int(number) for name, number in found["ids"].items()}
        return Kept(profile, str(found["of"]), str(found["columns_digest"]), ids, bool(found["is_whole"]))
    except (msgspec.MsgspecError, pa.ArrowException, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"a profile that cannot be read: {error}") from error


# --- plain values


def _column(column: ColumnProfile) -> Json:
    top, distinct = column.top, column.distinct
    return {
        "name": column.name,
        "type": column.type,
        "kind": column.kind,
        "num_rows": column.num_rows,
        "num_nulls": column.num_nulls,
        "numbers": _some(_numbers, column.numbers),
        "distinct": distinct and [_some(_array, distinct.hashes), _some(_array, distinct.registers), distinct.counted],
        "top": top and [_array(top.hashes), _array(top.low), _array(top.high), top.values, top.rest],
        "lengths": _some(_numbers, column.lengths),
        "bounds": [column.low, column.high],
        "scale": column.scale,
        "is_rounded": column.is_rounded,
        "fields": [_column(part) for part in column.fields],
    }


def _column_of(value: Json) -> ColumnProfile:
    low, high = value["bounds"]
    return ColumnProfile(
        value["name"],
        value["type"],
        value["kind"],
        int(value["num_rows"]),
        int(value["num_nulls"]),
        _some(_numbers_of, value["numbers"]),
        _some(_distinct_of, value["distinct"]),
        _some(_top_of, value["top"]),
        _some(_numbers_of, value["lengths"]),
        low,
        high,
        int(value["scale"]),
        bool(value["is_rounded"]),
        tuple(_column_of(part) for part in value["fields"]),
    )


def _numbers(numbers: Numbers) -> Json:
    m, r = numbers.moments, numbers.ranks
    counts = [numbers.num_nans, numbers.num_infinite, numbers.num_zeros, numbers.num_negative]
    return [[_array(r.points), _array(r.weights), r.error], [m.n, m.mean, m.m2, m.m3, m.m4], counts, [numbers.min, numbers.max]]


def _numbers_of(value: Json) -> Numbers:
    (points, weights, error), moments, (num_nans, num_infinite, num_zeros, num_negative), (low, high) = value
    ranks = Ranks(_array_of(points), _array_of(weights), int(error))
    if len(ranks.points) != len(ranks.weights):
        raise ValueError("points and weights of different lengths")
    return Numbers(ranks, Moments(*moments), num_nans, num_infinite, num_zeros, num_negative, low, high)


def _distinct_of(value: Json) -> Distinct:
    hashes, registers, counted = value
    made = Distinct(_some(_array_of, hashes), _some(_array_of, registers), counted)
    if made.registers is not None and len(made.registers) != NUM_REGISTERS:
        raise ValueError("registers of another precision")
    return made


def _top_of(value: Json) -> Top:
    hashes, low, high, values, rest = value
    made = Top(_array_of(hashes), _array_of(low), _array_of(high), values, int(rest))
    if not len(made.hashes) == len(made.low) == len(made.high) == len(made.values):
        raise ValueError("values and counts of different lengths")
    return made


def _array(array: np.ndarray) -> Json:
    dtype = array.dtype.newbyteorder("<").str
    assert dtype in _DTYPES, f"{dtype} is not kept"
    return [dtype, array.astype(dtype, copy=False).tobytes()]


def _array_of(value: Json) -> np.ndarray:
    import numpy as np

    dtype, data = value
    if dtype not in _DTYPES:
        raise ValueError(f"an array of {dtype!r}")
    return np.frombuffer(data, dtype)


def _some(function: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else function(value)
