"""Expire: ends a table's old snapshots. Their files stay until `raypipe gc` collects what nothing names any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from raypipe.core.artifact import Table
from raypipe.core.errors import Problem
from raypipe.core.step import Columns, Made, Ref, Work


@dataclass(frozen=True)
class Expire:
    """Runs whenever its table has changed. What a tag, a registered model, a live run or the newest artifact of a step needs, stays."""

    revision: ClassVar[int] = 1
    figures: ClassVar[tuple[str, ...]] = ("expired", "kept")

    table: Ref[Table] = Ref("source")
    """The step whose table's snapshots end."""
    older_than_days: float | None = None
    """Only those that are older end; null: whatever their age."""
    keep_last: int | None = None
    """So many stay, the newest included; null: one."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        if self.older_than_days is None and self.keep_last is None:
            return [Problem(where, "say older_than_days, keep_last, or both.")]
        least = {"older_than_days": 0, "keep_last": 1}
        values = {name: getattr(self, name) for name in least}
        return [
            Problem(f"{where}.{n}", f"found {v}, expected at least {least[n]}.")
            for n, v in values.items()
            if v is not None and v < least[n]
        ]

    def columns(self, table: Columns) -> Columns:
        return table

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.lake.expire import expire
        from raypipe.data.table import TableSchema

        older_than = None if self.older_than_days is None else timedelta(days=self.older_than_days)
        return expire(work, table.name, older_than=older_than, keep_last=self.keep_last, said=TableSchema.from_json(table.schema))
