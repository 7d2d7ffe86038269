"""Sort: the rows of a table in an order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from raypipe.core.artifact import Table
from raypipe.core.errors import Problem
from raypipe.core.step import Columns, Made, Ref, Work


@dataclass(frozen=True)
class Sort:
    """Rows of equal order stay as they were. Missing values come last unless it is said otherwise; NaN is greater than any number; text is
    ordered by its bytes in UTF-8."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("polars", "pyarrow")
    figures: ClassVar[tuple[str, ...]] = ()

    by: list[str]
    """What to order by: `at`, `at desc`, `at desc nulls first`."""
    table: Ref[Table] = Ref("source")
    """The step whose table is read."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        from raypipe.data.shuffle.order import problems

        wrong = problems(self.by, "by", table.names if table else None)
        return [Problem(where, text) for text in wrong or ([] if self.by else ["by is empty, expected at least one column"])]

    def columns(self, table: Columns) -> Columns:
        return table

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.shuffle.meaning import require
        from raypipe.data.shuffle.order import order
        from raypipe.data.shuffle.sort import Ordering, sort
        from raypipe.data.table import TableSchema, fragments, made

        schema = TableSchema.from_json(table.schema)
        require(work, self.check(work.step, Columns(tuple(schema.arrow.names))))
        part = sort(work, Ordering(tuple(order(text) for text in self.by)), schema.arrow, fragments(work.ledger, table))
        return made(work, f"{work.pipeline}.{work.step}", replace(schema, arrow=part.schema), part.fragments, mode="overwrite")
