"""The settings of a split's rule, and everything that is wrong with them, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from raypipe.core.artifact import Json
from raypipe.core.errors import nearest
from raypipe.data.parts import NONE, PARTS, micros

SETTINGS = {
    "time": ("on", "validation_from", "test_from", "embargo"),
    "hash": ("key", "validation", "test", "salt"),
    "group": ("key", "validation", "test", "salt"),
    "stratified": ("within", "key", "validation", "test", "salt", "cuts"),
    "folds": ("key", "folds", "fold", "test", "salt"),
    "given": ("column", "parts"),
}
"""Kind of rule -> what it is made of."""


def problems(by: Any, settings: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong; nothing where there is a rule of that kind with those settings."""
    if by not in SETTINGS:
        return [f"by is {by!r}, expected {', '.join(list(SETTINGS)[:-1])} or {list(SETTINGS)[-1]}"]
    expected = SETTINGS[by]
    wrong = [f"'{name}' is no setting of a split by {by}.{nearest(name, expected)}" for name in settings if name not in expected]
    return wrong or _WRONG[by](**settings)


def _wrong_times(on: Any = None, validation_from: Any = None, test_from: Any = None, embargo: Any = None) -> list[str]:
    wrong = [] if isinstance(on, str) and on else [f"on is {on!r}, expected the name of a column of times"]
    bounds = {"validation_from": validation_from, "test_from": test_from}
    wrong += [text for name, bound in bounds.items() if (text := _wrong_time(name, bound))]
    wrong += _wrong_embargo(embargo)
    if wrong:
        return wrong
    first, second = datetime.fromisoformat(validation_from), datetime.fromisoformat(test_from)
    if (first.tzinfo is None) != (second.tzinfo is None):
        return ["validation_from and test_from: one has a time zone, the other has none"]
    if first >= second:
        return [f"validation_from {validation_from} is not before test_from {test_from}"]
    if embargo is not None and first + timedelta(microseconds=micros(embargo)) >= second:
        return [f"embargo {embargo} before test_from {test_from} leaves nothing from validation_from {validation_from} on"]
    return []


def _wrong_time(name: str, bound: Any) -> str | None:
    try:
        datetime.fromisoformat(bound)
    except (TypeError, ValueError):
        return f"{name} is {bound!r}, expected a date or time such as 2013-10-01 or 2013-10-01T12:00:00"
    return None


def _wrong_embargo(embargo: Any) -> list[str]:
    try:
        if embargo is not None and not 0 < micros(embargo) < micros("36500d"):
            return [f"embargo is {embargo!r}, expected more than nothing and less than a century"]
    except ValueError:
        return [f"embargo is {embargo!r}, expected a number of seconds, minutes, hours, days or weeks, such as 90s, 30m, 36h, 7d or 2w"]
    return []


def _wrong_shares(key: Any = None, validation: Any = None, test: Any = None, salt: Any = "") -> list[str]:
    wrong = [] if isinstance(key, str) and key else [f"key is {key!r}, expected the name of a column"]
    return wrong + _wrong_salt(salt) + _wrong_share(validation=validation, test=test)


def _wrong_group(key: Any = None, validation: Any = None, test: Any = None, salt: Any = "") -> list[str]:
    return [*_wrong_key(key), *_wrong_salt(salt), *_wrong_share(validation=validation, test=test)]


def _wrong_strata(within: Any = None, cuts: Any = None, **shares: Any) -> list[str]:
    wrong = [] if isinstance(within, str) and within else [f"within is {within!r}, expected the name of a column to keep the shares within"]
    if not (cuts is None or (isinstance(cuts, dict) and all(map(_is_cut, cuts.values())))):
        wrong.append("cuts: expected value -> two hashes of 16 hexadecimal digits, the first not above the second")
    return wrong + _wrong_group(**shares)


def _wrong_folds(key: Any = None, folds: Any = None, fold: Any = None, test: Any = None, salt: Any = "") -> list[str]:
    wrong = [*_wrong_key(key), *_wrong_salt(salt), *_wrong_share(test=test)]
    if not _is_count(folds) or not 2 <= folds <= 1000:
        return [*wrong, f"folds is {folds!r}, expected a whole number from 2 to 1,000"]
    return [
        *wrong,
        *([] if _is_count(fold) and 0 <= fold < folds else [f"fold is {fold!r}, expected a whole number from 0 to {folds - 1}"]),
    ]


def _wrong_given(column: Any = None, parts: Any = None) -> list[str]:
    wrong = [] if isinstance(column, str) and column else [f"column is {column!r}, expected the name of a column"]
    if not isinstance(parts or {}, dict):
        return [*wrong, f"parts is {parts!r}, expected value -> part"]
    known = (*PARTS, NONE)
    return wrong + [
        f"parts.{value} is {p!r}, expected {', '.join(PARTS)} or {NONE}" for value, p in (parts or {}).items() if p not in known
    ]


_WRONG = {
    "time": _wrong_times,
    "hash": _wrong_shares,
    "group": _wrong_group,
    "stratified": _wrong_strata,
    "folds": _wrong_folds,
    "given": _wrong_given,
}


def _wrong_key(key: Any) -> list[str]:
    names = [key] if isinstance(key, str) else key
    if isinstance(names, list) and names and all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names):
        return []
    return [f"key is {key!r}, expected the name of a column, or a list of names"]


def _wrong_salt(salt: Any) -> list[str]:
    return [] if isinstance(salt, str) else [f"salt is {salt!r}, expected text"]


def _wrong_share(**shares: Any) -> list[str]:
    bad = [f"{n} is {s!r}, expected a share above 0 and below 1" for n, s in shares.items() if not _is_share(s)]
    if not bad and sum(shares.values()) >= 1:
        bad = [f"{' and '.join(f'{n} {s}' for n, s in shares.items())} leave nothing to train on"]
    return bad


def _is_share(share: Any) -> bool:
    return isinstance(share, int | float) and not isinstance(share, bool) and 0 < share < 1


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _is_cut(pair: Json) -> bool:
    digits = isinstance(pair, list) and len(pair) == 2 and all(isinstance(c, str) and len(c) == 16 for c in pair)
    return digits and all(set(c) <= set("0123456789abcdef") for c in pair) and pair[0] <= pair[1]
