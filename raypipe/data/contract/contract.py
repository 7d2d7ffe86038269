"""The contract of a table: what its columns and its rows must be, when each column is known, and what becomes of a row that breaks it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.core.step import Columns
from raypipe.data.contract.column import TAKES_OUT, Breach, Column, has_keys
from raypipe.data.contract.fit import fit
from raypipe.data.contract.settings import all_of, made_of
from raypipe.data.types import is_type, parse_type

if TYPE_CHECKING:
    from raypipe.data.expression import Expression


@dataclass(frozen=True)
class Rule:
    """A condition over several columns of a row."""

    sql: str = field(metadata={"example": "sql: arr_time > dep_time"})
    """An SQL expression over the row that must be true: `arr_time > dep_time`."""
    on_breach: Breach = "fail"
    """Of a row for which it is false: as of a column's rules."""
    nulls: Literal["pass", "fail"] = "pass"
    """Of a row for which it is null, as one of its columns is missing: it keeps the rule, or breaks it."""
    tolerance: float | None = None
    """Share of the rows that may break it, as of a column's rules."""


@dataclass(frozen=True)
class Freshness:
    """How old the newest value of a time may be at the moment of judgement. Validate judges it; an Ingest only tells."""

    column: str = field(metadata={"example": "column: at"})
    """A date or a timestamp; one without a time zone counts as UTC."""
    within: str = field(metadata={"example": "within: 36h"})
    """Greatest age: a number of days, hours, minutes or seconds, such as 2d, 36h, 30m, 90s."""
    on_breach: Literal["fail", "warn"] = "fail"
    """Whether a table that is older may not be used, or that is only told."""

    @property
    def age(self) -> timedelta | None:
        """`within` as a time; None where it is none."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([dhms])", self.within) if isinstance(self.within, str) else None
        return timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else None


_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@dataclass(frozen=True)
class Contract:
    """What a table must be. It is checked as rows are written: nothing of a batch that breaks it is ever visible."""

    revision: ClassVar[int] = 2

    columns: dict[str, Column] = field(default_factory=dict)
    """Name -> what the column must be, in the order in which the table has them."""
    exact: bool = True
    """Whether a column that the contract does not name is refused; otherwise it is taken as it comes."""
    min_rows: int = 1
    """Rows that the table must have."""
    max_rows: int | None = None
    """Rows that the table may have."""
    unique: list[list[str]] = field(default_factory=list)
    """Sets of columns whose values together may not come twice in the whole table: `[[carrier, flight, at]]`. A row that lacks one of the
    values is not counted."""
    rules: dict[str, Rule] = field(default_factory=dict)
    """Name -> a condition over several columns of a row: `{arrives_later: {sql: arr_time > dep_time, on_breach: quarantine}}`."""
    freshness: Freshness | None = None
    """How old the table's newest row may be: `{column: at, within: 36h}`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", all_of(Column, "columns", self.columns))
        object.__setattr__(self, "rules", all_of(Rule, "rules", self.rules))
        if self.freshness is not None:
            object.__setattr__(self, "freshness", made_of(Freshness, "freshness", self.freshness))

    @classmethod
    def of(cls, schema: Any) -> Contract:
        """A pandera DataFrameSchema or DataFrameModel as a contract. ConfigError with every part of it that has no equal."""
        from raypipe.data.contract.pandera_ import contract_of

        return contract_of(schema)

    def problems(self) -> list[str]:
        """What is wrong with the settings, each with its key."""
        found = [] if self.columns else ["columns is empty, expected at least one column"]
        found += [] if self.min_rows >= 0 else [f"min_rows is {self.min_rows}, expected 0 or more"]
        if self.max_rows is not None and self.max_rows < self.min_rows:
            found.append(f"max_rows is {self.max_rows}, expected min_rows ({self.min_rows}) or more")
        found += [f"columns.{name}: 'raypipe.' begins names of raypipe's own" for name in self.columns if name.startswith("raypipe.")]
        found += [f"columns.{name}: {text}" for name, column in self.columns.items() for text in column.problems()]
        return [*found, *self._bad_unique(), *self._bad_rules(), *self._bad_freshness()]

    def _bad_unique(self) -> Iterator[str]:
        for number, names in enumerate(self.unique):
            if not isinstance(names, list | tuple) or not names:
                yield f"unique[{number}] is {names!r}, expected a list of columns, as in unique: [[carrier, flight]]"
            else:
                yield from self._unknown(f"unique[{number}]", names)
                yield from self._without_keys(f"unique[{number}]", names)

    def _without_keys(self, where: str, names: list[str] | tuple[str, ...]) -> Iterator[str]:
        for name in names:
            column = self.columns.get(name)
            if column and is_type(column.type) and not has_keys(parse_type(column.type)):
                yield f"{where}: column '{name}' is {column.type}; what comes once is text, numbers, times or bytes"

    def _bad_rules(self) -> Iterator[str]:
        for name, rule in self.rules.items():
            where = f"rules.{name}"
            if name in ("min_rows", "max_rows", "freshness", "distance"):
                yield f"{where}: that is the name of a rule of raypipe's own; choose another"
            if rule.on_breach not in get_args(Breach):
                yield f"{where}: on_breach is {rule.on_breach!r}, expected fail, quarantine, drop or warn"
            if rule.nulls not in ("pass", "fail"):
                yield f"{where}: nulls is {rule.nulls!r}, expected pass or fail"
            if rule.tolerance is not None and not 0 <= rule.tolerance <= 1:
                yield f"{where}: tolerance is {rule.tolerance:g}, expected a share from 0 to 1"
            yield from self._bad_sql(where, rule)

    def _bad_sql(self, where: str, rule: Rule) -> Iterator[str]:
        from raypipe.data.expression import Expression

        expression = Expression(rule.sql)
        if wrong := expression.problems():
            yield from (f"{where}: {text}" for text in wrong)
        elif unknown := list(self._unknown(where, expression.columns)):
            yield from unknown
        elif all(is_type(self.columns[name].type) for name in expression.columns):
            yield from (f"{where}: {text}" for text in self._no_condition(expression))

    def _no_condition(self, expression: Expression) -> Iterator[str]:
        """The types are stated, so that it is known beforehand whether it can be computed, and is true or false."""
        # pa.Schema.empty_table would import pandas, which a check can do without.
        none = {name: pa.nulls(0, parse_type(self.columns[name].type)) for name in expression.columns}
        try:
            expression.holds(pa.Table.from_arrays([*none.values()], [*none]))
        except DataError as error:
            yield from str(error).splitlines()

    def _bad_freshness(self) -> Iterator[str]:
        if self.freshness is None:
            return
        if self.freshness.age is None:
            yield f"freshness.within is {self.freshness.within!r}, expected a time such as 2d, 36h, 30m or 90s"
        if self.freshness.on_breach not in ("fail", "warn"):
            yield f"freshness.on_breach is {self.freshness.on_breach!r}, expected fail or warn"
        yield from self._unknown("freshness.column", [self.freshness.column])
        column = self.columns.get(self.freshness.column)
        if column and not re.match(r"date|timestamp", column.type):
            yield f"freshness.column is {self.freshness.column}, which is {column.type}, expected a date or a timestamp"

    def _unknown(self, where: str, names: list[str] | tuple[str, ...]) -> Iterator[str]:
        """Rules look at columns that are stated, so that it is known beforehand that they are there."""
        for name in names:
            if name not in self.columns:
                yield f"{where}: no column '{name}' among the contract's.{nearest(str(name), self.columns)}"

    @property
    def known_afterwards(self) -> tuple[str, ...]:
        """The columns whose value is known only after the moment of prediction."""
        return tuple(name for name, column in self.columns.items() if column.known == "afterwards")

    @property
    def keeps_out(self) -> bool:
        """Whether it may send rows to the table NAME~breaches."""
        breaches = {what for column in self.columns.values() for what in column.takes_out} | {r.on_breach for r in self.rules.values()}
        return "quarantine" in breaches

    @property
    def unique_sets(self) -> list[tuple[str, ...]]:
        """Every set of columns whose values may not come twice."""
        return [(name,) for name, column in self.columns.items() if column.unique] + [tuple(names) for names in self.unique]

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
        """What of it shapes the rows themselves: types, and all that leaves rows out. The rest is only judged by it."""
        return shaping(dataclasses.asdict(self))

    def fit(self, table: pa.Table) -> pa.Table:
        """The table with the contract's columns, in its order and of its types, then those it does not name; DataError with every column
        that is missing, too much, or of a type that would have to be changed."""
        return fit(table, self.types(), "the contract", self.exact)


def shaping(contract: Mapping[str, Json]) -> Json:
    """Of a contract as JSON, what shapes rows; what is not stated may be left out or be null."""

    def takes_out(part: Mapping[str, Json]) -> bool:
        breach = part.get("on_breach")
        return any(what in TAKES_OUT for what in (breach.values() if isinstance(breach, Mapping) else [breach]))

    def plain(part: Mapping[str, Json]) -> Json:
        return {key: value for key, value in part.items() if value is not None and key not in ("_target_", "known")}

    columns = {n: plain(c) if takes_out(c) else {"type": c.get("type")} for n, c in (contract.get("columns") or {}).items()}
    rules = {n: plain(r) for n, r in (contract.get("rules") or {}).items() if takes_out(r)}
    return {"columns": columns, "rules": rules, "exact": contract.get("exact", True)}
