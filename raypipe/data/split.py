"""A split: the rule, as JSON, that says of each row whether it is for training, for validation or for testing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, DataError, nearest
from raypipe.data.parts import NONE, PARTS, UNKNOWN, codes, key_columns
from raypipe.data.rule import problems

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NONE", "PARTS", "columns", "counts", "mask", "part_of", "rule"]

_DEFAULTS = {
    "time": {},
    "hash": {"salt": ""},
    "group": {"salt": ""},
    "stratified": {"salt": ""},
    "folds": {"salt": ""},
    "given": {"parts": {}},
}


def rule(by: str, **settings: Any) -> Json:
    """A rule as JSON. ConfigError with everything that is wrong with it.

    `time`: `on`, `validation_from`, `test_from`, `embargo`. Train is before `validation_from`, validation from there to before `test_from`,
    test from there on. Bounds are ISO dates or times, in the column's time zone where it has one. With an `embargo` of d (`90s`, `30m`,
    `36h`, `7d` of 24 hours each, `2w`) rows from `validation_from` - d to before it, and from `test_from` - d to before it, belong to no
    part.

    `hash`: `key`, `validation`, `test`, `salt`. Let h be the first 8 bytes, big-endian, of sha256 of `salt`, the byte 0x1F and the key
    as text in UTF-8 (integers in decimal, `true` and `false`, dates as 2013-10-01). A row is for testing where h < floor(test * 2^64),
    else for validation where h < floor(test * 2^64) + floor(validation * 2^64), else for training: equal keys stay together, on every
    machine, as data grows, and another share for validation moves no row into or out of the test part. The shares are of keys and are kept
    in expectation: of n keys, with a standard deviation of sqrt(share * (1 - share) / n).

    `group`: the same with a `key` of one or more columns: h is of the salt and each column's text, a 0x1F before each. All rows of a group
    are in one part; with one column it is the split by hash.

    `stratified`: `within`, `cuts`, and the settings of `group`. Without `cuts` the arithmetic is that of `group`, looked at within each
    value of the column `within`: no row ever moves, and the shares within a value are kept in expectation. `cuts` (text of `within` -> two
    hashes in hexadecimal, from `raypipe.data.strata`) are the places that each value is cut at: a row of it is for testing where h < the
    first, else for validation where h < the second, else for training. They keep the shares exactly, for the rows that there were.

    `folds`: `key` (one column or several), `folds`, `fold`, `test`, `salt`. Testing is as by hash: h < T = floor(test * 2^64). The rest is
    cut into k = `folds` ranges, the i-th from T + floor((2^64 - T) * i / k): rows in that of `fold` (0 to k - 1) are for validation, the
    others for training. Every fold has the same test part, and each other row is for validation in one fold exactly.

    `given`: `column`, `parts`. The column says `train`, `validation` or `test`, or what `parts` says of its value (`{dev: validation, held:
    none}`); a row of which it says `none` belongs to no part.
    """
    if wrong := problems(by, settings):
        raise ConfigError("; ".join(wrong))
    left_out = ("embargo", "cuts")
    return {"by": by, **_DEFAULTS[by], **{name: value for name, value in settings.items() if value is not None or name not in left_out}}


def columns(rule: Json) -> tuple[str, ...]:
    """The columns that tell a row's part: who keeps them keeps the parts."""
    if rule["by"] == "time":
        return (rule["on"],)
    if rule["by"] == "given":
        return (rule["column"],)
    within = (rule["within"],) if "cuts" in rule else ()
    return tuple(dict.fromkeys([*key_columns(rule), *within]))


def part_of(rule: Json, table: pa.Table) -> pa.DictionaryArray:
    """The part of each row, `none` where it belongs to none; DataError where a column of the rule is missing, of a type that it cannot be,
    has nulls, or a value of which the rule says nothing (counted)."""
    return pa.DictionaryArray.from_arrays(pa.array(_codes(rule, table)), pa.array([*PARTS, NONE]))


def mask(rule: Json, table: pa.Table, part: str) -> pa.BooleanArray:
    """Which rows are of that part: what `table.filter` takes."""
    return pa.array(_codes(rule, table) == PARTS.index(part))


def counts(rule: Json, table: pa.Table) -> dict[str, int]:
    """How many rows each part has; `none` only where some belong to none."""
    from raypipe.data.tally import tally

    found = tally(rule, table)
    found.refuse(rule)
    return found.counts()


def require(names: Sequence[str], table: pa.Table) -> None:
    """DataError where a column that the split reads is not there."""
    for name in names:
        if name not in table.column_names:
            raise DataError(f"the split reads column '{name}', which is not there.{nearest(name, table.column_names)}")


def _codes(rule: Json, table: pa.Table) -> np.ndarray:
    """The place of each row's part in PARTS, int8 [rows]; 3 where it belongs to none."""
    require(columns(rule), table)
    if not any(table.column(name).null_count for name in columns(rule)):
        found = codes(rule, table)
        if not (found == UNKNOWN).any():
            return found
    from raypipe.data.tally import tally

    tally(rule, table).refuse(rule)
    raise AssertionError("a row without a part was not told")
