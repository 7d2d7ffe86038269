"""Split: which rows are for training, for validation and for testing, as a rule that travels with the table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from raypipe.core.artifact import Json, Report, Table
from raypipe.core.errors import ConfigError, DataError, Problem, nearest
from raypipe.core.step import NO_IDENTITY, Columns, Made, Ref, Work


@dataclass(frozen=True)
class Split:
    """Writes no rows: its artifact is the table that it reads, with the rule. Tables derived from it keep rule and columns."""

    revision: ClassVar[int] = 1
    driver_only: ClassVar[bool] = True

    by: Literal["time", "hash"]
    """`time`: train before `validation_from`, test from `test_from` on. `hash`: shares of the values of `key`, stable as data grows."""
    table: Ref[Table] = Ref("source")
    """The step whose table is split."""
    validated: Ref[Report] | None = field(default=Ref("validate"), metadata=NO_IDENTITY)
    """The report that must have passed; only an order, no part of the fingerprint."""
    on: str | None = None
    """By time: the column of times."""
    validation_from: str | None = None
    """By time: ISO date or time from which on rows are for validation."""
    test_from: str | None = None
    """By time: ISO date or time from which on rows are for testing."""
    key: str | None = None
    """By hash: the column whose equal values stay together."""
    validation: float = 0.1
    """By hash: share of the keys for validation, 0 to 1."""
    test: float = 0.1
    """By hash: share of the keys for testing, 0 to 1."""
    salt: str = ""
    """By hash: another salt deals the keys anew."""

    def rule(self) -> Json:
        """The rule as JSON, as data/split.py reads it."""
        from raypipe.data.split import rule

        if self.by == "time":
            return rule("time", on=self.on, validation_from=self.validation_from, test_from=self.test_from)
        return rule("hash", key=self.key, validation=self.validation, test=self.test, salt=self.salt)

    def check(self, where: str, table: Columns | None = None, validated: Columns | None = None) -> list[Problem]:
        column = self.on if self.by == "time" else self.key
        name = "on" if self.by == "time" else "key"
        if column is None:
            return [Problem(f"{where}.{name}", f"a split by {self.by} needs the name of a column.")]
        if table is not None and table.names is not None and column not in table.names:
            return [Problem(f"{where}.{name}", f"there is no column '{column}' in '{self.table}'.{nearest(column, table.names)}")]
        try:
            self.rule()
        except ConfigError as error:
            return [Problem(where, str(error))]
        return []

    def columns(self, table: Columns, validated: Columns | None = None) -> Columns:
        return table

    def run(self, work: Work, table: Table, validated: Report | None = None) -> Made[Table]:
        from raypipe.data.split import counts
        from raypipe.data.table import TableSchema, read, restated

        rule = self.rule()
        rows = read(work.ledger, work.store, table, columns=[self.on or self.key or ""])
        parts = counts(rule, rows)
        empty = [p for p in ("train", "validation", "test") if not parts[p]]
        if empty:
            counts = ", ".join(f"{p} {parts[p]:,}" for p in ("train", "validation", "test"))
            raise DataError(f"{work.step}: no row falls into {' and '.join(empty)} ({counts}); move the bounds of the split.")
        schema = replace(TableSchema.from_json(table.schema), split=rule)
        work.report(", ".join(f"{p} {parts[p]:,}" for p in ("train", "validation", "test")))
        return restated(work.ledger, table, schema, {"parts": {p: parts[p] for p in ("train", "validation", "test")}})
