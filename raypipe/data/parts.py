"""The arithmetic of splits: of each row the place of its part in PARTS, the same on every engine and machine."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.types import is_text, type_name, value_type

if TYPE_CHECKING:
    import numpy as np

PARTS = ("train", "validation", "test")
"""In the order of their codes."""
NONE = "none"
"""What is said of a row that belongs to no part; its code is 3."""
UNKNOWN = -1
"""The code of a row of which the rule says nothing."""
WHOLE = 2**64

_MICROS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}


def codes(rule: Json, table: pa.Table) -> np.ndarray:
    """int8 [rows]; the rule's columns are there and have no nulls. DataError where one is of a type that it cannot be."""
    return _DEALT[rule["by"]](rule, table)


def micros(duration: Any) -> int:
    """`90s`, `30m`, `36h`, `7d` (of 24 hours), `2w` in microseconds. ValueError for anything else."""
    match = re.fullmatch(r"(\d+)([smhdw])", duration) if isinstance(duration, str) else None
    if match is None:
        raise ValueError(f"{duration!r} is no duration")
    return int(match[1]) * _MICROS[match[2]]


def key_columns(rule: Json) -> tuple[str, ...]:
    """The columns whose equal values stay together."""
    return (rule["key"],) if isinstance(rule["key"], str) else tuple(rule["key"])


def hashes(rule: Json, table: pa.Table) -> np.ndarray:
    """uint64 [rows]: the first 8 bytes, big-endian, of sha256 of the salt and the text of each column of the key, each after a 0x1F."""
    import numpy as np

    encoded = _distinct(rule, table)
    # Only distinct keys are hashed: 1 us each, 3 million rows of 4,000 keys in 0.1 s.
    start = hashlib.sha256(rule["salt"].encode())
    digests = bytearray()
    for text in encoded.dictionary.to_pylist():
        one = start.copy()
        one.update(f"\x1f{text}".encode())
        digests += one.digest()[:8]
    return np.frombuffer(bytes(digests), ">u8").astype(np.uint64)[encoded.indices.to_numpy()]


def cuts(rule: Json) -> tuple[int, int]:
    """Below the first of the two a hash is for testing, else below the second for validation."""
    test = int(rule["test"] * WHOLE)
    return test, test + int(rule["validation"] * WHOLE)


def limit(rule: Json, name: str, type: Any, before: int = 0) -> int:
    """The least whole number of the column's units that is not before the bound less `before` microseconds.

    Comparing integers cannot overflow, as casting a far year to nanoseconds would.
    """
    import pyarrow.compute as pc

    bound = datetime.fromisoformat(rule[name])
    if bound.tzinfo is not None and type.tz is None:
        raise DataError(f"{name} {rule[name]} has a time zone, column '{rule['on']}' has none: write it without")
    scalar = pa.scalar(bound, pa.timestamp("us", type.tz if bound.tzinfo else None))
    if type.tz is not None and bound.tzinfo is None:
        try:
            scalar = pc.assume_timezone(scalar, type.tz)  # type: ignore[attr-defined]
        except pa.ArrowInvalid:
            why = f"{type.tz} has that time not once, as its clocks change then: write its distance from UTC, as in {rule[name]}+00:00"
            raise DataError(f"{name} is {rule[name]}, and {why}") from None
    ticks = {"s": 1_000_000, "ms": 1_000, "us": 1}.get(type.unit)
    moment = scalar.cast(pa.int64()).as_py() - before
    return math.ceil(moment / ticks) if ticks else moment * 1_000


def words(rule: Json, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Its values as text: integers in decimal, `true` and `false`, dates as 2013-10-01. DataError for other types."""
    type = value_type(column.type)
    if not (is_text(type) or any(test(type) for test in (pa.types.is_integer, pa.types.is_boolean, pa.types.is_date, pa.types.is_null))):
        raise DataError(f"column '{name}' is {type_name(column.type)}, the split by {rule['by']} expects string, integer, bool or date")
    # A date64 has a time of day of zero, which its text would show.
    plain = column.cast(type) if pa.types.is_dictionary(column.type) else column
    return (plain.cast(pa.date32()) if pa.types.is_date(type) else plain).cast(pa.string())


def named(rule: Json) -> Mapping[str, int]:
    """By given: the code of each value that the column may have."""
    code = {part: number for number, part in enumerate((*PARTS, NONE))}
    return {part: code[part] for part in PARTS} | {value: code[part] for value, part in rule["parts"].items()}


def _by_time(rule: Json, table: pa.Table) -> np.ndarray:
    import numpy as np

    column = table.column(rule["on"])
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(column.type):
        raise DataError(f"column '{rule['on']}' is {type_name(column.type)}, the split by time expects a timestamp or a date")
    ticks = column.cast(pa.int64()).to_numpy()
    validation, test = (ticks >= limit(rule, name, column.type) for name in ("validation_from", "test_from"))
    found = validation.astype(np.int8) + test.astype(np.int8)
    if gap := micros(rule.get("embargo", "0s")):
        from_gap, to_gap = (ticks >= limit(rule, name, column.type, gap) for name in ("validation_from", "test_from"))
        found[(from_gap & ~validation) | (to_gap & ~test)] = len(PARTS)
    return found


def _by_hash(rule: Json, table: pa.Table) -> np.ndarray:
    test, validation = cuts(rule)
    return _cut(hashes(rule, table), test, validation)


def _by_stratum(rule: Json, table: pa.Table) -> np.ndarray:
    """Each stratum by its own cuts, where the rule has such."""
    import numpy as np

    if "cuts" not in rule:
        return _by_hash(rule, table)
    strata: Any = words(rule, rule["within"], table.column(rule["within"]))
    encoded = strata.combine_chunks().dictionary_encode()
    known = [[int(cut, 16) for cut in rule["cuts"].get(value, ("0", "0"))] for value in encoded.dictionary.to_pylist()]
    limits = np.array(known, dtype=np.uint64).reshape(-1, 2)[encoded.indices.to_numpy()]
    found = _cut(hashes(rule, table), limits[:, 0], limits[:, 1])
    lost = [n for n, value in enumerate(encoded.dictionary.to_pylist()) if value not in rule["cuts"]]
    found[np.isin(encoded.indices.to_numpy(), lost)] = UNKNOWN
    return found


def _by_fold(rule: Json, table: pa.Table) -> np.ndarray:
    import numpy as np

    found, (test, _) = hashes(rule, table), cuts({**rule, "validation": 0})
    inner = [test + (WHOLE - test) * number // rule["folds"] for number in range(1, rule["folds"])]
    fold = np.searchsorted(np.array(inner, dtype=np.uint64), found, side="right")
    return np.where(found < np.uint64(test), 2, fold == rule["fold"]).astype(np.int8)


def _as_given(rule: Json, table: pa.Table) -> np.ndarray:
    import numpy as np

    known = named(rule)
    texts: Any = words(rule, rule["column"], table.column(rule["column"])).combine_chunks()
    encoded = texts.dictionary_encode()
    return np.array([known.get(value, UNKNOWN) for value in encoded.dictionary.to_pylist()], dtype=np.int8)[encoded.indices.to_numpy()]


_DEALT = {"time": _by_time, "hash": _by_hash, "group": _by_hash, "stratified": _by_stratum, "folds": _by_fold, "given": _as_given}


def _cut(found: np.ndarray, test: Any, validation: Any) -> np.ndarray:
    import numpy as np

    test, validation = np.asarray(test, dtype=np.uint64), np.asarray(validation, dtype=np.uint64)
    return np.where(found < test, 2, found < validation).astype(np.int8)


def _distinct(rule: Json, table: pa.Table) -> Any:
    """The texts of the keys, dictionary-encoded; of several columns joined by 0x1F."""
    import pyarrow.compute as pc

    compute: Any = pc
    names = key_columns(rule)
    if len(names) == 1 and table.num_rows:
        column = table.column(names[0])
        values = column.cast(value_type(column.type)) if pa.types.is_dictionary(column.type) else column
        encoded: Any = values.combine_chunks().dictionary_encode()
        texts: Any = words(rule, names[0], pa.chunked_array([encoded.dictionary])).combine_chunks()
        return pa.DictionaryArray.from_arrays(encoded.indices, texts)
    texts = [words(rule, name, table.column(name)) for name in names]
    joined = compute.binary_join_element_wise(*texts, "\x1f") if len(texts) > 1 else texts[0]
    return joined.combine_chunks().dictionary_encode()
