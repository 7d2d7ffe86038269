"""Write: puts a table's rows into a named table, which other pipelines and persons write to and read as well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from raypipe.core.artifact import Table
from raypipe.core.errors import Problem, nearest
from raypipe.core.step import Columns, Made, Ref, Work


@dataclass(frozen=True)
class Write:
    """Appends, upserts by key, or overwrites all or the partitions that occur. Its artifact is the named table's new snapshot.

    The same rows are appended once, however often the pipeline runs. Where another writer commits meanwhile to what this one read, it is
    done again from there.
    """

    revision: ClassVar[int] = 1
    figures: ClassVar[tuple[str, ...]] = ("rows_added", "rows_updated", "rows_deleted")

    into: str
    """Name of the table; it is made where there is none."""
    table: Ref[Table] = Ref("transform")
    """The step whose rows are written."""
    mode: Literal["append", "upsert", "replace", "overwrite"] = "append"
    """Behind what is there; in the place of the rows with the same key (`upsert`) or with values of `by` that occur (`replace`); of all."""
    key: list[str] = field(default_factory=list)
    """Of an upsert: the columns that name a row. Nulls and keys that come twice are refused."""
    by: list[str] = field(default_factory=list)
    """Of a replace: the columns whose values say what is overwritten, such as a partition's."""
    partition_by: list[str] = field(default_factory=list)
    """How the table's files are parted from now on: columns, or `year(at)`, `bucket(16, id)`, ...; empty: as they are."""
    sort_by: list[str] = field(default_factory=list)
    """By which rows are sorted within a file from now on: columns, or `at desc`; empty: as they are."""
    add_columns: bool = False
    """Whether columns that the table lacks are added to it; the rows before have null in them. Otherwise they are refused by name."""
    widen_columns: bool = False
    """Whether columns are widened where values no longer fit (int32 to int64, say). Otherwise they are refused by name."""
    fill_columns: bool = False
    """Whether columns that the rows lack are filled with their default, or null. Otherwise they are refused by name."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        wanted = {"upsert": "key", "replace": "by"}.get(self.mode)
        found = (
            [Problem(f"{where}.{wanted}", f"mode {self.mode} needs it: a list of columns.")] if wanted and not getattr(self, wanted) else []
        )
        idle = {"key", "by"} - {wanted}
        found += [Problem(f"{where}.{name}", f"mode {self.mode} has no use for it.") for name in sorted(idle) if getattr(self, name)]
        if table is not None and table.names is not None:
            missing = [(key, name) for key in ("key", "by") for name in getattr(self, key) if name not in table.names]
            found += [Problem(f"{where}.{k}", f"there is no column '{n}' in '{self.table}'.{nearest(n, table.names)}") for k, n in missing]
        return found

    def columns(self, table: Columns) -> Columns:
        return Columns(None, {}, table.known_afterwards, table.label)

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.lake.evolve import NewColumns
        from raypipe.data.lake.partition import layout
        from raypipe.data.lake.put import Manners, put

        into = self.into if work.sample >= 1 else f"{self.into}~{work.sample:g}"
        laid_out = layout(self.partition_by, self.sort_by) if self.partition_by or self.sort_by else None
        new_columns = NewColumns(self.add_columns, self.widen_columns, self.fill_columns)
        return put(work, table, into, Manners(self.mode, tuple(self.key or self.by), laid_out, new_columns))
