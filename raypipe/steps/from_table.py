"""FromTable: a named table at one of its snapshots as a pipeline's input. No row is read or copied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from raypipe.core.artifact import Json, Table
from raypipe.core.step import Columns, Look, Made, Work


@dataclass(frozen=True)
class FromTable:
    """What other pipelines, a follower or a person wrote. A later snapshot of the same rows (a compaction) is the same input."""

    revision: ClassVar[int] = 1
    driver_only: ClassVar[bool] = True
    figures: ClassVar[tuple[str, ...]] = ()

    name: str
    """The table's name."""
    at: str | int | None = None
    """A snapshot's number, a tag, or a time (`2026-11-01T00:00Z`: the newest by then); null: the newest at each run."""

    def observe(self, look: Look) -> Json:
        """A digest of the rows and columns that the table has there."""
        from raypipe.data.lake.snapshot import at

        with look.ledger.reading() as connection:
            found = at(connection, look.project, self.name, self.at)
        return {"chain": found.chain, "columns": found.columns_digest}

    def columns(self) -> Columns:
        return Columns(None)

    def run(self, work: Work) -> Made[Table]:
        from raypipe.data.lake.snapshot import at
        from raypipe.data.table import TableSchema, restated

        with work.ledger.reading() as connection:
            found = at(connection, work.project, self.name, self.at)
        made = work.ledger.artifact(found.artifact)
        assert isinstance(made, Table), "the catalog names the artifact that made the snapshot"
        work.report(f"snapshot {found.id}, made by {made.pipeline}.{made.step} at {found.created_at[:19]}")
        if work.sample < 1:
            work.report("all of its rows: a sample is taken where rows come in")
        figures = {"table": found.name, "snapshot": found.id, "num_rows": found.num_rows, "num_fragments": found.num_files}
        return restated(work.ledger, replace(made, figures=figures), TableSchema.from_json(made.schema))
