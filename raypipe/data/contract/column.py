"""A column of a contract: what its values must be, when they are known, and what becomes of a row that has another one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, get_args

import pyarrow as pa

from raypipe.core.errors import nearest
from raypipe.data.contract.settings import made_of
from raypipe.data.types import is_text, is_type, parse_type, value_type

Breach = Literal["fail", "quarantine", "drop", "warn"]
TAKES_OUT = ("quarantine", "drop")
"""Of a breach, what leaves rows out of the table."""
ROW_RULES = ("nulls", "min", "max", "allowed", "pattern", "min_length", "max_length", "references")
"""Rules that a single row breaks."""
TABLE_RULES = ("unique", "distance")
"""Rules that only the whole table breaks; of nulls as a share that is so too."""
Measure = Literal["psi", "jensen_shannon", "l_infinity"]


@dataclass(frozen=True)
class References:
    """Each value must be a value of a column of another table."""

    table: str = field(metadata={"example": "table: airports"})
    """NAME (its newest snapshot), NAME@SNAPSHOT, NAME@TAG or NAME@TIME."""
    column: str | None = None
    """The column there; by default of the same name."""


@dataclass(frozen=True)
class Distance:
    """How far the column's distribution may lie from that of a table that serves as reference."""

    against: str = field(metadata={"example": "against: flights.source@2026-01"})
    """The reference: NAME@SNAPSHOT, NAME@TAG, NAME@TIME, or NAME (its newest snapshot)."""
    at_most: float = field(metadata={"example": "at_most: 0.2"})
    """Greatest distance."""
    measure: Measure = "psi"
    """Population stability index; Jensen-Shannon divergence in bits, 0 to 1; or the greatest difference of a bin's shares, 0 to 1."""
    column: str | None = None
    """The column there; by default of the same name."""


@dataclass(frozen=True)
class Column:
    """What one column must be. A missing value (null; in a float column NaN too) can break `nulls` only."""

    type: str = field(metadata={"example": "int64, float64, string, timestamp[us]"})
    """Arrow's name of its type: int64, float64, string, bool, date32, timestamp[us], timestamp[us, tz=UTC], ..."""
    nulls: bool | float = True
    """Whether a value may be missing, or which share of the table's values at most (0.05: 5 %)."""
    min: float | int | str | None = None
    """Least value; of dates and times an ISO text."""
    max: float | int | str | None = None
    """Greatest value."""
    allowed: list[Any] | None = None
    """The only values that it may have."""
    pattern: str | None = None
    """A regular expression (RE2) that the whole text must match."""
    min_length: int | None = None
    """Least number of characters of a text."""
    max_length: int | None = None
    """Greatest number of characters of a text."""
    unique: bool = False
    """Whether no value may come twice in the whole table."""
    references: References | None = None
    """Values of another table, one of which it must be: `{table: airports, column: faa}`."""
    distance: Distance | None = None
    """A bound on how far its distribution lies from that of a reference: `{against: flights.source@2026-01, at_most: 0.2}`."""
    known: Literal["before", "afterwards"] = "before"
    """`afterwards`: its value is known only after the moment of prediction, so it may not be a model's input."""
    on_breach: Breach | dict[str, Breach] = "fail"
    """Of a row that breaks a rule of this column: nothing is taken (fail), the row goes to the table NAME~breaches with its reasons
    (quarantine), it is dropped and counted, or it is only counted (warn). Or by rule: `{min: quarantine}`; rules not named there fail."""
    tolerance: float | None = None
    """Share of the rows that may break a rule of this column without harm (0.01: 1 %); of rows that are dropped or quarantined: above it
    nothing is taken. Without it none may where they fail, and any number where they are left out."""

    def __post_init__(self) -> None:
        for name, cls in (("references", References), ("distance", Distance)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, made_of(cls, name, getattr(self, name)))

    def breach(self, rule: str) -> Breach:
        """What is done about a row that breaks that rule."""
        return self.on_breach.get(rule, "fail") if isinstance(self.on_breach, Mapping) else self.on_breach

    @property
    def takes_out(self) -> set[str]:
        """What it does with rows that leaves them out: quarantine, drop."""
        stated = [*self.on_breach.values()] if isinstance(self.on_breach, Mapping) else [self.on_breach]
        return {breach for breach in stated if breach in TAKES_OUT}

    @property
    def nulls_share(self) -> float | None:
        """The share of values that may be missing, where it is stated as one."""
        return None if isinstance(self.nulls, bool) else float(self.nulls)

    @property
    def stated(self) -> list[str]:
        """The rules that it has."""
        rules = [rule for rule in (*ROW_RULES, *TABLE_RULES) if rule not in ("nulls", "unique") and getattr(self, rule) is not None]
        return ["nulls"] * (self.nulls is not True) + rules + ["unique"] * self.unique

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = [f"known is {self.known!r}, expected before or afterwards"] if self.known not in ("before", "afterwards") else []
        found += [*self._bad_breaches(), *self._bad_shares()]
        if not is_type(self.type):
            return [
                *found,
                f"'{self.type}' is no type. Types: int64, float64, string, bool, date32, timestamp[us], timestamp[us, tz=UTC], ...",
            ]
        return [*found, *self._bad_bounds(), *self._bad_pattern(), *self._bad_lengths(), *self._bad_keys()]

    def _bad_breaches(self) -> Iterator[str]:
        by_rule = self.on_breach if isinstance(self.on_breach, Mapping) else {"": self.on_breach}
        for rule, breach in by_rule.items():
            if breach not in get_args(Breach):
                yield f"on_breach{f'.{rule}' if rule else ''} is {breach!r}, expected fail, quarantine, drop or warn"
            if rule and rule not in (*ROW_RULES, *TABLE_RULES):
                yield f"on_breach.{rule}: no such rule.{nearest(rule, (*ROW_RULES, *TABLE_RULES))}"
        of_table = [rule for rule in self.stated if rule in TABLE_RULES or (rule == "nulls" and self.nulls_share is not None)]
        for rule in of_table:
            if (breach := self.breach(rule)) in TAKES_OUT:
                what = "nulls as a share" if rule == "nulls" else rule
                why = "which of the rows would stay is not said" if rule == "unique" else "no single row breaks it"
                rest = f"{{{', '.join(f'{r}: {breach}' for r in self.stated if r not in of_table)}}}"
                yield f"{what} cannot go with on_breach: {breach}: {why}. Say for which rules it is: on_breach: {rest}"

    def _bad_shares(self) -> Iterator[str]:
        for name, share in (("nulls", self.nulls_share), ("tolerance", self.tolerance)):
            if share is not None and not 0 <= share <= 1:
                yield f"{name} is {share:g}, expected a share from 0 to 1"
        if self.distance is not None:
            if self.distance.measure not in get_args(Measure):
                yield f"distance.measure is {self.distance.measure!r}, expected {', '.join(get_args(Measure))}"
            if not self.distance.at_most > 0:
                yield f"distance.at_most is {self.distance.at_most:g}, expected more than 0"

    def _bad_bounds(self) -> list[str]:
        type = value_type(parse_type(self.type))
        given = {"min": self.min, "max": self.max} | {f"allowed[{i}]": value for i, value in enumerate(self.allowed or ())}
        bad = [
            f"{key} is {value!r}, which is no {self.type}{_such_as(type)}"
            for key, value in given.items()
            if value is not None and not _is_a(value, type)
        ]
        if pa.types.is_integer(type):
            bad += [f"allowed has {value}, which is no {self.type}" for value in self.allowed or () if isinstance(value, float)]
        if self.allowed is not None and not self.allowed:
            bad.append("allowed is empty, expected at least one value")
        if bad or self.min is None or self.max is None or bound(self.min, type).as_py() <= bound(self.max, type).as_py():
            return bad
        return [f"min {self.min} is above max {self.max}"]

    def _bad_lengths(self) -> Iterator[str]:
        given = {name: getattr(self, name) for name in ("min_length", "max_length") if getattr(self, name) is not None}
        if given and not is_text(value_type(parse_type(self.type))):
            yield f"{next(iter(given))} is for text, the type is {self.type}"
        yield from (f"{name} is {value}, expected 0 or more" for name, value in given.items() if value < 0)
        if len(given) == 2 and given["min_length"] > given["max_length"]:
            yield f"min_length {self.min_length} is above max_length {self.max_length}"

    def _bad_keys(self) -> Iterator[str]:
        if has_keys(parse_type(self.type)):
            return
        for name, given in (("unique", self.unique), ("references", self.references is not None)):
            if given:
                yield f"{name} is for text, numbers, times and bytes, the type is {self.type}"

    def _bad_pattern(self) -> list[str]:
        if self.pattern is None:
            return []
        if not is_text(value_type(parse_type(self.type))):
            return [f"pattern is for text, the type is {self.type}"]
        try:
            re.compile(self.pattern)
        except re.error as error:
            return [f"pattern {self.pattern!r}: {error}"]
        # What Python's expressions have and RE2's have not; Arrow's engine is not loaded for a check.
        beyond = re.search(r"\(\?<?[=!]|\\[1-9]", self.pattern)
        return [f"pattern {self.pattern!r}: RE2 knows no look-around and no back-reference ({beyond[0]})"] if beyond else []


def has_keys(type: pa.DataType) -> bool:
    """Whether values of that type can be told apart by a key: all but what is made of further values."""
    type = value_type(type)
    return not pa.types.is_nested(type) and not pa.types.is_interval(type)


def bound(value: Any, type: pa.DataType) -> pa.Scalar:
    """A bound as what a column of that type is compared with: times parsed from ISO text, numbers as they are."""
    # pa.array would import pandas, which a check can do without.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return pa.scalar(float(value) if pa.types.is_floating(type) else Decimal(value))
    return pa.scalar(value).cast(type) if isinstance(value, str) else pa.scalar(value)


def _such_as(type: pa.DataType) -> str:
    """How a bound of times is written, which a type's name does not tell."""
    if pa.types.is_timestamp(type):
        return f", such as '2026-01-31T00:00:00{'Z' if type.tz else ''}'"
    return ", such as '2026-01-31'" if pa.types.is_date(type) else ""


def _is_a(value: Any, type: pa.DataType) -> bool:
    """Whether a bound can be compared with a column of that type: 0.5 with int64 too, `true` and `1` with their own kind only."""
    if isinstance(value, bool) or pa.types.is_boolean(type):
        return isinstance(value, bool) and pa.types.is_boolean(type)
    if isinstance(value, int | float):
        return pa.types.is_integer(type) or pa.types.is_floating(type) or pa.types.is_decimal(type)
    try:
        return isinstance(value, str) and (is_text(type) or pa.types.is_temporal(type)) and bound(value, type).is_valid
    except pa.ArrowException:
        return False
