"""Window: columns computed of each row's neighbours, by SQL window functions; every row stays where it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from raypipe.core.artifact import Table
from raypipe.core.errors import DataError, Problem, nearest
from raypipe.core.step import NO_IDENTITY, Columns, Made, Ref, Work


@dataclass(frozen=True)
class Window:
    """Each window is of the rows with the same `partition_by`, in the order of `order_by`, ties in the order of the table.

    A missing value of `partition_by` is a value like any other. Over a table that is split, windows that would carry rows of a later part
    into an earlier one are refused.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("duckdb", "pyarrow")
    figures: ClassVar[tuple[str, ...]] = ()

    make: dict[str, str]
    """Name of a new column -> SQL: `avg(x) over (rows between 3 preceding and 1 preceding)`, `x - lag(x) over ()`, `row_number() over ()`;
    `over (range between interval 7 days preceding and current row)` where one column orders the rows."""
    partition_by: list[str] = field(default_factory=list)
    """The columns whose equal values make a partition; none: all rows are one, and must fit into `max_key_bytes`."""
    order_by: list[str] = field(default_factory=list)
    """`at`, `at desc`, `at nulls first`; none: the order of the table, which counts for frames of rows."""
    table: Ref[Table] = Ref("source")
    """The step whose table is read."""
    max_key_bytes: int = field(default=1 << 30, metadata=NO_IDENTITY)
    """What the rows of one partition may take in memory, as far as windows read them."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        from raypipe.data.names import bytes_problems, column_problems
        from raypipe.data.shuffle import order, window
        from raypipe.data.shuffle.expression import problems

        names = table.names if table else None
        wrong = column_problems(self.partition_by, "partition_by") if self.partition_by else []
        if not wrong and names is not None:
            wrong = [f"there is no column '{c}' in '{self.table}'.{nearest(c, names)}" for c in self.partition_by if c not in names]
        found = [Problem(f"{where}.partition_by", text) for text in wrong]
        bound = bytes_problems(self.max_key_bytes, "max_key_bytes")
        found += [Problem(where, text) for text in [*order.problems(self.order_by, "order_by", names), *bound]]
        found += [Problem(f"{where}.make", "expected at least one new column")] if not self.make else []
        for name, sql in self.make.items():
            found += [Problem(f"{where}.make.{name}", text) for text in [*problems(sql, names), *window.problems(sql)]]
        return found

    def columns(self, table: Columns) -> Columns:
        from raypipe.data.shuffle.meaning import marked

        made = [name for name in self.make if table.names is None or name not in table.names]
        types = {name: type_ for name, type_ in table.types.items() if name not in self.make}
        marks = (table.known_afterwards - set(self.make)) | set(marked(self._made(), table.known_afterwards))
        return replace(table, names=None if table.names is None else (*table.names, *made), types=types, known_afterwards=marks)

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.shuffle.meaning import marked, require, require_kept
        from raypipe.data.shuffle.order import order
        from raypipe.data.shuffle.window import looks_ahead, window, windows
        from raypipe.data.table import TableSchema, fragments, made

        before = TableSchema.from_json(table.schema)
        require(work, self.check(work.step, Columns(tuple(before.arrow.names))))
        require_kept(work, before.split, self.make)
        asked = windows(before.arrow, self.partition_by, [order(text) for text in self.order_by], self.make)
        if before.split is not None and (why := looks_ahead(asked, before.split)):
            raise DataError(f"{work.step}: {why}. Let the step read the table before its split if that is meant.")
        part = window(work, asked, before.arrow, fragments(work.ledger, table), self.max_key_bytes)
        kept = {name for name in before.known_afterwards if name not in self.make}
        marks = tuple(sorted({*kept, *marked(self._made(), before.known_afterwards)}))
        schema = replace(before, arrow=part.schema, known_afterwards=marks)
        return made(work, f"{work.pipeline}.{work.step}", schema, part.fragments, mode="overwrite")

    def _made(self) -> list[tuple[str, list[str]]]:
        """Each new column with those that its values depend on."""
        from raypipe.data.shuffle.meaning import reads
        from raypipe.data.shuffle.order import order, problems

        orders = [] if problems(self.order_by, "order_by", None) else [order(text).column for text in self.order_by]
        return [(name, [*reads(sql), *self.partition_by, *orders]) for name, sql in self.make.items()]
