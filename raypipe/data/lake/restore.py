"""Restore: a table gets a new snapshot whose content is an older one's. No bytes are copied."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from raypipe.core import records
from raypipe.core.artifact import Table
from raypipe.core.errors import DataError, StoreError
from raypipe.core.step import Commit, Made, Work
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.lake import catalog, layouts, schemas, snapshot
from raypipe.data.lake.current import change_made, require
from raypipe.data.table import TableSchema, told_by


def restore(work: Work, name: str, to: str | int) -> Made[Table]:
    """`to` is a snapshot's number, a tag or a time. Rows, their order and columns become those of that snapshot.

    What came since stays readable under its own numbers. Refused where another commits meanwhile. Figures: `restored` (its number).
    StoreError where a file of the old snapshot is not in the store any more.
    """
    now = require(work.ledger, name)
    with work.ledger.reading() as connection:
        old = snapshot.at(connection, work.project, name, to)
        if old.id == now.snapshot.id:
            raise DataError(f"table {name}: is at snapshot {old.id} already")
        numbered, layout, then = schemas.of(connection, old), layouts.of(connection, old), snapshot.data_files(connection, old)
        lost = next((file for file in snapshot.files(connection, old) if not work.store.holds(file)), None)
        artifact = records.by_id(connection, work.project, old.artifact)
        assert isinstance(artifact, Table), "the catalog names the artifact that made the snapshot"
        schema = TableSchema.from_json(told_by(connection, old, artifact).schema)
    if lost:
        raise StoreError(f"table {name}: snapshot {old.id} cannot be restored: {lost.path} is not in the store any more")
    same_table = old.table_id == now.snapshot.table_id
    kept = {_identity(f) for f in now.fragments} & {_identity(f) for f in then} if same_table else set()
    back = [replace(f, id=None) for f in then if _identity(f) not in kept]
    gone = [f for f in now.fragments if _identity(f) not in kept]
    work.report(f"{len(kept):,} files stay, {len(gone):,} go, {len(back):,} come back")
    what = {"fragments": back, "ended": gone, "chain": old.chain, "exact": True}
    what |= {"numbered": numbered, "layout": layout, "alters": same_table}
    made = change_made(work, name, "restore", now, schema, {"restored": old.id}, **what)
    return replace(made, files=(), commits=(_still_there(work.project, name, old.id), *made.commits))


def _still_there(project: str, name: str, number: int) -> Commit:
    """Its files are kept as long as it is: should it have expired meanwhile, they may be gone."""

    def commit(connection: Connection, artifact: str) -> None:
        catalog.lock(connection)
        snapshot.find(connection, project, name, number)

    return commit


def _identity(fragment: Fragment) -> tuple[str, str, int | None]:
    """What makes a file of two snapshots the same: its bytes, its deleted rows, its place."""
    return fragment.path, fragment.deletes.path if fragment.deletes else "", fragment.place
