"""The progress of an ingest: how far a table has taken its source, committed in the transaction that publishes the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.schema import canonical, ingest_progress, ingested_files
from raypipe.core.step import Commit, Look
from raypipe.data.source.files import SourceFile
from raypipe.data.source.piece import NOTHING, Progress, Source

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.data.contract import Contract

REVISION = 1
"""Raised when the same pieces and settings would give other rows."""


@dataclass(frozen=True)
class Committed:
    """The last progress of a table. What continues it is refused once another has moved it."""

    key: str
    """What the rows were shaped by: source, types, what drops rows, sample."""
    rev: int
    """Rises by one with each commit."""
    chain: str
    """The content of the table just then, as `Snapshot.chain`: compaction keeps it."""
    snapshot: int
    artifact: str
    """The ingest's own record: a later snapshot of the same content may be of another step."""
    progress: Progress


@dataclass(frozen=True)
class TakenFile:
    """A file that was judged, with what became of it."""

    file: SourceFile
    num_rows: int = 0
    reason: str | None = None
    """Why no row of it was taken."""
    first_row: int = 0
    """The number of its first row in the order of the table."""
    snapshot: int = 0
    """The snapshot that brought its rows."""


def committed(ledger: Ledger, table: str) -> Committed | None:
    """What the table has taken; None where it has taken nothing yet."""
    c = ingest_progress.c
    with ledger.reading() as connection:
        row: Any = connection.execute(select(ingest_progress).where(*_of(c, ledger.project, table))).one_or_none()
        files = [_file(r) for r in connection.execute(_files(ledger.project, table))] if row else []
    if row is None:
        return None
    left_out = frozenset(taken.file.path for taken in files if taken.reason)
    progress = Progress(row.position, {taken.file.path: taken.file for taken in files}, left_out)
    return Committed(row.ingest_key, row.rev, row.chain, row.snapshot_id, row.artifact_id, progress)


def source_state(look: Look, source: Source, contract: Contract | None, table: str) -> Json:
    """What a plan compares: the state of the source, by which it is seen whether there is anything new."""
    return source.new(look, standing(committed(look.ledger, table), ingest_key(source, contract, look.sample))).state


def standing(before: Committed | None, key: str) -> Progress:
    """The progress that an ingest of that key continues."""
    return before.progress if before and before.key == key else NOTHING


def ingest_key(source: Source, contract: Contract | None, sample: float) -> str:
    """sha256 of what shapes the rows; with another one a table is made anew."""
    values: Any = source
    settings = {f.name: asdict(values)[f.name] for f in fields(values) if f.metadata.get("identity") is not False}
    shapes = contract.shapes_rows() if contract else None
    document = [REVISION, type(source).__name__, source.revision, settings, shapes, sample]
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def taken_files(ledger: Ledger, table: str) -> list[TakenFile]:
    """Every file that the table has judged, by path."""
    with ledger.reading() as connection:
        return [_file(row) for row in connection.execute(_files(ledger.project, table))]


def record(
    project: str, table: str, key: str, before: Committed | None, position: Json, files: Sequence[TakenFile], *, anew: bool
) -> Commit:
    """The commit that moves the progress on from `before`, with the files that were judged; it comes after the table's own.

    DataError, so that nothing of the transaction stays, where another ingest has moved it since `before` was read.
    `anew`: the table was overwritten, so that what it had taken before is forgotten.
    """

    def commit(connection: Connection, artifact: str) -> dict[str, Json] | None:
        from raypipe.data.lake.snapshot import latest

        snapshot = latest(connection, project, table)
        assert snapshot is not None, "the commit of the table comes first"
        values = {"ingest_key": key, "position": position, "chain": snapshot.chain, "snapshot_id": snapshot.id, "artifact_id": artifact}
        _move(connection, project, table, before, values)
        c = ingested_files.c
        if anew:
            connection.execute(delete(ingested_files).where(*_of(c, project, table)))
        first_row = snapshot.num_rows - sum(taken.num_rows for taken in files)
        rows = list(_rows(files, first_row, {"project": project, "table_name": table, "snapshot_id": snapshot.id}))
        if rows:
            paths = [row["path"] for row in rows]
            connection.execute(delete(ingested_files).where(*_of(c, project, table), c.path.in_(paths), c.reason.is_not(None)))
            connection.execute(insert(ingested_files), rows)
        return None

    return commit


def _move(connection: Connection, project: str, table: str, before: Committed | None, values: dict[str, Json]) -> None:
    c = ingest_progress.c
    if before:
        still = (*_of(c, project, table), c.rev == before.rev)
        moved = connection.execute(update(ingest_progress).where(*still).values(rev=before.rev + 1, **values)).rowcount
    else:
        try:
            # Two first ones at once: on PostgreSQL the second waits here until the other's transaction has ended.
            moved = connection.execute(insert(ingest_progress).values(project=project, table_name=table, rev=1, **values)).rowcount
        except IntegrityError:
            moved = 0
    if not moved:
        raise DataError(
            f"table {table}: another run has taken from its source meanwhile, so that these rows would come twice. "
            "Run again: what is committed is kept."
        )


def _rows(files: Sequence[TakenFile], first_row: int, about: dict[str, Json]) -> Iterator[dict[str, Json]]:
    for taken in files:
        yield {**about, **asdict(taken.file), "num_rows": taken.num_rows, "first_row": first_row, "reason": taken.reason}
        first_row += taken.num_rows


def _of(c: Any, project: str, table: str) -> tuple[Any, Any]:
    return c.project == project, c.table_name == table


def _files(project: str, table: str) -> Any:
    return select(ingested_files).where(*_of(ingested_files.c, project, table)).order_by(ingested_files.c.path)


def _file(row: Any) -> TakenFile:
    return TakenFile(SourceFile(row.path, row.size, row.mtime_ns, row.sha256), row.num_rows, row.reason, row.first_row, row.snapshot_id)
