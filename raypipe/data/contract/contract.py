"""The contract of a table: what its columns must be, when each is known, and what becomes of a row that breaks it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, DataError, nearest
from raypipe.core.step import Columns
from raypipe.data.types import is_text, is_type, parse_type, type_name, value_type

Breach = Literal["fail", "quarantine", "drop", "warn"]
TAKES_OUT = ("quarantine", "drop")
"""Of a breach, what leaves rows out of the table."""


@dataclass(frozen=True)
class Column:
    """What one column must be. A missing value (null; in a float column NaN too) can break `nulls` only."""

    type: str
    """Arrow's name of its type: int64, float64, string, bool, date32, timestamp[us], timestamp[us, tz=UTC], ..."""
    nulls: bool = True
    """Whether a value may be missing."""
    min: float | int | str | None = None
    """Least value; of dates and times an ISO text."""
    max: float | int | str | None = None
    """Greatest value."""
    allowed: list[Any] | None = None
    """The only values that it may have."""
    pattern: str | None = None
    """A regular expression (RE2) that the whole text must match."""
    unique: bool = False
    """Whether no value may come twice in the whole table."""
    known: Literal["before", "afterwards"] = "before"
    """`afterwards`: its value is known only after the moment of prediction, so it may not be a model's input."""
    on_breach: Breach = "fail"
    """Of a row that breaks a rule of this column: nothing is taken (fail), the row goes to the table NAME~breaches with its reasons
    (quarantine), it is dropped and counted, or it is only counted (warn)."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = [f"known is {self.known!r}, expected before or afterwards"] if self.known not in ("before", "afterwards") else []
        if self.on_breach not in get_args(Breach):
            found.append(f"on_breach is {self.on_breach!r}, expected fail, quarantine, drop or warn")
        if self.unique and self.on_breach in TAKES_OUT:
            found.append(f"unique cannot go with on_breach: {self.on_breach}: which of the rows would stay is not said")
        if not is_type(self.type):
            return [
                *found,
                f"'{self.type}' is no type. Types: int64, float64, string, bool, date32, timestamp[us], timestamp[us, tz=UTC], ...",
            ]
        return [*found, *self._bad_bounds(), *self._bad_pattern()]

    def _bad_bounds(self) -> list[str]:
        type = value_type(parse_type(self.type))
        given = {"min": self.min, "max": self.max} | {f"allowed[{i}]": value for i, value in enumerate(self.allowed or ())}
        bad = [
            f"{key} is {value!r}, which is no {self.type}" for key, value in given.items() if value is not None and not _is_a(value, type)
        ]
        if pa.types.is_integer(type):
            bad += [f"allowed has {value}, which is no {self.type}" for value in self.allowed or () if isinstance(value, float)]
        if self.allowed is not None and not self.allowed:
            bad.append("allowed is empty, expected at least one value")
        if bad or self.min is None or self.max is None or bound(self.min, type).as_py() <= bound(self.max, type).as_py():
            return bad
        return [f"min {self.min} is above max {self.max}"]

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


@dataclass(frozen=True)
class Contract:
    """What a table must be. It is checked as rows are written: nothing of a batch that breaks it is ever visible."""

    revision: ClassVar[int] = 1

    columns: dict[str, Column] = field(default_factory=dict)
    """Name -> what the column must be, in the order in which the table has them."""
    exact: bool = True
    """Whether a column that the contract does not name is refused; otherwise it is taken as it comes."""
    min_rows: int = 1
    """Rows that the table must have."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", {name: _column(name, column) for name, column in self.columns.items()})

    def problems(self) -> list[str]:
        """What is wrong with the settings, each with its key."""
        found = [] if self.columns else ["columns is empty, expected at least one column"]
        found += [] if self.min_rows >= 0 else [f"min_rows is {self.min_rows}, expected 0 or more"]
        found += [
            f"columns.{name}: names that begin with raypipe. are raypipe's own" for name in self.columns if name.startswith("raypipe.")
        ]
        return found + [f"columns.{name}: {text}" for name, column in self.columns.items() for text in column.problems()]

    @property
    def known_afterwards(self) -> tuple[str, ...]:
        """The columns whose value is known only after the moment of prediction."""
        return tuple(name for name, column in self.columns.items() if column.known == "afterwards")

    def columns_of(self) -> Columns:
        """What is known of a table that satisfies it."""
        types = {name: column.type for name, column in self.columns.items()}
        return Columns(tuple(self.columns) if self.exact else None, types, frozenset(self.known_afterwards))

    def types(self) -> dict[str, pa.DataType]:
        return {name: parse_type(column.type) for name, column in self.columns.items()}

    def digest(self) -> str:
        """sha256 of everything that it states."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True, default=str).encode()).hexdigest()

    def shapes_rows(self) -> Json:
        """What of it shapes the rows themselves: types, and all of a column that leaves rows out. The rest is only judged by it."""
        return {n: dataclasses.asdict(c) if c.on_breach in TAKES_OUT else {"type": c.type} for n, c in self.columns.items()} | {
            "": self.exact
        }

    @property
    def keeps_out(self) -> bool:
        """Whether it may send rows to the table NAME~breaches."""
        return any(column.on_breach == "quarantine" for column in self.columns.values())

    def fit(self, table: pa.Table) -> pa.Table:
        """The table with the contract's columns, in its order and of its types, then those it does not name; DataError with every column
        that is missing, too much, or of a type that would have to be changed."""
        return fit(table, self.types(), "the contract", self.exact)


def fit(table: pa.Table, types: Mapping[str, pa.DataType], who: str, exact: bool = True) -> pa.Table:
    """The columns in the order of `types` and of those types, further ones after them where `exact` is False.

    Only what changes no value is converted: text of another layout, dictionaries, a column of nothing but nulls, units of time that hold
    the values. DataError otherwise, with every column; `who` is who says so.
    """
    problems = [*_twice(table.schema), *_other_names(table.schema, types, who, exact), *_other_types(table.schema, types, who)]
    if problems:
        raise DataError("\n".join(problems))
    made = {name: _converted(name, table.column(name), type) for name, type in types.items()}
    made |= {name: table.column(name) for name in table.column_names if name not in types}
    return pa.table(made)


def bound(value: Any, type: pa.DataType) -> pa.Scalar:
    """A bound as what a column of that type is compared with: times parsed from ISO text, numbers as they are."""
    # pa.array would import pandas, which a check can do without.
    return pa.scalar(value).cast(type) if isinstance(value, str) else pa.scalar(value)


def whole(pattern: str) -> str:
    """The pattern of a text that matches from end to end."""
    return rf"\A(?:{pattern})\z"


def _column(name: str, column: Any) -> Column:
    if isinstance(column, Column):
        return column
    keys = [f.name for f in dataclasses.fields(Column)]
    wrong = [f"columns.{name}: '{key}' is no setting of a column.{nearest(key, keys)}" for key in column if key not in keys]
    if wrong or "type" not in column:
        raise ConfigError("; ".join(wrong or [f"columns.{name}: type is missing, e.g. int64, float64, string, timestamp[us]"]))
    return Column(**column)


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


def _twice(schema: pa.Schema) -> list[str]:
    return [f"column '{name}' is there twice" for name in dict.fromkeys(schema.names) if schema.names.count(name) > 1]


def _other_names(schema: pa.Schema, types: Mapping[str, pa.DataType], who: str, exact: bool) -> list[str]:
    """A misspelt column is told once, not as one too much and one too few."""
    missing = [name for name in types if name not in schema.names]
    told: list[str] = []
    problems = []
    for name in (name for name in schema.names if name not in types):
        hint = nearest(name, [m for m in missing if m not in told])
        if "Did you mean" in hint:
            told.append(hint.split("'")[1])
        elif not exact:
            continue
        problems.append(f"column '{name}' is not in {who}.{hint if 'Did you mean' in hint else ''}")
    return problems + [f"column '{name}' is missing" for name in missing if name not in told]


def _other_types(schema: pa.Schema, types: Mapping[str, pa.DataType], who: str) -> list[str]:
    found = {f.name: f.type for f in schema}
    wrong = [name for name, type in types.items() if name in found and not _is_same(found[name], type)]
    verb = "says" if who == "the contract" else "has"
    return [f"column '{name}' is {type_name(found[name])}, {who} {verb} {type_name(types[name])}" for name in wrong]


def _is_same(found: pa.DataType, stated: pa.DataType) -> bool:
    """Whether the one is the other, but for how it is laid out."""
    if found == stated or pa.types.is_null(found):
        return True
    found, stated = value_type(found), value_type(stated)
    if pa.types.is_timestamp(found) and pa.types.is_timestamp(stated):
        return (found.tz is None) == (stated.tz is None)
    texts = (is_text(found) or pa.types.is_string_view(found)) and is_text(stated)
    return found == stated or texts or (pa.types.is_date(found) and pa.types.is_date(stated))


def _converted(name: str, column: pa.ChunkedArray, type: pa.DataType) -> pa.ChunkedArray:
    if column.type == type:
        return column
    try:
        return column.cast(type)
    except pa.ArrowInvalid as error:
        raise DataError(f"column '{name}' is {type_name(column.type)} and does not go into {type_name(type)}: {error}") from None
