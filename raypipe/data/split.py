"""A split: the rule, as JSON, that says of each row whether it is for training, for validation or for testing."""

from __future__ import annotations

import hashlib
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, DataError, nearest
from raypipe.data.types import is_text, type_name, value_type

if TYPE_CHECKING:
    import numpy as np

PARTS = ("train", "validation", "test")
"""In the order of the codes that `part_of` gives."""


def rule(by: Literal["time", "hash"], **settings: Any) -> Json:
    """A rule as JSON. ConfigError with everything that is wrong with it.

    `time`: `on`, `validation_from`, `test_from`. Train is before `validation_from`, validation from there to before `test_from`, test from
    there on. Bounds are ISO dates or times, in the column's time zone where it has one.

    `hash`: `key`, `validation`, `test`, `salt`. Let h be the first 8 bytes, big-endian, of sha256 of `salt`, the byte 0x1F and the key
    as text in UTF-8 (integers in decimal, `true` and `false`, dates as 2013-10-01). A row is for testing where h < floor(test * 2^64),
    else for validation where h < floor(test * 2^64) + floor(validation * 2^64), else for training: equal keys stay together, on every
    machine, as data grows, and another share for validation moves no row into or out of the test part.
    """
    if by not in ("time", "hash"):
        raise ConfigError(f"by is {by!r}, expected time or hash")
    expected = ("on", "validation_from", "test_from") if by == "time" else ("key", "validation", "test", "salt")
    wrong = [f"'{name}' is no setting of a split by {by}.{nearest(name, expected)}" for name in settings if name not in expected]
    wrong = wrong or (_wrong_times(**settings) if by == "time" else _wrong_shares(**settings))
    if wrong:
        raise ConfigError("; ".join(wrong))
    return {"by": by, **({"salt": ""} if by == "hash" else {}), **settings}


def columns(rule: Json) -> tuple[str, ...]:
    """The columns that the rule reads."""
    return (rule["on"] if rule["by"] == "time" else rule["key"],)


def part_of(rule: Json, table: pa.Table) -> pa.DictionaryArray:
    """The part of each row; DataError where the rule's column is missing, of a type that it cannot be, or has nulls (counted)."""
    return pa.DictionaryArray.from_arrays(pa.array(_codes(rule, table)), pa.array(PARTS))


def mask(rule: Json, table: pa.Table, part: str) -> pa.BooleanArray:
    """Which rows are of that part: what `table.filter` takes."""
    return pa.array(_codes(rule, table) == PARTS.index(part))


def counts(rule: Json, table: pa.Table) -> dict[str, int]:
    """How many rows each part has."""
    import numpy as np

    return dict(zip(PARTS, np.bincount(_codes(rule, table), minlength=len(PARTS)).tolist(), strict=True))


def _wrong_times(on: Any = None, validation_from: Any = None, test_from: Any = None) -> list[str]:
    wrong = [] if isinstance(on, str) and on else [f"on is {on!r}, expected the name of a column of times"]
    bounds = {"validation_from": validation_from, "test_from": test_from}
    wrong += [text for name, bound in bounds.items() if (text := _wrong_time(name, bound))]
    if wrong:
        return wrong
    first, second = _time(validation_from), _time(test_from)
    if (first.tzinfo is None) != (second.tzinfo is None):
        return ["validation_from and test_from: one has a time zone, the other has none"]
    return [] if first < second else [f"validation_from {validation_from} is not before test_from {test_from}"]


def _wrong_time(name: str, bound: Any) -> str | None:
    try:
        _time(bound)
    except (TypeError, ValueError):
        return f"{name} is {bound!r}, expected a date or time such as 2013-10-01 or 2013-10-01T12:00:00"
    return None


def _time(bound: str) -> datetime:
    return datetime.fromisoformat(bound)


def _wrong_shares(key: Any = None, validation: Any = None, test: Any = None, salt: Any = "") -> list[str]:
    wrong = [] if isinstance(key, str) and key else [f"key is {key!r}, expected the name of a column"]
    wrong += [] if isinstance(salt, str) else [f"salt is {salt!r}, expected text"]
    shares = {"validation": validation, "test": test}
    bad = [f"{n} is {s!r}, expected a share above 0 and below 1" for n, s in shares.items() if not _is_share(s)]
    if not bad and validation + test >= 1:
        bad = [f"validation {validation} and test {test} leave nothing to train on"]
    return wrong + bad


def _is_share(share: Any) -> bool:
    return isinstance(share, int | float) and not isinstance(share, bool) and 0 < share < 1


def _codes(rule: Json, table: pa.Table) -> np.ndarray:
    """The place in PARTS of each row's part, int8 [rows]."""
    (name,) = columns(rule)
    if name not in table.column_names:
        raise DataError(f"the split reads column '{name}', which is not there.{nearest(name, table.column_names)}")
    column = table.column(name)
    if column.null_count:
        raise DataError(
            f"column '{name}': {column.null_count:,} of {len(column):,} rows are null and belong to no part of the split by {rule['by']}. "
            f"Drop them before (contract: {name}: {{nulls: false, on_breach: drop}}) or split by another column."
        )
    return _by_time(rule, column) if rule["by"] == "time" else _by_hash(rule, column)


def _by_time(rule: Json, column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(column.type):
        raise DataError(f"column '{rule['on']}' is {type_name(column.type)}, the split by time expects a timestamp or a date")
    later = [_not_before(rule, name, column) for name in ("validation_from", "test_from")]
    return later[0] + later[1]


def _not_before(rule: Json, name: str, column: pa.ChunkedArray) -> np.ndarray:
    import pyarrow.compute as pc

    bound = _time(rule[name])
    zone = column.type.tz
    if bound.tzinfo is not None and zone is None:
        raise DataError(f"{name} {rule[name]} has a time zone, column '{rule['on']}' has none: write it without")
    scalar = pa.scalar(bound, pa.timestamp("us", zone if bound.tzinfo else None))
    if zone is not None and bound.tzinfo is None:
        scalar = pc.assume_timezone(scalar, zone)  # type: ignore[attr-defined]
    # Whole units from the bound on: comparing the integers cannot overflow, as casting a far year to nanoseconds would.
    ticks = {"s": 1_000_000, "ms": 1_000, "us": 1}.get(column.type.unit)
    micros = scalar.cast(pa.int64()).as_py()
    limit = math.ceil(micros / ticks) if ticks else micros * 1_000
    return (column.cast(pa.int64()).to_numpy() >= limit).astype("int8")


def _by_hash(rule: Json, column: pa.ChunkedArray) -> np.ndarray:
    import numpy as np

    type = value_type(column.type)
    if not (is_text(type) or pa.types.is_integer(type) or pa.types.is_boolean(type) or pa.types.is_date(type)):
        raise DataError(f"column '{rule['key']}' is {type_name(column.type)}, the split by hash expects string, integer, bool or date")
    values = column.cast(type) if pa.types.is_dictionary(column.type) else column
    # Only distinct values are hashed: 2 us each, 3 million rows of 4,000 values in 0.1 s.
    encoded: Any = values.combine_chunks().dictionary_encode() if len(values) else pa.array([], type).dictionary_encode()
    test = int(rule["test"] * 2**64)
    validation = test + int(rule["validation"] * 2**64)
    hashes = [_hash(rule["salt"], text) for text in encoded.dictionary.cast(pa.string()).to_pylist()]
    codes = np.array([2 if h < test else 1 if h < validation else 0 for h in hashes], dtype=np.int8)
    return codes[encoded.indices.to_numpy()]


def _hash(salt: str, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{salt}\x1f{text}".encode()).digest()[:8], "big")
