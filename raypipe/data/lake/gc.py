"""Garbage: files of the store that nothing names any more. They are listed first, and deleted by a later call.

What a snapshot in the catalog, a tag, an artifact that is not superseded, a registered model's lineage or a live attempt names is never
touched, and what is listed is held against all that again in the transaction that takes it off the list. What a record once named is not
deleted while a run is at work that had begun before it was listed: such a run may have found the record, and read the file. Files that are
neither a table's nor in a folder of an attempt of this ledger's pipelines are not raypipe's to delete.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select

from raypipe.core import schema
from raypipe.core.retention import Retention
from raypipe.core.units import seconds
from raypipe.data.contract.keys_kept import keys_path
from raypipe.data.lake import attempts, catalog, mapped
from raypipe.data.lake.alive import alive
from raypipe.data.lake.catalog import lake
from raypipe.data.lake.needed import chunks, needed
from raypipe.data.statistics.kept import profile_path

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Garbage:
    """A file that nothing names."""

    path: str
    size: int
    since: str
    """UTC, ISO 8601: when it was put on the list."""


@dataclass(frozen=True)
class Collected:
    """What a call has done, or would have done."""

    deleted: tuple[Garbage, ...]
    """On the list for longer than the grace period, and still named by nothing."""
    listed: tuple[Garbage, ...]
    """On the list, and not deleted yet."""
    num_unknown: int
    """Files in the store that are not this ledger's."""
    num_refused: int = 0
    """Files of rows that a contract refused, kept for a person to look at, and not on the list yet."""
    read_by: tuple[str, ...] = ()
    """The runs at work for whose sake files stay on the list."""


@dataclass(frozen=True)
class Going:
    """What is looked at as though it were gone already."""

    artifacts: frozenset[str] = frozenset()
    """Ids."""
    snapshots: frozenset[int] = frozenset()
    """Numbers."""


def gc(
    ledger: Ledger,
    store: Store,
    *,
    policy: Retention | None = None,
    grace_s: float | None = None,
    dry_run: bool = False,
    going: Going | None = None,
) -> Collected:
    """Lists what nothing names, and deletes what was listed more than `grace_s` seconds ago (the policy's grace) and is still named by
    nothing. `going`, for a dry run: what is not released yet, and is to be."""
    policy = policy or Retention()
    grace_s = policy.grace_s if grace_s is None else grace_s
    there = {path: (size, written) for path, size, written in store.files()}
    with ledger.reading() if dry_run else ledger.writing() as connection:
        now = datetime.fromtimestamp(ledger.now(connection), UTC)  # not before its turn came: a lease may be younger than that
        if not catalog.exists(connection):
            return Collected((), (), 0)
        if not dry_run:
            # As a publish does it: first its lease, then the catalog. The other way round the two would wait for each other.
            attempts.end_stale(connection, now, grace_s, ledger.one_host)
            catalog.lock(connection)
        found = _Found(connection, ledger, there, now, policy, grace_s, going or Going())
        lists = _lists(connection)
        on_list = [Garbage(p, there[p][0], lists.get(p, now).isoformat(timespec="milliseconds")) for p in sorted(found.garbage)]
        old = [g for g in on_list if lists.get(g.path, now) <= now - timedelta(seconds=grace_s)]
        readers = _readers(connection, ledger, found, old, lists, now)
        deleted = tuple(g for g in old if g.path not in readers)
        if not dry_run:
            _relist(connection, found, lists, {g.path for g in deleted}, now)
            _prune(connection, found, there.keys() - {g.path for g in deleted})
            mapped.forget(connection, ledger, policy, now)
            if deleted:
                ledger.note(connection, "collected", {"files": len(deleted), "bytes": sum(g.size for g in deleted)})
    for garbage in () if dry_run else deleted:
        store.remove(garbage.path)
    listed, read_by = tuple(g for g in on_list if g not in deleted), tuple(sorted(set(readers.values())))
    return Collected(deleted, listed, found.num_unknown, found.num_refused, read_by)


class _Found:
    """What the store holds, held against what the ledger names, in one transaction."""

    def __init__(
        self, connection: Connection, ledger: Ledger, there: dict[str, Any], now: datetime, policy: Retention, grace_s: float, going: Going
    ):
        # First who is at work, then what is named: an attempt that publishes between the two is seen by one of them.
        at_work = attempts.live(connection, now, grace_s, ledger.one_host)
        catalog_rows = [*_files_of(connection, "data_file", catalog.fragments), *_files_of(connection, "delete_file", catalog.deletes)]
        snapshots = _snapshots(connection, going)
        self.gone = [row for row in catalog_rows if not _is_seen(snapshots.get(row.table_id, []), row)]
        """Rows of files that no snapshot of their table sees."""
        named = {row.path for row in catalog_rows if _is_seen(snapshots.get(row.table_id, []), row)}
        named |= _named_by_artifacts(connection, ledger, policy, going)
        named |= mapped.named(connection, ledger, policy, now)
        named |= {beside(path) for path in named for beside in (profile_path, keys_path)}
        gone = [row for row in self.gone if row.path in there and row.path not in named and not at_work(row.path)]
        self.of_tables = {row.path: row.number for row in gone}
        others = there.keys() - named - {row.path for row in catalog_rows}
        own = attempts.own(connection, others, at_work)
        old = {p for p in others if not at_work(p) and _is_old(p, there[p][1], policy, now)}
        self.garbage = {*self.of_tables, *own, *old}
        self.num_unknown = sum(not attempts.is_attempt(p) and not _is_passing(p) for p in others)
        self.num_refused = sum(_REFUSED.fullmatch(p) is not None for p in others - old)


def _readers(
    connection: Connection, ledger: Ledger, found: _Found, old: list[Garbage], lists: dict[str, datetime], now: datetime
) -> dict[str, str]:
    """Of files that a record once named: the run that may read them, by path."""
    runs = [run for run in alive(connection, ledger.one_host, now) if not run.follows] if old else []
    if not runs:
        return {}
    a = schema.artifacts.c
    once = {path for (files,) in connection.execute(select(a.files).where(a.superseded_at.is_not(None))) for path, *_ in files}
    read = {}
    for garbage in old:
        if garbage.path in once or garbage.path in found.of_tables:
            reader = next((run for run in runs if run.may_read(lists.get(garbage.path, now))), None)
            if reader:
                read[garbage.path] = reader.id
    return read


_CHECKPOINT = re.compile(r"checkpoints/[0-9a-f]{32}(-[^/]+)?/.*")
_REFUSED = re.compile(r"refused/[A-Za-z0-9._~-]+\.jsonl")


def _is_passing(path: str) -> bool:
    """Whether it is one of those that stay for a time, and that no record names."""
    return bool(_CHECKPOINT.fullmatch(path) or _REFUSED.fullmatch(path))


def _is_old(path: str, written: float, policy: Retention, now: datetime) -> bool:
    stays = policy.checkpoints_for if _CHECKPOINT.fullmatch(path) else policy.refused_for if _REFUSED.fullmatch(path) else None
    return stays is not None and written < now.timestamp() - seconds(stays)


def _files_of(connection: Connection, kind: str, own: Any) -> list[Any]:
    """The catalog's rows of files that raypipe wrote: another program's are its own to delete."""
    c, number = lake[kind].c, f"{kind}_id"
    query = select(c[number].label("number"), c.table_id, c.begin_snapshot, c.end_snapshot, c.path)
    return list(connection.execute(query.join(own, own.c[number] == c[number])).all())


def _snapshots(connection: Connection, going: Going) -> dict[int, list[int]]:
    """Of each table, in order, but for those that are as good as gone."""
    s = catalog.snapshots.c
    query = select(s.table_id, s.snapshot_id).order_by(s.snapshot_id)
    made: dict[int, list[int]] = {}
    for row in connection.execute(query):
        if row.snapshot_id not in going.snapshots:
            made.setdefault(row.table_id, []).append(row.snapshot_id)
    return made


def _is_seen(snapshots: list[int], row: Any) -> bool:
    at = bisect.bisect_left(snapshots, row.begin_snapshot)
    return at < len(snapshots) and (row.end_snapshot is None or snapshots[at] < row.end_snapshot)


def _named_by_artifacts(connection: Connection, ledger: Ledger, policy: Retention, going: Going) -> set[str]:
    """Of all projects: the store is theirs together. The policy is that of this one; of the others every registered model counts."""
    a = schema.artifacts.c
    live = connection.execute(select(a.id, a.files).where(a.superseded_at.is_(None)))
    found = {path for id, files in live if id not in going.artifacts for path, *_ in files}
    for project in connection.execute(select(a.project).distinct()).scalars().all():
        versions = policy.versions if project == ledger.project else None
        for some in chunks(sorted(needed(connection, project, ledger.one_host, versions).artifacts)):
            query = select(a.files).where(a.id.in_(some), a.superseded_at.is_not(None), a.kind != "Table")
            found |= {path for (files,) in connection.execute(query) for path, *_ in files}
    return found


def _lists(connection: Connection) -> dict[str, datetime]:
    """What is listed, and since when."""
    d, g = lake["files_scheduled_for_deletion"].c, catalog.garbage.c
    rows: list[Any] = [*connection.execute(select(d.path, d.schedule_start)), *connection.execute(select(g.path, g.listed_at))]
    return {path: at if isinstance(at, datetime) else datetime.fromisoformat(at) for path, at in rows}


def _relist(connection: Connection, found: _Found, lists: dict[str, datetime], deleted: set[str], now: datetime) -> None:
    """What is named again comes off the lists, and so does what is deleted now; what is new goes on."""
    off = sorted({*(lists.keys() - found.garbage), *(lists.keys() & deleted)})
    for table in (lake["files_scheduled_for_deletion"], catalog.garbage):
        for some in chunks(off):
            connection.execute(delete(table).where(table.c.path.in_(some)))
    new = sorted(found.garbage - lists.keys() - deleted)
    time = now if connection.dialect.name == "postgresql" else now.strftime("%Y-%m-%d %H:%M:%S.%f+00")
    of_tables = [{"data_file_id": found.of_tables[p], "path": p, "path_is_relative": True} for p in new if p in found.of_tables]
    others = [{"path": p, "listed_at": now.isoformat(timespec="milliseconds")} for p in new if p not in found.of_tables]
    if of_tables:
        connection.execute(insert(lake["files_scheduled_for_deletion"]), [row | {"schedule_start": time} for row in of_tables])
    if others:
        connection.execute(insert(catalog.garbage), others)


def _prune(connection: Connection, found: _Found, there: Any) -> None:
    """Rows of files that are gone, once no snapshot of the whole catalog sees them: until then another program that asks for a snapshot
    which only other tables still have is told that a file is missing, rather than given fewer rows."""
    c = lake["snapshot"].c
    all_snapshots = list(connection.execute(select(c.snapshot_id).order_by(c.snapshot_id)).scalars())
    numbers = sorted({row.number for row in found.gone if row.path not in there and not _is_seen(all_snapshots, row)})
    for table, key in _ROWS_OF_FILES:
        for some in chunks(numbers):
            connection.execute(delete(table).where(table.c[key].in_(some)))


def _rows_of_files() -> Iterator[tuple[Any, str]]:
    for name in ("data_file", "file_column_stats", "file_partition_value"):
        yield lake[name], "data_file_id"
    yield catalog.fragments, "data_file_id"
    yield lake["delete_file"], "delete_file_id"
    yield catalog.deletes, "delete_file_id"


_ROWS_OF_FILES = tuple(_rows_of_files())
"""Data files and delete files are numbered together."""
