"""Whether ledger and store agree: every record that is live has its files, and, where asked, their very bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from raypipe.core import schema
from raypipe.core.errors import StoreError
from raypipe.core.wording import first_line
from raypipe.data.lake import catalog
from raypipe.data.lake.catalog import lake

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store

PIECE_BYTES = 8 << 20


@dataclass(frozen=True)
class Flaw:
    """Something that does not hold."""

    where: str
    """A file of the store, or a record."""
    what: str
    of: str
    """Whose it is: `flights.train of run ...`, `table flights.source, snapshot 5`."""


@dataclass(frozen=True)
class Soundness:
    """What was looked at, and what was found."""

    num_artifacts: int
    num_snapshots: int
    num_files: int
    num_bytes: int
    """Of the files; of these were read: all, or none."""
    flaws: Sequence[Flaw]


@dataclass(frozen=True)
class _Wanted:
    size: int
    sha256: str
    of: str


def check(ledger: Ledger, store: Store, *, read_bytes: bool = False) -> Soundness:
    """Every live artifact, every snapshot that has not expired, and every tag of the project. Files: that they are there and as long as
    they were; with `read_bytes`, that their sha256 is the one that was recorded."""
    with ledger.reading() as connection:
        artifacts = connection.execute(select(schema.artifacts).where(*_live(ledger.project))).all()
        has_tables = catalog.exists(connection)
        snapshots = _snapshots(connection, ledger.project) if has_tables else ()
        wanted = _wanted_by_artifacts(artifacts, {row.snapshot_id for row in snapshots})
        wanted |= _wanted_by_tables(connection, snapshots) if has_tables else {}
        flaws = [*_orphans(connection, ledger.project), *(_lost_tags(connection, ledger.project) if has_tables else ())]
    for path, file in wanted.items():
        if what := _flaw(store, path, file, read_bytes):
            flaws.append(Flaw(path, what, file.of))
    return Soundness(len(artifacts), len(snapshots), len(wanted), sum(file.size for file in wanted.values()), flaws)


def _live(project: str) -> tuple[Any, Any]:
    return schema.artifacts.c.project == project, schema.artifacts.c.superseded_at.is_(None)


def _wanted_by_artifacts(artifacts: Sequence[Any], snapshots: Set[int]) -> dict[str, _Wanted]:
    """But those of a table whose snapshot has expired: they may be gone."""
    of = {row.id: f"{row.pipeline}.{row.step} of run {row.run}" for row in artifacts}
    there = [row for row in artifacts if row.kind != "Table" or row.figures.get("snapshot") in snapshots]
    return {path: _Wanted(size, sha, of[row.id]) for row in there for path, size, sha in row.files}


def _wanted_by_tables(connection: Connection, snapshots: Sequence[Any]) -> dict[str, _Wanted]:
    """The files of every snapshot that is still there, delete files too."""
    tables = {row.table_id: row.name for row in snapshots}
    found: dict[str, _Wanted] = {}
    for table, number, digests in (("data_file", "data_file_id", catalog.fragments), ("delete_file", "delete_file_id", catalog.deletes)):
        c = lake[table].c
        query = select(c.path, c.file_size_bytes, c.table_id, digests.c.sha256).join(digests, digests.c[number] == c[number])
        for row in connection.execute(query.where(c.table_id.in_(tables))):
            found[row.path] = _Wanted(row.file_size_bytes, row.sha256, f"table {tables[row.table_id]}")
    return found


def _snapshots(connection: Connection, project: str) -> Sequence[Any]:
    return connection.execute(select(catalog.snapshots).where(catalog.snapshots.c.project == project)).all()


def _orphans(connection: Connection, project: str) -> Iterator[Flaw]:
    """Parents that are no artifact of the project."""
    link, artifacts = schema.parents, schema.artifacts
    known = select(artifacts.c.id).where(artifacts.c.project == project)
    for row in connection.execute(select(link).where(link.c.project == project, link.c.parent.not_in(known))):
        yield Flaw(row.parent, "is named as what another artifact was made from, and is not in the ledger", f"artifact {row.child}")


def _lost_tags(connection: Connection, project: str) -> Iterator[Flaw]:
    known = select(catalog.snapshots.c.snapshot_id).where(catalog.snapshots.c.project == project)
    lost = select(catalog.tags).where(catalog.tags.c.project == project, catalog.tags.c.snapshot_id.not_in(known))
    for row in connection.execute(lost):
        yield Flaw(f"snapshot {row.snapshot_id}", "has a tag, and is not there any more", f"table {row.name}, tag {row.tag}")


def _flaw(store: Store, path: str, file: _Wanted, read_bytes: bool) -> str:
    """What is wrong with a file; empty where nothing is."""
    try:
        filesystem, place = store.filesystem(path)
        with filesystem.open_input_file(place) as source:
            if source.size() != file.size:
                return f"has {source.size():,} bytes, and {file.size:,} were written"
            if not read_bytes:
                return ""
            digest = hashlib.sha256()
            while piece := source.read(PIECE_BYTES):
                digest.update(piece)
    except FileNotFoundError:
        return "is not in the store"
    except (OSError, StoreError) as error:
        return f"cannot be read: {first_line(error)}"
    return "" if digest.hexdigest() == file.sha256 else "has other bytes than were written"
