"""What the files of a commit are to be like: the columns of their table with its field ids, how they are parted and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import Conflict, DataError
from raypipe.data.fragment.conform import as_type, bare, bare_schema, by_name, filled, numbered
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.lake.evolve import Evolution, NewColumns, for_append, layout_problems, widens
from raypipe.data.lake.partition import MAX_PARTITIONS, Layout, folder, ordered, parts, problems

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store
    from raypipe.data.lake.snapshot import Snapshot

FRAGMENT_ROWS = 500_000
"""Rows of a fragment where a step decides: 37 MB at 12 columns, and its kernel a few times that."""


@dataclass(frozen=True)
class Target:
    """It travels to the tasks that write."""

    schema: pa.Schema
    """Numbered."""
    layout: Layout = field(default_factory=Layout)
    alters: tuple[str, ...] = ()
    """What the commit changes about the table's columns, in words."""
    new_columns: NewColumns = field(default_factory=NewColumns)
    """What was allowed to change."""
    max_partitions: int = MAX_PARTITIONS
    before: str | None = None
    """The digest of the table's columns when this was settled; None where there was no table."""
    profiles: bool = False
    """Whether the profile of each fragment is written beside it."""

    @property
    def bare(self) -> pa.Schema:
        """The columns as they are read."""
        return bare_schema(self.schema)

    def prepared(self, rows: pa.Table) -> pa.Table:
        """Rows of a source made to fit as far as `new_columns` allows it: narrower values as the table's type, what is missing filled."""
        for column in self.schema:
            if column.name not in rows.column_names:
                if self.new_columns.fill:
                    rows = rows.append_column(bare(column), filled(column, rows.num_rows))
            elif self.new_columns.widen and widens(rows.schema.field(column.name).type, column.type):
                place = rows.column_names.index(column.name)
                rows = rows.set_column(place, bare(column), as_type(rows.column(place), column.type))
        return rows

    def as_table(self, rows: pa.Table) -> pa.Table:
        """The rows in the table's columns and types; what they lack is filled."""
        return by_name(rows, self.schema)

    def commit(self, name: str, before: Snapshot | None) -> dict[str, Any]:
        """The fields of a Change that say so. Conflict where the table has other columns by now."""
        if (before.columns_digest if before else None) != self.before:
            raise Conflict(f"table {name}: its columns were changed meanwhile. Run again: nothing was written.")
        return {"numbered": self.schema, "alters": bool(self.alters), "layout": self.layout}

    def write(self, store: Store, folder_path: str, name: str, rows: pa.Table) -> list[Fragment]:
        """The rows as fragments of at most FRAGMENT_ROWS each, a partition after another: `FOLDER/year=2026/NAME-000.parquet`."""
        made: list[Fragment] = []
        for values, part in parts(self.as_table(rows), self.layout.partition_by, self.max_partitions):
            part = ordered(part, self.layout.sort_by)
            between = folder(self.layout.partition_by, values)
            for start in range(0, part.num_rows, FRAGMENT_ROWS):
                path = "/".join(filter(None, (folder_path, between, f"{name}-{len(made):03d}.parquet")))
                some = part.slice(start, FRAGMENT_ROWS)
                fragment = write_fragment(store, path, some, self.schema)
                if self.profiles:
                    self._profile(store, fragment, some)
                made.append(replace(fragment, partition=tuple(zip(map(str, self.layout.partition_by), values, strict=True))))
        return made

    def _profile(self, store: Store, fragment: Fragment, rows: pa.Table) -> None:
        from raypipe.data.statistics.kept import write_profile

        write_profile(store, fragment, rows, self.schema)


def target(
    ledger: Ledger | None, before: Snapshot | None, rows: pa.Schema, *, layout: Layout | None = None, new_columns: NewColumns | None = None
) -> Target:
    """For rows of such columns that are appended to `before`, or make a new table (None).

    A layout that is given is the table's from now on; otherwise it stays. DataError with every column that the table has otherwise and that
    `new_columns` does not let change, and with a layout that does not fit.
    """
    allowed = new_columns or NewColumns()
    if before is None or ledger is None:
        made = Target(numbered(rows), layout or Layout(), new_columns=allowed)
    else:
        from raypipe.data.lake import layouts, schemas  # here, for tasks import this module, and no database

        with ledger.reading() as connection:
            now, there = schemas.of(connection, before), layouts.of(connection, before)
        evolution = _allowed(before.name, now, rows, allowed)
        made = Target(evolution.after, there if layout is None else layout, evolution.did, allowed, before=before.columns_digest)
        if layout is None or layout.partition_by == there.partition_by:
            _refuse(before.name, list(layout_problems(there, evolution)))
    _refuse(before.name if before else "", problems(made.layout, made.schema))
    return made


def _allowed(name: str, now: pa.Schema, rows: pa.Schema, allow: NewColumns) -> Evolution:
    try:
        return for_append(now, rows, allow)
    except DataError as error:
        raise DataError("\n".join(f"table {name}: {line}" for line in str(error).splitlines())) from None


def _refuse(name: str, told: Sequence[str]) -> None:
    if told:
        raise DataError("\n".join(f"table {name}: {line}" if name else line for line in told))
