"""The progress of an ingest: how far a table has taken its source, committed in the transaction that publishes the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from raypipe.core.artifact import Json
from raypipe.core.canonical import canonical
from raypipe.core.errors import Conflict
from raypipe.core.schema import ingest_progress, ingested_files
from raypipe.core.step import Commit, Look
from raypipe.data.source.files import SourceFile
from raypipe.data.source.piece import NOTHING, Limit, New, Progress, Source

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.data.contract.contract import Contract

REVISION = 1
"""Raised when the same pieces and settings would give other rows."""
NUM_BOUND = 500
"""Values that one statement names."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a table, by the number of the first one."""

    first: int
    num: int


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
    files: Mapping[str, TakenFile]
    """Every file that was judged, by path."""


@dataclass(frozen=True)
class TakenFile:
    """A file that was judged, with what became of it."""

    file: SourceFile
    num_rows: int = 0
    reason: str | None = None
    """Why no row of it was taken."""
    first_row: int = 0
    """The number of its first row in the order of the table; -1 where that is not known any more."""
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
    by_path = {taken.file.path: taken for taken in files}
    return Committed(row.ingest_key, row.rev, row.chain, row.snapshot_id, row.artifact_id, progress, by_path)


def source_state(look: Look, source: Source, contract: Contract | None, table: str) -> Json:
    """What a plan compares: the state of the source, by which it is seen whether there is anything new."""
    return ahead(look, source, contract, table).state


def ahead(look: Look, source: Source, contract: Contract | None, table: str, limit: Limit | None = None) -> New:
    """What the source has beyond what the table has taken of it in this way."""
    return source.new(look, standing(committed(look.ledger, table), ingest_key(source, contract, look.sample)), limit)


def standing(before: Committed | None, key: str) -> Progress:
    """The progress that an ingest of that key continues."""
    if before is None:
        return NOTHING
    return before.progress if before.key == key else Progress(former=before.progress.position)


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


@dataclass(frozen=True)
class Step:
    """What a commit says of the progress."""

    key: str
    before: Committed | None
    """What it moves on."""
    position: Json
    files: Sequence[TakenFile] = ()
    """The files that were judged, in the order of their rows."""
    anew: bool = False
    """The table was overwritten, so that what it had taken before is forgotten."""
    struck: Sequence[Rows] = ()
    """Rows that were struck out of the table, of files that are among `files`."""
    is_moved: bool = False
    """Others have changed the table, so that where the rows of earlier files lie in it is not known any more."""


def record(project: str, table: str, step: Step) -> Commit:
    """The commit that moves the progress on; it comes after the table's own.

    Conflict, so that nothing of the transaction stays, where another ingest has moved it since `before` was read.
    """

    def commit(connection: Connection, artifact: str) -> dict[str, Json] | None:
        from raypipe.data.lake.snapshot import latest

        snapshot = latest(connection, project, table)
        assert snapshot is not None, "the commit of the table comes first"
        now = {"chain": snapshot.chain, "snapshot_id": snapshot.id, "artifact_id": artifact}
        _move(connection, project, table, step.before, {"ingest_key": step.key, "position": step.position, **now})
        _settle(connection, project, table, step)
        first_row = snapshot.num_rows - sum(taken.num_rows for taken in step.files)
        rows = list(_rows(step.files, first_row, {"project": project, "table_name": table, "snapshot_id": snapshot.id}))
        if rows:
            connection.execute(insert(ingested_files), rows)
        return None

    return commit


def _settle(connection: Connection, project: str, table: str, step: Step) -> None:
    """What earlier commits said of files, made true again."""
    c = ingested_files.c
    of = _of(c, project, table)
    if step.anew:
        connection.execute(delete(ingested_files).where(*of))
        return
    again = [taken.file.path for taken in step.files if step.before and taken.file.path in step.before.files]
    for start in range(0, len(again), NUM_BOUND):
        connection.execute(delete(ingested_files).where(*of, c.path.in_(again[start : start + NUM_BOUND])))
    if step.is_moved:
        connection.execute(update(ingested_files).where(*of).values(first_row=-1))
    for rows in sorted(step.struck, key=lambda rows: -rows.first):
        connection.execute(update(ingested_files).where(*of, c.first_row > rows.first).values(first_row=c.first_row - rows.num))


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
        raise Conflict(
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
