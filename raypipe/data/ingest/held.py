"""What a table holds already of a source: where an ingest goes on, and what it commits against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa

from raypipe.core.artifact import File, Table
from raypipe.core.errors import DataError
from raypipe.core.ledger import Ledger
from raypipe.core.step import Work
from raypipe.data.fragment.conform import bare_schema
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.ingest import progress
from raypipe.data.ingest.progress import Committed
from raypipe.data.lake import schemas
from raypipe.data.lake.snapshot import Snapshot, data_files
from raypipe.data.source.location import Location
from raypipe.data.source.piece import NOTHING, Progress, Source
from raypipe.data.source.url import is_url
from raypipe.data.table import latest, snapshots


@dataclass(frozen=True)
class Held:
    """Nothing, where the table is made anew."""

    committed: Committed | None = None
    """The progress that a commit moves on, of whatever key."""
    progress: Progress = NOTHING
    """What the source is asked by."""
    snapshot: Snapshot | None = None
    columns: pa.Schema | None = None
    table: Table | None = None
    """The artifact of the ingest that committed the progress."""
    is_moved: bool = False
    """Whether others have changed the table since: where the rows of a file lie in it is not known any more."""
    ledger: Ledger | None = None
    former: Committed | None = None
    """Where the table is made anew with nobody having overwritten it: what was taken until now, and must be there to be taken again."""

    @property
    def num_rows(self) -> int:
        return self.snapshot.num_rows if self.snapshot else 0

    @cached_property
    def fragments(self) -> Sequence[Fragment]:
        """Asked of the catalog when they are first needed: most batches of a table of many files need none."""
        if self.snapshot is None or self.ledger is None:
            return ()
        with self.ledger.reading() as connection:
            return data_files(connection, self.snapshot)

    def emptied(self) -> Held:
        """The same to be replaced as a whole: only the progress to be moved on is left."""
        return Held(self.committed)


def held(work: Work, table: str, key: str, *, checks_files: bool = True) -> Held:
    """What an ingest of that key goes on from; what it has to take anew and why is told.

    What others appended, deleted or restored since is kept: this ingest's progress says what it took, not what became of it. Only a table
    that was overwritten as a whole, or (`checks_files`) has lost files, is made anew.
    """
    before = progress.committed(work.ledger, table)
    if before is None:
        return Held()
    anew = Held(before, Progress(former=before.progress.position), former=before)
    now = latest(work.ledger, table) if before.key == key else None
    artifact = work.ledger.artifact(before.artifact)
    if now is None or not isinstance(artifact, Table):
        return anew
    moved = now.chain != before.chain
    if moved and _overwritten(work, before, now):
        work.report(f"table {table} was overwritten by another step since: all of its source is read anew")
        return replace(anew, former=None)
    with work.ledger.reading() as connection:
        columns = bare_schema(schemas.of(connection, now))
    found = Held(before, before.progress, now, columns, _at(artifact, now), moved, work.ledger)
    lost = [f.path for f in found.fragments if not work.store.holds(File(f.path, f.size, f.sha256))] if checks_files else []
    if lost:
        work.report(f"{len(lost):,} fragments of table {table} are not in the store any more: all of its source is read anew")
        return anew
    return found


def refuse_gone(work: Work, source: Source, table: str, former: Committed) -> None:
    """DataError where files are not there any more, nor their content elsewhere, whose rows a table has that is made anew: it would be
    without them, and nothing would say so."""
    if not any(file.num_rows for file in former.files.values()):
        return
    gone = source.new(work, former.progress).gone
    told = [
        f"{name}: {former.files[name].num_rows:,} rows of it were taken, and it is not there any more, so that table {table} cannot be "
        "made anew as it must be: the settings have changed, or files of the table were lost. Put it back, or take what there is into "
        "another table (setting `table`)."
        for name, other in gone.items()
        if not other and former.files[name].num_rows and _place(work, name).found() is None
    ]
    if told:
        raise DataError("\n".join(told))


def _place(work: Work, name: str) -> Location:
    return Location(name if is_url(name) else str(work.project_path / name), name)


def _overwritten(work: Work, before: Committed, now: Snapshot) -> bool:
    since = [snapshot for snapshot in snapshots(work.ledger, now.name) if snapshot.id > before.snapshot]
    return any(snapshot.mode == "overwrite" for snapshot in since)


def _at(artifact: Table, snapshot: Snapshot) -> Table:
    return replace(artifact, figures={**artifact.figures, "table": snapshot.name, "snapshot": snapshot.id})
