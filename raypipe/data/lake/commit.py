"""A commit to a table: what changes, as statements of the transaction that publishes it, and when that is refused.

Writers do not wait for each other while they work; the transaction that commits is the only place where they meet. PostgreSQL serialises
it by an advisory lock, SQLite by its one writer. There the change, which was computed from the snapshot `before`, is held against
whatever was committed since, and is refused with Conflict, for the work to be done again from the newest snapshot, where

- the columns have changed, or the table was replaced by one of other columns;
- a file of which it ends, or deletes rows, was ended or had rows deleted by another: two upserts of one key, a compaction under a delete;
- it looked at rows (`reaches`: upsert by key, delete where, overwrite of a partition) and a file came that may hold such rows;
- it says `exact`: nothing at all may have been committed since (an ingest that goes on from its progress, a restore, a new schema).

A plain append looks at no rows and touches no file: it is put behind what others have committed meanwhile, in the order of commits.
A compaction touches files only, so that appends go on under it. An overwrite of the whole table replaces whatever is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
from sqlalchemy import Connection, select

from raypipe.core.artifact import Json
from raypipe.core.errors import Conflict, DataError
from raypipe.data.fragment.conform import columns_digest
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.fragment.positions import Deletes
from raypipe.data.lake import catalog, layouts, schemas, statements
from raypipe.data.lake.catalog import lake, lock
from raypipe.data.lake.columns import CatalogColumn, Stats, catalog_columns, merged
from raypipe.data.lake.partition import Layout
from raypipe.data.lake.snapshot import Mode, Snapshot, foreign, newest_of, refuse_foreign
from raypipe.data.lake.statements import At

Reaches = Callable[[Stats, int], bool]
"""Whether a file with such statistics, of so many rows, may hold rows that a change was computed from."""


@dataclass(frozen=True)
class Change:
    """What a commit is to do."""

    project: str
    name: str
    root: str
    """The store's: where the paths of the files start."""
    schema: pa.Schema
    """The columns, numbered: with field ids."""
    mode: Mode
    before: Snapshot | None = None
    """What it was computed from; None where the table is to be new, or is replaced whatever it is."""
    fragments: Sequence[Fragment] = ()
    """Files that are added, behind those that are there; one with a `place` takes that one, one with `deletes` brings them along."""
    ended: Sequence[Fragment] = ()
    """Files of `before` that are no longer part."""
    deletes: Sequence[tuple[Fragment, Deletes]] = ()
    """Files of `before` that lose rows, each with a delete file that names all its deleted rows, earlier ones included."""
    digests: Sequence[str] = ()
    """What the chain goes on with: the content of what is added, or a digest that says what is done. None of them keeps the chain."""
    chain: str | None = None
    """What the chain starts from anew; None where it goes on from the snapshot before."""
    layout: Layout | None = None
    """How its files lie from now on; None leaves that as it is."""
    alters: bool = False
    """Whether its columns are those of `before`, changed: the table goes on with them."""
    exact: bool = False
    """Whether nothing may have been committed since `before`."""
    reaches: Reaches | None = None
    """Which files it looked at; None where it looked at no rows."""
    message: str = ""
    about: dict[str, Json] = field(default_factory=dict)
    """Kept with the snapshot as JSON: the artifact, the run."""

    @cached_property
    def columns(self) -> Sequence[CatalogColumn]:
        """As the catalog shows them."""
        return catalog_columns(self.schema)

    @cached_property
    def columns_digest(self) -> str:
        return columns_digest(self.schema)

    @property
    def is_nothing(self) -> bool:
        """Whether it would leave the table as it is."""
        return (
            self.mode not in ("overwrite", "evolve", "restore") and not self.alters and not (self.fragments or self.ended or self.deletes)
        )


def commit(connection: Connection, change: Change, artifact: str) -> Snapshot:
    """Publishes the change in the open transaction; a change of nothing keeps the snapshot that is there.

    Conflict where another commit came first (see above). An overwrite of a table whose columns differ, or that another program has
    changed, starts a new DuckLake table of the same name; older snapshots stay readable.
    """
    lock(connection)
    if not catalog.exists(connection):
        statements.create(connection, change.root)
    newest = newest_of(connection, change.project, change.name)
    if change.mode != "overwrite":
        _check(connection, change, newest)
        if newest and change.is_nothing:
            return newest
    at = statements.following(connection)
    schema_id = statements.schema_id(connection, at, change.project, change.root)
    goes_on = newest if newest and _goes_on(connection, change, newest) else None
    if goes_on:
        table_id = goes_on.table_id
        _end(connection, at, change, table_id)
    else:
        table_id = statements.new_table(connection, at, change.project, change.name, schema_id)
    if not goes_on or goes_on.columns_digest != change.columns_digest:
        statements.set_columns(connection, at, table_id, change.columns)
        schemas.record(connection, table_id, at.id, change.schema)
    if change.layout is not None and layouts.set_layout(connection, at, table_id, change.schema, change.layout):
        statements.altered(connection, at, table_id, tell=goes_on is not None)
    base = goes_on if change.mode != "overwrite" else None
    statements.add_files(connection, at, table_id, change.schema, change.columns, _written(change))
    statements.add_deletes(connection, at, table_id, [(f.id or 0, deletes) for f, deletes in change.deletes])
    made = _snapshot(connection, at, change, artifact, table_id, base)
    statements.set_table_stats(connection, at, change.columns, made, sum(f.num_rows for f in change.fragments))
    statements.record(connection, at, change.project, made, change.message, {**change.about, "artifact": artifact})
    return made


def chained(start: str, digests: Sequence[str]) -> str:
    """The chain that goes on from `start`; digests one by one or at once make the same."""
    for digest in digests:
        start = hashlib.sha256(f"{start}{digest}".encode()).hexdigest()
    return start


def _goes_on(connection: Connection, change: Change, newest: Snapshot) -> bool:
    """Whether the commit goes on with the same DuckLake table: the same columns, and nothing in it that raypipe did not write."""
    return (newest.columns_digest == change.columns_digest or change.alters) and foreign(connection, newest) is None


def _written(change: Change) -> Sequence[Fragment]:
    """The files that are added. Those of other columns are told apart by what they were read with: they are put back as they were."""
    assert all(f.columns == change.columns_digest or f.as_now is not None for f in change.fragments), "a file with other field ids"
    return change.fragments


def _check(connection: Connection, change: Change, newest: Snapshot | None) -> None:
    """Conflict or DataError where the change cannot be committed on the newest snapshot."""
    if newest:
        refuse_foreign(connection, newest)
    moved = (newest.id if newest else None) != (change.before.id if change.before else None)
    if moved and change.exact:
        names = ["no snapshot" if s is None else f"snapshot {s.id}" for s in (newest, change.before)]
        raise Conflict(
            f"table {change.name}: another run has committed meanwhile: the table is at {names[0]}, and these rows continue {names[1]}. "
            "Run again: what is committed is kept."
        )
    known = {change.columns_digest, change.before.columns_digest if change.alters and change.before else None}
    if newest and newest.columns_digest not in known and change.mode != "restore":
        if moved and change.before:
            raise Conflict(
                f"table {change.name}: its columns were changed by snapshot {newest.id} meanwhile. Run again: nothing was written."
            )
        raise DataError(f"table {change.name}: rows with other columns or types than snapshot {newest.id} has cannot be appended to it")
    if newest and moved:
        _check_files(connection, change, newest)


def _check_files(connection: Connection, change: Change, newest: Snapshot) -> None:
    touched = {f.id or 0: f.deletes.id if f.deletes else None for f in (*change.ended, *(f for f, _ in change.deletes))}
    if touched:
        live = _live(connection, newest.table_id)
        lost = [number for number, deletes in touched.items() if live.get(number, -1) != deletes]
        if lost:
            raise Conflict(
                _told(change, newest, f"{len(lost)} of the files that this {change.mode} touches were rewritten or had rows deleted")
            )
    if change.reaches:
        since = change.before.id if change.before else 0
        met = sum(change.reaches(stats, rows) for _, rows, stats in _added(connection, newest.table_id, change.schema, since))
        if met:
            raise Conflict(_told(change, newest, f"{met} files were added that may hold rows that this {change.mode} is about"))


def _told(change: Change, newest: Snapshot, what: str) -> str:
    since = f"snapshot {change.before.id}" if change.before else "no snapshot"
    return (
        f"table {change.name}: this was computed from {since}; up to snapshot {newest.id}, which is the newest, {what}. "
        "Run again: nothing was written."
    )


def _live(connection: Connection, table_id: int) -> dict[int, int | None]:
    """The data files of the table as it is now, each with its delete file."""
    d, x = lake["data_file"].c, lake["delete_file"].c
    found: dict[int, int | None] = {
        number: None for (number,) in connection.execute(select(d.data_file_id).where(d.table_id == table_id, d.end_snapshot.is_(None)))
    }
    query = select(x.data_file_id, x.delete_file_id).where(x.table_id == table_id, x.end_snapshot.is_(None))
    return found | {row.data_file_id: row.delete_file_id for row in connection.execute(query)}


def _added(connection: Connection, table_id: int, schema: pa.Schema, since: int | None = None) -> list[tuple[str, int, Stats]]:
    """Path, rows and statistics of the table's files as it is now; of those that came after a snapshot, where one is given."""
    d, f = lake["data_file"].c, catalog.fragments
    query = select(d.path, d.record_count, f.c.stats).select_from(lake["data_file"].join(f, d.data_file_id == f.c.data_file_id))
    query = query.where(d.table_id == table_id, d.end_snapshot.is_(None))
    rows = connection.execute(query if since is None else query.where(d.begin_snapshot > since))
    return [(path, num_rows, schemas.by_name(stats, schema, num_rows)) for path, num_rows, stats in rows]


def _end(connection: Connection, at: At, change: Change, table_id: int) -> None:
    if change.mode == "overwrite":
        statements.end_all(connection, at, table_id)
    else:
        statements.end_files(connection, at, table_id, [f.id or 0 for f in change.ended], [f.id or 0 for f, _ in change.deletes])
    if change.mode == "compact":
        at.changes.append(f"rewrite_delete:{table_id}")
    elif change.mode == "overwrite" or change.ended or change.deletes:
        at.changes.append(f"deleted_from_table:{table_id}")


def _stats_now(connection: Connection, change: Change, base: Snapshot) -> Stats:
    """The statistics of a snapshot by the names of the columns that the change leaves."""
    if base.columns_digest == change.columns_digest:
        return base.stats
    by_id = schemas.by_id(base.stats, schemas.of(connection, base))
    return schemas.by_name(by_id, change.schema, base.num_rows + base.num_deleted)


def _snapshot(connection: Connection, at: At, change: Change, artifact: str, table_id: int, base: Snapshot | None) -> Snapshot:
    parts = [(fragment.num_rows, fragment.stats) for fragment in change.fragments]
    if base and change.ended:
        parts = [(rows, stats) for _, rows, stats in _added(connection, table_id, change.schema)]
    elif base:
        parts = [(base.num_rows + base.num_deleted, _stats_now(connection, change, base)), *parts]
    gone = change.ended if base else ()
    num_deleted = sum(f.num_deleted for f in change.fragments) - sum(f.num_deleted for f in gone) + (base.num_deleted if base else 0)
    num_deleted += sum(deletes.num_rows - f.num_deleted for f, deletes in change.deletes)
    return Snapshot(
        id=at.id,
        name=change.name,
        table_id=table_id,
        artifact=artifact,
        mode=change.mode,
        num_rows=sum(rows for rows, _ in parts) - num_deleted,
        num_deleted=num_deleted,
        num_files=len(change.fragments) - len(gone) + (base.num_files if base else 0),
        size=sum(f.size for f in change.fragments) - sum(f.size for f in gone) + (base.size if base else 0),
        columns_digest=change.columns_digest,
        chain=chained(change.chain if change.chain is not None else base.chain if base else "", change.digests),
        stats=merged(change.columns, parts),
        created_at=at.time.isoformat(timespec="milliseconds"),
    )
