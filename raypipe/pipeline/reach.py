"""What runs have left, from Python: a table by its name, a model by its version or alias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Table
from raypipe.core.errors import DataError
from raypipe.pipeline.plan import Scene, open_scene

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from raypipe.bundle.bundle import Bundle


@dataclass(frozen=True)
class Reached:
    """One snapshot of a table, to be read in the form that is wanted."""

    artifact: Table
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


def table(name: str, snapshot: int | None = None, project_path: Path | str | None = None) -> Reached:
    """`flights.source`: its newest snapshot, or the one of that number. Raises DataError that lists what there is."""
    from raypipe.data.table import snapshots

    scene = open_scene(project_path)
    found = snapshots(scene.ledger, name)
    chosen = next((s for s in found if snapshot in (None, s.id)), None)
    if chosen is None:
        raise DataError(f"table '{name}' has no snapshot {snapshot}; it has {', '.join(str(s.id) for s in found[:10])}.")
    artifact = scene.ledger.artifact(chosen.artifact)
    assert isinstance(artifact, Table), "the catalog names the artifact that made the snapshot"
    return Reached(artifact, scene)


def model(ref: str, project_path: Path | str | None = None) -> Bundle:
    """`flights@champion`, `flights@3` or `flights`: the bundle, verified, with `.predict(table)`. Else ConfigError."""
    from raypipe.bundle.bundle import load
    from raypipe.registry.versions import resolve

    scene: Any = open_scene(project_path)
    return load(scene.store, resolve(scene.ledger, ref)[1])
