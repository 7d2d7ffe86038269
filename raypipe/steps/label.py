"""Label: makes the column that is to be predicted, before any transform, and drops the rows that have none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from raypipe.core.artifact import Table
from raypipe.core.errors import Problem, nearest
from raypipe.core.step import Columns, Look, Made, Ref, Work

if TYPE_CHECKING:
    from raypipe.core.explain import Pass


@dataclass(frozen=True)
class Label:
    """A column from an SQL expression over the row. Rows for which it is null are dropped and counted.

    It may read columns that are known only afterwards: a label is not known before, either.
    """

    revision: ClassVar[int] = 2
    distributions: ClassVar[tuple[str, ...]] = ("polars",)
    figures: ClassVar[tuple[str, ...]] = ("dropped", "fragments_computed", "rows_computed")

    column: str
    """Name of the new column."""
    sql: str
    """A Polars SQL expression over one row, e.g. `arr_delay > 15`."""
    table: Ref[Table] = Ref("split")
    """The step whose table is labelled."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        from raypipe.data.expression import Expression

        expression = Expression(self.sql)
        if problems := expression.problems():
            return [Problem(f"{where}.sql", text) for text in problems]
        if table is None or table.names is None:
            return []
        missing = [c for c in expression.columns if c not in table.names]
        return [Problem(f"{where}.sql", f"there is no column '{c}' in '{self.table}'.{nearest(c, table.names)}") for c in missing]

    def columns(self, table: Columns) -> Columns:
        names = None if table.names is None else (*(n for n in table.names if n != self.column), self.column)
        return replace(table, names=names, label=self.column, known_afterwards=table.known_afterwards | {self.column})

    def foresees(self, look: Look, table: Table) -> str:
        from raypipe.data.increment import foreseen

        return foreseen(look, table)

    def explain(self, table: Columns) -> list[Pass]:
        from raypipe.core.explain import WRITE, Part, Pass, some
        from raypipe.data.expression import Expression

        reads = Expression(self.sql).columns
        around = some([name for name in table.names if name not in reads], "") if table.names else f"all but {', '.join(reads)}"
        made = Part("label", "Polars", f"{self.column} = {self.sql}")
        return [Pass("every row", (Part("read", "Arrow", "all columns; page checksums verified"), made, WRITE), around)]

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.increment import increment
        from raypipe.data.label import LabelRows
        from raypipe.data.rows import map_rows
        from raypipe.data.table import TableSchema

        new = increment(work, table)
        if str(new):
            work.report(str(new))
        whole = new.whole(lambda parts: map_rows(work, LabelRows(self.column, self.sql), parts))
        dropped = sum(note["dropped"] for note in whole.notes)
        work.report(f"{dropped:,} of {table.num_rows:,} rows have no label and are dropped")
        schema = replace(TableSchema.from_json(table.schema), arrow=whole.schema, label=self.column)
        return whole.made(work, f"{work.pipeline}.{work.step}", schema, {"dropped": dropped})
