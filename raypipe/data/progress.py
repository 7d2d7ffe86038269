"""The progress of an ingest: which files a table has taken, committed with the snapshot that holds their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select

from raypipe.core.artifact import Json
from raypipe.core.schema import ingested_files
from raypipe.core.step import Commit, Look
from raypipe.data.source.files import Source, SourceFile, list_files, state

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger


@dataclass(frozen=True)
class TakenFile:
    """A file whose rows are in a table."""

    file: SourceFile
    key: str
    """What the rows were shaped by: source, types, what drops rows, sample."""
    num_rows: int
    snapshot: int
    """The snapshot that brought them."""


def taken_files(ledger: Ledger, table: str) -> list[TakenFile]:
    """Every file that the table has taken, by path."""
    c = ingested_files.c
    with ledger.reading() as connection:
        query = select(ingested_files).where(c.project == ledger.project, c.table_name == table).order_by(c.path)
        rows: Sequence[Any] = connection.execute(query).all()
    return [TakenFile(SourceFile(r.path, r.size, r.mtime_ns, r.sha256), r.ingest_key, r.num_rows, r.snapshot_id) for r in rows]


def source_state(look: Look, source: Source, table: str) -> Json:
    """What a plan compares: how many files there are, and a digest over their paths, sizes and content."""
    files = list_files(source, look.project_path, {t.file.path: t.file for t in taken_files(look.ledger, table)})
    return {"files": len(files), "state": state(files)}


def record(project: str, table: str, key: str, files: Sequence[tuple[SourceFile, int]], *, anew: bool) -> Commit:
    """The commit that says that these files, with so many rows each, were taken; it comes after the table's own.

    `anew`: the table was overwritten, so that what it had taken before is forgotten.
    """

    def commit(connection: Connection, artifact: str) -> dict[str, Json] | None:
        from raypipe.data.lake.snapshot import latest

        snapshot = latest(connection, project, table)
        assert snapshot is not None, "the commit of the table comes first"
        c = ingested_files.c
        if anew:
            connection.execute(delete(ingested_files).where(c.project == project, c.table_name == table))
        about = {"project": project, "table_name": table, "ingest_key": key, "snapshot_id": snapshot.id}
        rows = [{**about, **asdict(file), "num_rows": num_rows} for file, num_rows in files]
        if rows:
            connection.execute(insert(ingested_files), rows)
        return None

    return commit
