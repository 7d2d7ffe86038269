"""What runs have left, from Python: a table by its name, a model by its version or alias."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Table
from raypipe.core.released import require
from raypipe.pipeline.plan import Scene, open_scene

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from raypipe.bundle.bundle import Bundle
    from raypipe.data.lake.snapshot import Snapshot
    from raypipe.data.statistics.profile import Profile


@dataclass(frozen=True)
class Reached:
    """One snapshot of a table, to be read in the form that is wanted."""

    snapshot: Snapshot
    artifact: Table
    """What the step that made the snapshot says of it: its exact columns, its split."""
    scene: Scene

    def to_arrow(self, columns: Sequence[str] | None = None, part: str | None = None) -> pa.Table:
        """All rows in memory; `part` is `train`, `validation` or `test` where the table has a split."""
        from raypipe.data.table import read

        return read(self.scene.ledger, self.scene.store, self.artifact, columns, part)

    def to_polars(self, columns: Sequence[str] | None = None, part: str | None = None) -> pl.DataFrame:
        """The same as a Polars frame."""
        import polars as pl

        frame = pl.from_arrow(self.to_arrow(columns, part))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_ray(self, columns: Sequence[str] | None = None) -> Any:
        """A `ray.data.Dataset` that reads the fragments when it is used."""
        from raypipe.data.table import fragments, to_dataset

        return to_dataset(self.scene.store, fragments(self.scene.ledger, self.artifact), columns)

    def head(self, num_rows: int) -> pa.Table:
        """Its first rows, read from no more row groups than that takes."""
        import pyarrow as pa

        from raypipe.data.fragment.together import read_batches
        from raypipe.data.table import TableSchema, fragments

        found, missing = [TableSchema.from_json(self.artifact.schema).arrow.empty_table()], num_rows
        for rows in read_batches(self.scene.store, fragments(self.scene.ledger, self.artifact)):
            found.append(rows.slice(0, missing))
            missing -= found[-1].num_rows
            if missing <= 0:
                break
        return pa.concat_tables(found)

    def profile(self, columns: Sequence[str] | None = None, report: Callable[[str], None] | None = None) -> Profile:
        """What its columns are like: `.to_json()`, `.to_html()`, and in a notebook a page to look at.

        A file is read when its statistics are asked for the first time: by Ray where this process is attached to it, otherwise here.
        """
        import sys

        from raypipe.data.statistics.of_table import profile_table

        ray = sys.modules.get("ray")
        inline = ray is None or not ray.is_initialized()
        found = profile_table(self.scene.ledger, self.scene.store, self.artifact, inline=inline, columns=columns, report=report)
        s = self.snapshot
        return replace(
            found, about={"table": s.name, "snapshot": s.id, "files": s.num_files, "bytes": s.size, "made_at": s.created_at[:19]}
        )


def table(name: str, at: str | int | None = None, project_path: Path | str | None = None) -> Reached:
    """`flights.source`: its newest snapshot; `at`, or behind an `@` of the name, is a snapshot's number, a tag, or a time
    (`2026-11-01T00:00Z`: the newest snapshot by then). Raises DataError that lists what there is."""
    return reached(open_scene(project_path), name, at)


def reached(scene: Scene, name: str, at: str | int | None = None) -> Reached:
    """The same in a scene that is open."""
    from raypipe.core import records
    from raypipe.data.lake import snapshot
    from raypipe.data.table import told_by

    if at is None:
        name, _, spec = name.partition("@")
        at = spec or None
    with scene.ledger.reading() as connection:
        chosen = snapshot.at(connection, scene.ledger.project, name, at)
        artifact = records.by_id(connection, scene.ledger.project, chosen.artifact)
        assert isinstance(artifact, Table), "the catalog names the artifact that made the snapshot"
        return Reached(chosen, told_by(connection, chosen, artifact), scene)


def sql(text: str, project_path: Path | str | None = None) -> pa.Table:
    """The rows of one SELECT over the project's tables: `select origin, count(*) from flights.source group by origin`.

    A snapshot, tag or time is quoted with the name: `"flights.source@5"`. DataError where it is no SELECT, or no such table is there.
    """
    scene = open_scene(project_path)
    with contextlib.closing(scene.ledger):
        return queried(scene, text)[0]


def queried(scene: Scene, text: str, limit: int | None = None) -> tuple[pa.Table, list[str]]:
    """The same in a scene that is open, with what a person should know of the rows."""
    from raypipe.data.query import Queried, select
    from raypipe.data.table import TableSchema, fragments

    def find(name: str) -> Queried:
        found = reached(scene, name).artifact
        return Queried(TableSchema.from_json(found.schema).arrow, fragments(scene.ledger, found))

    return select(scene.store, text, find, limit)


def model(ref: str, project_path: Path | str | None = None) -> Bundle:
    """`flights@champion`, `flights@3` or `flights`: the bundle, verified, with `.predict(table)`. Else ConfigError."""
    from raypipe.bundle.bundle import load
    from raypipe.registry.versions import resolve

    scene: Any = open_scene(project_path)
    with contextlib.closing(scene.ledger):
        version, found = resolve(scene.ledger, ref)
        require(scene.ledger, scene.store, found, f"model {version.name}@{version.version}")
        return load(scene.store, found)
