"""A table as it is now: what a change to it is computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raypipe.core import records
from raypipe.core.artifact import Json, Table
from raypipe.core.canonical import canonical
from raypipe.core.errors import DataError, nearest
from raypipe.core.ledger import Ledger
from raypipe.core.step import Made, Work
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.lake import snapshot as snapshots
from raypipe.data.lake.snapshot import Mode, Snapshot
from raypipe.data.table import TableSchema, change_of, changed, told_by


@dataclass(frozen=True)
class Current:
    """The newest snapshot, what its artifact says of its columns, and its files in the order of their rows."""

    snapshot: Snapshot
    schema: TableSchema
    fragments: Sequence[Fragment]

    def said(self, more: TableSchema | None) -> TableSchema:
        """What a step says of the table (its split, its label), as long as the columns are still those that it knew."""
        return more if more and more.arrow.equals(self.schema.arrow) else self.schema


def current(ledger: Ledger, name: str) -> Current | None:
    """None where there is no table of that name. DataError where another program has changed it."""
    with ledger.reading() as connection:
        newest = snapshots.latest(connection, ledger.project, name)
        if newest is None:
            return None
        artifact = records.by_id(connection, ledger.project, newest.artifact)
        assert isinstance(artifact, Table), "the catalog names the artifact that made the snapshot"
        schema = TableSchema.from_json(told_by(connection, newest, artifact).schema)
        return Current(newest, schema, snapshots.data_files(connection, newest))


def require(ledger: Ledger, name: str) -> Current:
    """DataError with the nearest name where there is no such table."""
    found = current(ledger, name)
    if found is None:
        with ledger.reading() as connection:
            there = [snapshot.name for snapshot in snapshots.newest(connection, ledger.project)]
        raise DataError(f"there is no table {name!r}.{nearest(name, there)}")
    return found


def change_made(
    work: Work, name: str, mode: Mode, now: Current | None, schema: TableSchema, figures: dict[str, Json], **what: Any
) -> Made[Table]:
    """A change computed from `now`, to be published; `what` are further fields of Change."""
    return changed(change_of(work, name, schema, mode, now.snapshot if now else None, **what), schema, figures)


def operation(*said: Json) -> str:
    """What a chain goes on with where rows were not only added: a digest of what was done, whatever files the rows lay in."""
    return hashlib.sha256(canonical(said).encode()).hexdigest()
