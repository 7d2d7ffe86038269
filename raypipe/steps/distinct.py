"""Distinct: one row of each that are equal in some columns, or in all; the others are dropped and counted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from raypipe.core.artifact import Table
from raypipe.core.errors import Problem, nearest
from raypipe.core.step import NO_IDENTITY, Columns, Made, Ref, Work


@dataclass(frozen=True)
class Distinct:
    """The rows that are kept stay in the order of the table. A missing value equals another one, and so does NaN."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("duckdb", "pyarrow")
    figures: ClassVar[tuple[str, ...]] = ("dropped",)

    by: list[str] | None = None
    """The columns in which rows must be equal to be the same; null: all."""
    keep: Literal["first", "last"] = "first"
    """Which of equal rows is kept, in the order of `order_by`."""
    order_by: list[str] = field(default_factory=list)
    """`at`, `at desc`, `at nulls first`; none, and where this leaves rows equal: the order of the table."""
    table: Ref[Table] = Ref("source")
    """The step whose table is read."""
    max_key_bytes: int = field(default=1 << 30, metadata=NO_IDENTITY)
    """What one task may hold of the columns of `by`; one row of equal ones counts for each fragment."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        from raypipe.data.names import bytes_problems, column_problems
        from raypipe.data.shuffle import order

        names = table.names if table else None
        wrong = [] if self.by is None else column_problems(self.by, "by")
        if not wrong and names is not None:
            wrong = [f"there is no column '{c}' in '{self.table}'.{nearest(c, names)}" for c in self.by or () if c not in names]
        found = [Problem(f"{where}.by", text) for text in wrong]
        if self.keep not in ("first", "last"):
            found.append(Problem(f"{where}.keep", f"found {self.keep!r}, expected first or last."))
        bound = bytes_problems(self.max_key_bytes, "max_key_bytes")
        return found + [Problem(where, text) for text in [*order.problems(self.order_by, "order_by", names), *bound]]

    def columns(self, table: Columns) -> Columns:
        return table

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.shuffle.distinct import Same, distinct
        from raypipe.data.shuffle.meaning import require
        from raypipe.data.shuffle.order import order
        from raypipe.data.table import TableSchema, fragments, made

        schema = TableSchema.from_json(table.schema)
        require(work, self.check(work.step, Columns(tuple(schema.arrow.names))))
        by = tuple(schema.arrow.names if self.by is None else self.by)
        asked = Same(by, tuple(order(text) for text in self.order_by), self.keep)
        part = distinct(work, asked, schema.arrow, fragments(work.ledger, table), self.max_key_bytes)
        dropped = table.num_rows - sum(fragment.num_rows for fragment in part.fragments)
        work.report(f"{dropped:,} of {table.num_rows:,} rows are there already and are dropped")
        figures = {"dropped": dropped}
        after = replace(schema, arrow=part.schema)
        return made(work, f"{work.pipeline}.{work.step}", after, part.fragments, mode="overwrite", figures=figures)
