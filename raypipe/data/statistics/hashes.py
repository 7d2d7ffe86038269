"""64-bit hashes of many values at once, the same on every machine and in every version: by them values are told apart and counted.

Two different values have the same hash with a probability of 2^-64; among a million distinct ones two meet with 3e-8. Against values that
somebody made up in order to meet there is no defence.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import numpy as np

CHUNK = 16_384
"""Values that are mixed at a time: they stay in the processor's cache, 2.7 ns a value instead of 7."""
LONG_BYTES = 256
"""Longer texts are hashed one by one."""
_GOLDEN = 0x9E3779B97F4A7C15


def number_hashes(values: np.ndarray) -> np.ndarray:
    """uint64 [values]: of integers by their two's complement in 64 bits, of floats by the bits of the float64, all NaN and both zeros being
    one value each. Mixed by the finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014),
    which maps 64 bits one to one: numbers of one column never meet.
    """
    import numpy as np

    if values.dtype.kind == "f":
        doubles = np.add(values, 0.0, dtype=np.float64)  # -0.0 + 0.0 is 0.0
        if (nans := np.isnan(doubles)).any():
            doubles[nans] = np.nan
        return _mix(doubles.view(np.uint64))
    return _mix(values.astype(np.uint64) if values.dtype.kind == "u" else values.astype(np.int64).view(np.uint64))


def mixed(values: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser of (x + golden ratio), uint64 [values]."""
    return _mix(values.copy())


def _mix(values: np.ndarray) -> np.ndarray:
    """In place: memory that is new costs as much as the mixing."""
    import numpy as np

    shifted = np.empty(min(CHUNK, len(values)), np.uint64)
    for start in range(0, len(values), CHUNK):
        x = values[start : start + CHUNK]
        x += np.uint64(_GOLDEN)
        y = shifted[: len(x)]
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            np.right_shift(x, np.uint64(shift), out=y)
            np.bitwise_xor(x, y, out=x)
            if factor != 1:
                np.multiply(x, np.uint64(factor), out=x)
    return values


def bytes_hashes(values: pa.Array) -> np.ndarray:
    """uint64 [values]: of text or binary without nulls, by its bytes: eight (little-endian) after another, and then the last eight, which
    overlap where the length is no multiple (of less than eight: what there is, and zeros): each is xored to the hash so far, which is
    then mixed; begun with the length. Of more than 256 bytes: BLAKE2b."""
    import numpy as np

    offsets, data = byte_spans(values)
    lengths = np.diff(offsets)
    padded = np.zeros(len(data) + 8, np.uint8)
    padded[: len(data)] = data
    # Every eight bytes of it, at any place: indexing copies them, where np.take is ten times slower.
    words = np.ndarray((len(padded) - 7,), "<u8", padded, 0, (1,))
    made = (lengths.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN)
    for start in range(0, len(made), CHUNK):
        end = min(start + CHUNK, len(made))
        _hash_chunk(made[start:end], offsets[start:end], lengths[start:end], words)
    for place in np.flatnonzero(lengths > LONG_BYTES).tolist():
        text = data[offsets[place] : offsets[place + 1]].tobytes()
        made[place] = int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
    return made


def byte_spans(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The offsets, int64 [values + 1], and the bytes of an array of text or binary."""
    import numpy as np

    is_large = pa.types.is_large_binary(values.type) or pa.types.is_large_string(values.type)
    _, offsets, data = values.buffers()
    whole = np.frombuffer(data, np.uint8) if data else np.zeros(0, np.uint8)
    if not offsets or not len(values):
        return np.zeros(1, np.int64), whole[:0]
    found = np.frombuffer(offsets, np.int64 if is_large else np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    first, last = int(found[0]), int(found[-1])
    found -= first
    return found, whole[first:last]


def _hash_chunk(made: np.ndarray, starts: np.ndarray, lengths: np.ndarray, words: np.ndarray) -> None:
    import numpy as np

    shortest, longest = int(lengths.min()), min(int(lengths.max()), LONG_BYTES)
    for at in range(0, longest - 8, 8):
        if at + 8 < shortest:
            _step(made, words[starts + at])
        else:
            some = np.flatnonzero(lengths > at + 8)
            found = made[some]
            _step(found, words[starts[some] + at])
            made[some] = found
    last = words[np.maximum(starts + (lengths - 8), starts)]
    if shortest < 8:
        last &= np.uint64(0xFFFFFFFFFFFFFFFF) >> (np.maximum(8 - lengths, 0) << 3).astype(np.uint64)
        last[lengths == 0] = 0
    _step(made, last)


def _step(hashes: np.ndarray, words: np.ndarray) -> None:
    """In place. A whole finaliser for each word: of a lighter step the words of texts with digits in fixed places met by the thousand."""
    import numpy as np

    hashes ^= words
    for shift, factor in ((32, _GOLDEN), (29, 0xBF58476D1CE4E5B9)):
        np.right_shift(hashes, np.uint64(shift), out=words)
        hashes ^= words
        hashes *= np.uint64(factor)
    np.right_shift(hashes, np.uint64(32), out=words)
    hashes ^= words
