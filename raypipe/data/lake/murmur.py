"""Murmur3 of columns: the hash by which DuckLake and Iceberg number the buckets of a partitioned table.

The 32-bit x86 variant with seed 0, of the bytes that appendix B of https://iceberg.apache.org/spec says for each type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

if TYPE_CHECKING:
    import numpy as np

pc: Any = pyarrow.compute


def buckets(column: pa.ChunkedArray, num_buckets: int) -> pa.Array:
    """The bucket of each value, int32; null stays null.

    >>> buckets(pa.chunked_array([[34, None]]), 16).to_pylist()
    [3, None]
    """
    import numpy as np

    values = _combined(column)
    found = (hashes(values) & np.uint32(0x7FFFFFFF)) % np.uint32(num_buckets)
    return pa.array(found.astype(np.int32), mask=values.is_null().to_numpy(zero_copy_only=False))


def hashes(values: pa.Array) -> np.ndarray:
    """uint32 [values]; what stands for a null means nothing."""
    if pa.types.is_dictionary(values.type):
        found: Any = values
        return hashes(found.dictionary)[found.indices.fill_null(0).to_numpy()] if len(found.dictionary) else _zeros(len(found))
    if bucket_problem(values.type) is not None:
        raise TypeError(bucket_problem(values.type))
    if _is_bytes(values.type):
        # Text repeats more often than not, and a distinct value is hashed once.
        encoded = values.dictionary_encode()
        distinct = _of_bytes(encoded.dictionary.cast(pa.large_binary()))
        return distinct[encoded.indices.fill_null(0).to_numpy()] if len(distinct) else _zeros(len(values))
    return _of_longs(_as_long(values))


def bucket_problem(type_: pa.DataType) -> str | None:
    """Why a column of that type has no buckets; None where it has. DuckDB's hash is Iceberg's for the types that are let in."""
    is_ = pa.types
    if is_.is_dictionary(type_):
        return bucket_problem(type_.value_type)  # type: ignore[attr-defined]
    plain = is_.is_signed_integer(type_) or is_.is_date(type_) or is_.is_time32(type_) or _is_bytes(type_)
    if plain or ((is_.is_timestamp(type_) or is_.is_time64(type_)) and type_.unit != "ns"):  # type: ignore[attr-defined]
        return None
    return "buckets are of signed integers, text, binary, dates, and times and timestamps of at most microseconds"


def _is_bytes(type_: pa.DataType) -> bool:
    is_ = pa.types
    text = is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_)
    binary = is_.is_binary(type_) or is_.is_large_binary(type_) or is_.is_binary_view(type_)
    return text or binary or (is_.is_fixed_size_binary(type_) and not is_.is_decimal(type_))


def _combined(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def _as_long(values: pa.Array) -> np.ndarray:
    """Dates as days, times and timestamps as microseconds."""
    is_ = pa.types
    type_: Any = values.type
    if is_.is_timestamp(type_):
        values = values.cast(pa.timestamp("us", type_.tz))
    elif is_.is_time(type_):
        values = values.cast(pa.time64("us"))
    elif is_.is_date(type_):
        values = values.cast(pa.date32()).cast(pa.int32())
    return values.cast(pa.int64()).fill_null(0).to_numpy()


def _zeros(num: int) -> np.ndarray:
    import numpy as np

    return np.zeros(num, np.uint32)


def _of_longs(values: np.ndarray) -> np.ndarray:
    words = values.astype("<i8").view("<u4").reshape(-1, 2)
    hash_ = _mixed(_mixed(_zeros(len(values)), words[:, 0]), words[:, 1])
    return _finished(hash_, 8)


def _of_bytes(values: pa.Array) -> np.ndarray:
    """All values four bytes at a time, the longest last: as many rounds as the longest has words."""
    import numpy as np

    offsets = np.frombuffer(_buffer(values, 1), np.int64)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(_buffer(values, 2), np.uint8)
    starts, lengths = offsets[:-1], np.diff(offsets)
    hash_ = _zeros(len(values))
    order = np.argsort(-lengths, kind="stable")
    words = lengths[order] // 4
    for word in range(int(words.max(initial=0))):
        rows = order[: np.searchsorted(-words, -word, side="left")]
        hash_[rows] = _mixed(hash_[rows], _word(data, starts[rows] + 4 * word, 4))
    for rest in (1, 2, 3):
        rows = np.flatnonzero(lengths % 4 == rest)
        hash_[rows] ^= _scrambled(_word(data, starts[rows] + lengths[rows] - rest, rest))
    return _finished(hash_, lengths.astype(np.uint32))


def _buffer(values: pa.Array, number: int) -> Any:
    return values.buffers()[number] or b"\0" * 8


def _word(data: np.ndarray, starts: np.ndarray, num_bytes: int) -> np.ndarray:
    import numpy as np

    made = np.zeros(len(starts), np.uint32)
    for i in range(num_bytes):
        made |= data[starts + i].astype(np.uint32) << np.uint32(8 * i)
    return made


def _rotated(x: np.ndarray, bits: int) -> np.ndarray:
    import numpy as np

    return (x << np.uint32(bits)) | (x >> np.uint32(32 - bits))


def _scrambled(word: np.ndarray) -> np.ndarray:
    import numpy as np

    return _rotated(word * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)


def _mixed(hash_: np.ndarray, word: np.ndarray) -> np.ndarray:
    import numpy as np

    return _rotated(hash_ ^ _scrambled(word), 13) * np.uint32(5) + np.uint32(0xE6546B64)


def _finished(hash_: np.ndarray, length: Any) -> np.ndarray:
    import numpy as np

    hash_ = hash_ ^ np.asarray(length, np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        hash_ = (hash_ ^ (hash_ >> np.uint32(shift))) * np.uint32(factor)
    return hash_ ^ (hash_ >> np.uint32(16))
