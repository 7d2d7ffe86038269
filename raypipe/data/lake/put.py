"""A table's rows put into another one, by its name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
from sqlalchemy import select

from raypipe.core import schema as ledger_schema
from raypipe.core.artifact import Table
from raypipe.core.step import Made, Work
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.lake import upsert as changes
from raypipe.data.lake.current import change_made, current, require
from raypipe.data.lake.evolve import NewColumns
from raypipe.data.lake.partition import Layout
from raypipe.data.lake.target import Target, target
from raypipe.data.map import map_fragments
from raypipe.data.reconcile import reconciled
from raypipe.data.rows import Item
from raypipe.data.table import TableSchema, fragments, latest

if TYPE_CHECKING:
    from raypipe.core.store import Store

Manner = Literal["append", "upsert", "replace", "overwrite"]


@dataclass(frozen=True)
class Manners:
    """How rows are put into a table."""

    mode: Manner = "append"
    """Behind those that are there; in the place of those with the same keys, or the same values of some columns; or of all."""
    by: tuple[str, ...] = ()
    """The key of an upsert, the columns of a replace."""
    layout: Layout | None = None
    """How the table's files are parted and sorted from now on; None: as they are."""
    new_columns: NewColumns = field(default_factory=NewColumns)
    """What the rows may change about the table's columns."""


def put(work: Work, table: Table, into: str, how: Manners) -> Made[Table]:
    """The rows of a snapshot, copied into the table `into`, which is made where there is none.

    An append of the very same work (its fingerprint) is not done twice: where its artifact was lost or superseded, the table has its rows.
    DataError where the columns differ in a way that is not allowed; figures as of the change.
    """
    if how.mode == "append" and (before := _done_before(work, into)):
        work.report(f"these rows were put into {into} as snapshot {before}: not again")
        now = require(work.ledger, into)
        return change_made(work, into, "append", now, now.schema, {"rows_added": 0})
    schema = TableSchema.from_json(table.schema)
    there = None if how.mode == "overwrite" else latest(work.ledger, into)
    to = target(work.ledger, there, schema.arrow, layout=how.layout, new_columns=how.new_columns)
    items = [Item(number, fragment) for number, fragment in enumerate(fragments(work.ledger, table))]
    new = [fragment for part in map_fragments(_Copy(work.store, work.path, to), items, inline=work.inline) for fragment in part]
    work.report(reconciled(f"table {into}", table.num_rows, sum(fragment.num_rows for fragment in new)))
    return _changed(work, into, how, replace(schema, arrow=to.bare), new, to)


def put_rows(work: Work, rows: pa.Table, into: str, how: Manners) -> Made[Table]:
    """Rows in memory, the same way. What is known of the columns of a table that is there (marks, label, split) stays."""
    now = None if how.mode == "overwrite" else current(work.ledger, into)
    to = target(work.ledger, now.snapshot if now else None, rows.schema, layout=how.layout, new_columns=how.new_columns)
    schema = replace(now.schema, arrow=to.bare) if now else TableSchema(to.bare)
    return _changed(work, into, how, schema, to.write(work.store, work.path, "rows", rows), to)


def _changed(work: Work, into: str, how: Manners, schema: TableSchema, new: list[Fragment], to: Target) -> Made[Table]:
    if how.mode == "append":
        return changes.append(work, into, schema, new, to)
    if how.mode == "upsert":
        return changes.upsert(work, into, schema, new, how.by, to)
    if how.mode == "replace":
        return changes.replace(work, into, schema, new, how.by, to)
    files = {"fragments": new, "digests": [fragment.sha256 for fragment in new], "chain": "", "exact": True}
    figures = {"rows_added": sum(fragment.num_rows for fragment in new)}
    return change_made(work, into, "overwrite", None, schema, figures, **files, numbered=to.schema, layout=to.layout)


def _done_before(work: Work, into: str) -> int | None:
    """The snapshot that this very work made of the table, if it ever did."""
    a = ledger_schema.artifacts.c
    query = select(a.figures).where(a.project == work.project, a.pipeline == work.pipeline, a.step == work.step, a.kind == "Table")
    with work.ledger.reading() as connection:
        found = connection.execute(query.where(a.fingerprint == work.fingerprint)).scalars().all()
    return next((figures["snapshot"] for figures in found if figures.get("table") == into), None)


@dataclass(frozen=True)
class _Copy:
    """A file -> its rows as files of the other table. It travels to a task."""

    store: Store
    path: str
    to: Target

    def __call__(self, item: Item) -> list[Fragment]:
        return self.to.write(self.store, self.path, f"{item.number:05d}", read_fragment(self.store, item.fragment))
