"""Which rows of a table a transform is of: an SQL condition, by which row groups are left unread where it can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.step import Columns
from raypipe.data.expression import Expression, without_nans
from raypipe.data.fragment.bounds import Stats
from raypipe.data.fragment.spans import Span
from raypipe.data.parts import limit
from raypipe.data.types import is_type, parse_type
from raypipe.data.where.conditions import parsed
from raypipe.data.where.where import Predicate, Test, predicate


@dataclass(frozen=True)
class Where:
    """A condition on rows of columns of known types. It travels to a task.

    Conditions joined by `and` (`air_time > 0 and at >= '2026-01-01'`) are tested by Arrow, and by the statistics of files and row groups
    beforehand; what is more is an SQL expression, which Polars computes for every row. NaN counts as null, and null meets nothing but
    `is null`.
    """

    sql: str
    tests: Predicate | None
    """The condition, where it is one of that kind."""

    @classmethod
    def over(cls, sql: str, schema: pa.Schema) -> Where:
        """DataError where it is no condition on rows of such a table."""
        try:
            list(parsed(sql))
        except DataError:
            tests = None
        else:
            try:
                return cls(sql, predicate(sql, schema))
            except DataError as error:
                tests = error
        try:
            Expression(sql).holds(_no_rows(sql, schema))
        except DataError as error:
            raise (tests or error) from None
        return cls(sql, None)

    @property
    def columns(self) -> list[str]:
        return self.tests.columns if self.tests is not None else Expression(self.sql).columns

    def may_hold(self, stats: Stats, num_rows: int) -> bool:
        """Whether a file or row group with such statistics can hold a row that meets it. Never wrongly False."""
        if self.tests is None:
            return True
        return self.tests.may_match({name: _nans_as_nulls(found) for name, found in stats.items()}, num_rows)

    def of(self, span: Span, columns: Sequence[str] | None = None) -> Span:
        """The rows that meet it, in these columns alone: no other is copied."""
        wanted = span if columns is None else span.select(columns)
        return wanted.only(self._mask(span.rows).to_numpy()) if span.rows.num_rows else wanted

    def _mask(self, rows: pa.Table) -> pa.ChunkedArray:
        if self.tests is None:
            return Expression(self.sql).holds(rows)
        mask = self.tests.mask(pa.table({name: without_nans(rows.column(name)) for name in self.tests.columns}))
        assert mask is not None, "a condition of no tests"
        return mask


def problems(sql: str, columns: Columns | None) -> list[str]:
    """What is wrong with a condition on a table of which that is known."""
    if wrong := Expression(sql).problems():
        return wrong
    if columns is None or columns.names is None:
        return []
    if missing := Expression(sql).missing(columns.names):
        return missing
    reads = {name: columns.types.get(name) for name in Expression(sql).columns}
    if not all(type_ is not None and is_type(type_) for type_ in reads.values()):
        return []
    try:
        Where.over(sql, pa.schema([(name, parse_type(str(type_))) for name, type_ in reads.items()]))
    except DataError as error:
        return str(error).splitlines()
    return []


def can_prune(sql: str) -> bool:
    """Whether statistics can tell that no row of a file meets it."""
    try:
        return bool(list(parsed(sql)))
    except ValueError:
        return False


def _no_rows(sql: str, schema: pa.Schema) -> pa.Table:
    return pa.schema([schema.field(name) for name in Expression(sql).columns if name in schema.names]).empty_table()


def _nans_as_nulls(stats: Mapping[str, Any]) -> dict[str, Json]:
    return {**stats, "nulls": stats["nulls"] + stats["nans"], "nans": 0}


def of_part(split: Json, schema: pa.Schema, part: str) -> Where | None:
    """What leaves out row groups without a row of that part, `train` or `validation`, where times tell; None where only the rows can."""
    if not split or split["by"] != "time" or not pa.types.is_timestamp(schema.field(split["on"]).type):
        return None
    type_ = schema.field(split["on"]).type
    limits = {name: pa.array([limit(split, name, type_)]).cast(type_) for name in ("validation_from", "test_from")}
    ops = [("<", "validation_from")] if part == "train" else [(">=", "validation_from"), ("<", "test_from")]
    return Where(f"a row for {part}", Predicate(tuple(Test(split["on"], type_, op, limits[name]) for op, name in ops)))
