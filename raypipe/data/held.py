"""What a table holds already of a source: where an ingest goes on, and what it commits against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from raypipe.core.artifact import File, Table
from raypipe.core.step import Work
from raypipe.data import progress
from raypipe.data.fragment import Fragment
from raypipe.data.lake.current import Current, current
from raypipe.data.lake.snapshot import Snapshot
from raypipe.data.progress import Committed
from raypipe.data.source.piece import NOTHING, Progress
from raypipe.data.table import snapshots


@dataclass(frozen=True)
class Held:
    """Nothing, where the table is made anew."""

    committed: Committed | None = None
    """The progress that a commit moves on, of whatever key."""
    progress: Progress = NOTHING
    """What the source is asked by."""
    snapshot: Snapshot | None = None
    fragments: Sequence[Fragment] = ()
    columns: pa.Schema | None = None
    table: Table | None = None
    """The artifact of the ingest that committed the progress."""
    is_moved: bool = False
    """Whether others have changed the table since: where the rows of a file lie in it is not known any more."""

    @property
    def num_rows(self) -> int:
        return sum(fragment.num_live for fragment in self.fragments)

    def emptied(self) -> Held:
        """The same to be replaced as a whole: only the progress to be moved on is left."""
        return Held(self.committed)


def held(work: Work, table: str, key: str) -> Held:
    """What an ingest of that key goes on from; what it has to take anew and why is told.

    What others appended, deleted or restored since is kept: this ingest's progress says what it took, not what became of it. Only a table
    that was overwritten as a whole, or has lost files, is made anew.
    """
    before = progress.committed(work.ledger, table)
    if before is None:
        return Held()
    anew = Held(before, Progress(former=before.progress.position))
    now = current(work.ledger, table) if before.key == key else None
    artifact = work.ledger.artifact(before.artifact)
    if now is None or not isinstance(artifact, Table):
        return anew
    if now.snapshot.chain != before.chain and _overwritten(work, before, now):
        work.report(f"table {table} was overwritten by another step since: all of its source is read anew")
        return anew
    lost = [f.path for f in now.fragments if not work.store.holds(File(f.path, f.size, f.sha256))]
    if lost:
        work.report(f"{len(lost):,} fragments of table {table} are not in the store any more: all of its source is read anew")
        return anew
    moved = now.snapshot.chain != before.chain
    return Held(before, before.progress, now.snapshot, now.fragments, now.schema.arrow, _at(artifact, now.snapshot), moved)


def _overwritten(work: Work, before: Committed, now: Current) -> bool:
    since = [snapshot for snapshot in snapshots(work.ledger, now.snapshot.name) if snapshot.id > before.snapshot]
    return any(snapshot.mode == "overwrite" for snapshot in since)


def _at(artifact: Table, snapshot: Snapshot) -> Table:
    return replace(artifact, figures={**artifact.figures, "table": snapshot.name, "snapshot": snapshot.id})
