"""Compact: joins a table's small files and folds its delete files, without a row changing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from raypipe.core.artifact import Table
from raypipe.core.errors import Problem
from raypipe.core.step import NO_IDENTITY, Columns, Made, Ref, Work


@dataclass(frozen=True)
class Compact:
    """Works on the newest snapshot of its table whenever that has changed. The digest stays, unless rows may move."""

    revision: ClassVar[int] = 1
    figures: ClassVar[tuple[str, ...]] = ("files_before", "files_after", "rows_rewritten")

    table: Ref[Table] = Ref("source")
    """The step whose table is compacted."""
    min_deleted: float = field(default=0.0, metadata=NO_IDENTITY)
    """A large file is rewritten where more than this share of its rows is deleted, 0 to 1."""

    keep_order: bool = True
    """Whether rows keep their places, and the table its digest. Without it files of one partition are joined wherever they lie, and what
    is computed from the table is computed anew where rows have moved."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        if 0 <= self.min_deleted < 1:
            return []
        return [Problem(f"{where}.min_deleted", f"found {self.min_deleted}, expected a share from 0 up to, and not, 1.")]

    def columns(self, table: Columns) -> Columns:
        return table

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.lake.compact import compact
        from raypipe.data.table import TableSchema

        return compact(work, table.name, self.min_deleted, self.keep_order, TableSchema.from_json(table.schema))
