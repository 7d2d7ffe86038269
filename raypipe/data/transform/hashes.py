"""Hashes of values that are the same on every machine, for one row and for many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from struct import pack
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.data.types import is_number, is_text, value_type

if TYPE_CHECKING:
    import numpy as np

MISSING = 0x9E3779B97F4A7C15
"""The hash of null and NaN."""
_MASK = (1 << 64) - 1


def hash_text(text: str, salt: str = "") -> int:
    """The first 8 bytes, little-endian, of BLAKE2b of the salt, the byte 0x1F and the text in UTF-8."""
    return int.from_bytes(blake2b(f"{salt}\x1f{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def is_hashed(type: pa.DataType) -> bool:
    """Whether rows can be told apart by a column of that type: texts, numbers, bool, and times."""
    type = value_type(type)
    return is_text(type) or is_number(type) or pa.types.is_timestamp(type) or pa.types.is_date(type)


def row_hashes(arrays: Sequence[pa.Array]) -> np.ndarray:
    """A hash of each row of these columns, uint64 [rows]."""
    import numpy as np

    total = np.zeros(len(arrays[0]), np.uint64)
    for array in arrays:
        total = _mixed(total ^ _bits(array))
    return total


def row_hash(values: Sequence[Any], bits: Sequence[Callable[[Any], int]]) -> int:
    """`row_hashes` of one row; `bits` are those of `bits_of` for each column's type."""
    total = 0
    for value, to_bits in zip(values, bits, strict=True):
        total = _mixed_one(total ^ (MISSING if value is None or value != value else to_bits(value)))
    return total


def bits_of(type: pa.DataType) -> Callable[[Any], int]:
    """64 bits of a value of that type which is not missing, times as their integers."""
    type = value_type(type)
    if is_text(type):
        return hash_text
    return _double_bits if pa.types.is_floating(type) else _integer_bits


def _bits(array: pa.Array) -> np.ndarray:
    import numpy as np
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        known = np.append(_bits(array.dictionary), np.uint64(MISSING))
        return known[pc.fill_null(array.indices.cast(pa.int64()), len(known) - 1).to_numpy(zero_copy_only=False)]
    if pa.types.is_null(array.type):
        return np.full(len(array), MISSING, np.uint64)
    if is_text(array.type):
        texts: Any = array.dictionary_encode()
        hashes = np.array([hash_text(text) for text in texts.dictionary.to_pylist()], dtype=np.uint64)
        return _missing_at(array, np.append(hashes, np.uint64(0))[texts.indices.fill_null(len(hashes)).to_numpy(zero_copy_only=False)])
    if pa.types.is_floating(array.type):
        # -0.0 equals 0.0, and is to be hashed as it.
        doubles = array.cast(pa.float64()).fill_null(float("nan")).to_numpy() + 0.0
        return np.where(np.isnan(doubles), np.uint64(MISSING), doubles.view(np.uint64))
    return _missing_at(array, _integers(array).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64))


def _integers(array: pa.Array) -> pa.Array:
    if pa.types.is_uint64(array.type):
        return array
    if pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    return array.cast(pa.int64())


def _missing_at(array: pa.Array, hashes: np.ndarray) -> np.ndarray:
    import numpy as np

    if not array.null_count:
        return hashes
    return np.where(array.is_null().to_numpy(zero_copy_only=False), np.uint64(MISSING), hashes)


def _mixed(h: np.ndarray) -> np.ndarray:
    """The last steps of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014)."""
    import numpy as np

    with np.errstate(over="ignore"):
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


def _mixed_one(h: int) -> int:
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _MASK
    return h ^ (h >> 31)


def _double_bits(value: float) -> int:
    return int.from_bytes(pack("<d", value + 0.0), "little")


def _integer_bits(value: int) -> int:
    return int(value) & _MASK
