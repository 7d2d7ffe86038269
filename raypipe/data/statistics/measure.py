"""One column of rows in memory, measured: the engine's part of a profile, one thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from raypipe.data.statistics.column import ColumnProfile, Kind
from raypipe.data.statistics.distinct import Distinct
from raypipe.data.statistics.hashes import byte_spans, bytes_hashes, mixed, number_hashes
from raypipe.data.statistics.numbers import Grouped, Numbers, grouped
from raypipe.data.statistics.top import Top, most_frequent
from raypipe.data.types import type_name

if TYPE_CHECKING:
    import numpy as np

pc: Any = pyarrow.compute
SHOWN = 200
"""Characters of a text, bytes of a binary value, that are kept."""
SAMPLE = 2_000
REPETITIVE = 200
"""Texts of which that many rows hold at most so many different values are grouped by Arrow: 13 ns a value where hashing takes 30. Should
they prove different after all, Arrow takes 150."""
INT64_DIGITS = 18


def measured(name: str, column: pa.ChunkedArray | pa.Array, type_: pa.DataType | None = None) -> ColumnProfile:
    """Every value of it is looked at; what is kept has a bounded size, 60 kB at most before it is compressed. `type_`: what it is, where
    text comes as a dictionary."""
    array: Any = _plain(column)
    about = {"name": name, "type": type_name(type_ or column.type), "num_rows": len(array), "num_nulls": array.null_count}
    kind = kind_of(array.type)
    if kind == "struct":
        inside = zip(array.type, array.flatten(), strict=True)
        return ColumnProfile(**about, kind=kind, fields=tuple(measured(f.name, part) for f, part in inside))
    values = array.drop_null() if array.null_count else array
    if kind == "list":
        lengths = pc.list_value_length(values) if not pa.types.is_map(array.type) else _places(_map_lengths(values))
        return ColumnProfile(**about, kind=kind, lengths=Numbers.of(grouped(_as_numpy(lengths))), fields=_items(values))
    if kind == "other":
        return ColumnProfile(**about, kind=kind)
    found = {"number": _numeric, "time": _numeric, "bool": _boolean, "text": _textual, "binary": _textual}[kind](values)
    return ColumnProfile(**about, kind=kind, **found)


def _items(values: Any) -> tuple[ColumnProfile, ...]:
    """What lists hold, as columns of as many rows as there are items; of lists of one size nothing, whose places say what a value is."""
    if pa.types.is_fixed_size_list(values.type):
        return ()
    if not pa.types.is_map(values.type):
        return (measured("item", values.flatten()),)
    offsets = _as_numpy(values.offsets)
    begin, end = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    return tuple(measured(name, part.slice(begin, end - begin)) for name, part in (("key", values.keys), ("value", values.items)))


def kind_of(type_: Any) -> Kind:
    is_ = pa.types
    if is_.is_dictionary(type_):
        return kind_of(type_.value_type)
    if is_.is_integer(type_) or is_.is_floating(type_) or is_.is_decimal(type_):
        return "number"
    if is_.is_timestamp(type_) or is_.is_date(type_) or is_.is_time(type_) or is_.is_duration(type_):
        return "time"
    if is_.is_boolean(type_):
        return "bool"
    if is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_):
        return "text"
    if is_.is_binary(type_) or is_.is_large_binary(type_) or is_.is_binary_view(type_) or is_.is_fixed_size_binary(type_):
        return "binary"
    if is_.is_list(type_) or is_.is_large_list(type_) or is_.is_fixed_size_list(type_) or is_.is_map(type_):
        return "list"
    return "struct" if is_.is_struct(type_) else "other"


def _plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One array of the storage type; dictionaries of text stay as they are, others are looked up."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column
        array: Any = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    else:
        array = column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    if pa.types.is_dictionary(array.type) and kind_of(array.type) not in ("text", "binary"):
        array = array.dictionary_decode()
    is_view = pa.types.is_string_view(array.type) or pa.types.is_binary_view(array.type)
    if is_view or pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.large_string() if pa.types.is_string_view(array.type) else pa.large_binary())
    return array


# --- numbers and times


def _numeric(array: pa.Array) -> dict[str, Any]:
    type_: Any = array.type
    if pa.types.is_decimal(type_):
        return _decimal(array, type_)
    found = grouped(_as_numpy(array))
    return {"numbers": Numbers.of(found), **_values_of(found, number_hashes)}


def _as_numpy(array: pa.Array) -> np.ndarray:
    """Numbers, and times as whole ones, without nulls: the array's own memory. (`to_numpy` imports pandas, 0.6 s.)"""
    import numpy as np

    type_ = array.type
    kind = "f" if pa.types.is_floating(type_) else "u" if pa.types.is_unsigned_integer(type_) else "i"
    dtype = np.dtype(f"{kind}{type_.bit_width // 8}")
    data = array.buffers()[1]
    values = np.frombuffer(data, dtype)[array.offset : array.offset + len(array)] if data and len(array) else np.zeros(0, dtype)
    return values.astype(np.float32) if dtype == np.float16 else values


def _decimal(array: pa.Array, type_: Any) -> dict[str, Any]:
    import numpy as np

    if pa.types.is_decimal128(type_) and type_.precision <= INT64_DIGITS:
        # Little-endian, 16 bytes: so few digits fit in the first eight.
        words = np.frombuffer(array.buffers()[1] or b"", np.int64)[2 * array.offset : 2 * (array.offset + len(array)) : 2]
        found = grouped(np.ascontiguousarray(words))
        return {"numbers": Numbers.of(found), **_values_of(found, number_hashes), "scale": type_.scale}
    numbers = Numbers.of(grouped(_as_numpy(array.cast(pa.float64()))))
    texts = _textual(array.cast(pa.large_string()))
    return {"numbers": numbers, "distinct": texts["distinct"], "top": texts["top"], "is_rounded": True}


def _values_of(found: Grouped, hash_: Any) -> dict[str, Any]:
    """Different and frequent ones."""
    hashes = hash_(found.values)
    places, rest = most_frequent(found.counts)
    counts = found.counts[places]
    top = Top(hashes[places], counts, counts, found.values[places].tolist(), rest).kept()
    return {"distinct": Distinct.of(hashes, len(found.values)), "top": top}


def _boolean(array: pa.Array) -> dict[str, Any]:
    import numpy as np

    true = pc.sum(array, min_count=0).as_py()
    counts = np.array([len(array) - true, true], dtype=np.int64)
    there = np.flatnonzero(counts)
    return _values_of(Grouped(np.array([0, 1])[there], counts[there]), _boolean_hashes)


def _boolean_hashes(values: np.ndarray) -> np.ndarray:
    import numpy as np

    return mixed(values.astype(np.uint64))


# --- texts


def _textual(array: Any) -> dict[str, Any]:
    import numpy as np

    if not pa.types.is_dictionary(array.type) and _is_repetitive(array):
        array = array.dictionary_encode()
    weights = None
    if pa.types.is_dictionary(array.type):
        indices = _as_numpy(array.indices)
        weights = np.bincount(indices, minlength=len(array.dictionary)).astype(np.int64)
        there = np.flatnonzero(weights)
        array, weights = array.dictionary.take(_places(there)), weights[there]
    hashes = bytes_hashes(array)
    found = grouped(hashes, weights)
    places, rest = most_frequent(found.counts)
    values = _shown(array, hashes, found.values[places])
    top = Top(found.values[places], found.counts[places], found.counts[places], values, rest).kept()
    lengths = Numbers.of(grouped(_lengths(array), weights))
    made = {"distinct": Distinct.of(found.values, len(found.values)), "top": top, "lengths": lengths}
    return made | (_bounds(array) if kind_of(array.type) == "text" else {})


def _is_repetitive(array: pa.Array) -> bool:
    step = max(1, len(array) // SAMPLE)
    if len(array) < SAMPLE:
        return False
    import numpy as np

    return pc.count_distinct(array.take(_places(np.arange(0, len(array), step)))).as_py() <= REPETITIVE


def _places(places: np.ndarray) -> pa.Array:
    """Whole numbers as Arrow has them: `pa.array` would import pandas to ask whether they are its."""
    import numpy as np

    return pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places.astype(np.int64, copy=False))])


def _shown(array: Any, hashes: np.ndarray, wanted: np.ndarray) -> list[str]:
    """One of the values with each of these hashes, in their order."""
    import numpy as np

    if not len(wanted):
        return []
    # Most of the others are told by their last 16 bits.
    marks = np.zeros(1 << 16, bool)
    marks[(wanted & np.uint64(0xFFFF)).astype(np.int64)] = True
    likely = np.flatnonzero(marks[(hashes & np.uint64(0xFFFF)).astype(np.int64)])
    found, first = np.unique(hashes[likely], return_index=True)
    rows = likely[first[np.searchsorted(found, wanted)]]
    return [shown(value) for value in array.take(_places(rows)).to_pylist()]


def shown(value: str | bytes) -> str:
    """What is kept of a value."""
    if isinstance(value, bytes):
        return value[: SHOWN // 2].hex() + ("…" if len(value) > SHOWN // 2 else "")
    return value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"


def _bounds(array: Any) -> dict[str, Any]:
    both = pc.min_max(array)
    low, high = both["min"].as_py(), both["max"].as_py()
    return {"low": None if low is None else shown(low), "high": None if high is None else shown(high)}


def _lengths(array: Any) -> np.ndarray:
    import numpy as np

    offsets, data = byte_spans(array)
    if kind_of(array.type) == "text" and len(data) and data.max() > 127:
        return _as_numpy(pc.utf8_length(array))
    return np.diff(offsets)


def _map_lengths(array: Any) -> np.ndarray:
    import numpy as np

    return np.diff(_as_numpy(array.offsets))
