"""Aggregate: the rows of a table in groups of equal keys, with SQL aggregates of each group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from raypipe.core.artifact import Table
from raypipe.core.errors import Problem, nearest
from raypipe.core.step import NO_IDENTITY, Columns, Made, Ref, Work


@dataclass(frozen=True)
class Aggregate:
    """One row a group, ordered by key where one task makes them all: the columns of `by`, then those of `make`.

    Sums of integers and decimals are exact, and refused where they do not fit; sums of floats are added in the order of the rows, so that
    the same fragments give the same bits on any number of CPUs. NaN is a number, as in DuckDB; a null is a key of its own.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("duckdb", "polars", "pyarrow")
    figures: ClassVar[tuple[str, ...]] = ("read", "groups")

    by: list[str]
    """The columns whose equal values make a group; an empty list: all rows are one."""
    make: dict[str, str]
    """Name of a new column -> SQL expression of aggregates: `count(*)`, `avg(dep_delay)`, `sum(x) filter (where y > 0) / count(*)`."""
    where: str | None = None
    """An SQL condition over the row: only rows that meet it are counted."""
    table: Ref[Table] = Ref("source")
    """The step whose table is read."""
    max_key_bytes: int = field(default=1 << 30, metadata=NO_IDENTITY)
    """What the rows of one group may take in memory, for aggregates that need them together (a median, distinct values)."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        from raypipe.data.expression import Expression
        from raypipe.data.names import bytes_problems, column_problems
        from raypipe.data.shuffle.expression import over_groups, problems, ungrouped

        names = table.names if table else None
        found = [Problem(f"{where}.by", text) for text in (column_problems(self.by, "by") if self.by else [])]
        bound = [Problem(where, text) for text in bytes_problems(self.max_key_bytes, "max_key_bytes")]
        if not found and names is not None:
            missing = [c for c in self.by if c not in names]
            found += [Problem(f"{where}.by", f"there is no column '{c}' in '{self.table}'.{nearest(c, names)}") for c in missing]
        found += [Problem(f"{where}.make", "expected at least one new column")] if not self.make else []
        for name, sql in self.make.items():
            twice = ["the name is among `by`; take another"] if name in self.by else []
            wrong = [*twice, *(problems(sql, names) or over_groups(sql) or ungrouped(sql, self.by))]
            found += [Problem(f"{where}.make.{name}", text) for text in wrong]
        if self.where is not None:
            condition = Expression(self.where)
            wrong = condition.problems() or (condition.missing(names) if names is not None else [])
            found += [Problem(f"{where}.where", text) for text in wrong]
        return found + bound

    def columns(self, table: Columns) -> Columns:
        from raypipe.data.shuffle.meaning import marked

        types = {name: type_ for name, type_ in table.types.items() if name in self.by}
        marks = frozenset(marked(self._made(), table.known_afterwards))
        label = table.label if table.label in self.by else None
        return Columns((*self.by, *self.make), types, marks, label)

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.shuffle.aggregate import aggregate, grouping
        from raypipe.data.shuffle.meaning import marked, require, require_split_columns
        from raypipe.data.table import TableSchema, fragments, made

        before = TableSchema.from_json(table.schema)
        require(work, self.check(work.step, Columns(tuple(before.arrow.names))))
        require_split_columns(work, before.split, self.by, "by")
        asked = grouping(before.arrow, self.by, self.make, self.where)
        part = aggregate(work, asked, fragments(work.ledger, table), self.max_key_bytes)
        num_groups = sum(fragment.num_rows for fragment in part.fragments)
        work.report(f"{table.num_rows:,} rows in {num_groups:,} groups")
        label = before.label if before.label in self.by else None
        schema = TableSchema(part.schema, marked(self._made(), before.known_afterwards), before.split, label)
        figures = {"read": table.num_rows, "groups": num_groups}
        return made(work, f"{work.pipeline}.{work.step}", schema, part.fragments, mode="overwrite", figures=figures)

    def _made(self) -> list[tuple[str, list[str]]]:
        """Each column with those that its values depend on: the keys and the condition say which rows are counted."""
        from raypipe.data.shuffle.meaning import reads, reads_of_row

        chosen = [*self.by, *reads_of_row(self.where)]
        return [*((name, [name]) for name in self.by), *((name, [*reads(sql), *chosen]) for name, sql in self.make.items())]
