"""Writing to tables from Python: a person's or a program's own rows, without a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Table
from raypipe.core.errors import DataError
from raypipe.core.step import Made, Work
from raypipe.pipeline.act import act
from raypipe.pipeline.plan import open_scene
from raypipe.pipeline.reach import Reached, reached

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.data.lake.put import Manner


def write(name: str, rows: Any, mode: Manner = "append", by: Sequence[str] = (), project_path: Path | str | None = None) -> Reached:
    """Rows (an Arrow table, a Polars or pandas frame) into a table, which is made where there is none; its new snapshot.

    `mode`: behind what is there (`append`), in the place of the rows with the same key `by` (`upsert`), of those with the same values
    of the columns `by` (`replace`), or of all (`overwrite`). Columns must be the table's. DataError says what does not fit, and nothing
    is written then.
    """
    from raypipe.data.lake.put import Manners, put_rows

    if bool(by) != (mode in ("upsert", "replace")):
        raise DataError(f"table {name}: mode {mode} {'needs `by`: a list of columns' if not by else 'has no use for `by`'}.")
    arrow = to_arrow(name, rows)
    return _changed(name, mode, lambda work: put_rows(work, arrow, name, Manners(mode, tuple(by))), project_path)


def delete(name: str, where: str | Sequence[Sequence[Any]], project_path: Path | str | None = None) -> Reached:
    """Deletes the rows that meet the conditions (`"age > 60 and plan = 'pro'"`); earlier snapshots keep them until they expire."""
    from raypipe.data.lake.deletes import delete_where

    return _changed(name, "delete", lambda work: delete_where(work, name, where), project_path)


def to_arrow(name: str, rows: Any) -> pa.Table:
    """DataError where they are no rows of a kind that is known. A frame's long text becomes plain text: it has no other."""
    import pyarrow as pa

    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, pa.Table):
        return rows.replace_schema_metadata(None)
    if hasattr(rows, "to_arrow"):
        return _plain(rows.to_arrow())
    if type(rows).__module__.partition(".")[0] == "pandas":
        return _plain(pa.Table.from_pandas(rows, preserve_index=False))
    raise DataError(f"table {name}: rows are {type(rows).__name__}, expected a pyarrow.Table, or a Polars or pandas frame")


def _plain(rows: pa.Table) -> pa.Table:
    import pyarrow as pa

    short = {pa.large_string(): pa.string(), pa.string_view(): pa.string(), pa.large_binary(): pa.binary(), pa.binary_view(): pa.binary()}
    return rows.cast(pa.schema([pa.field(f.name, short.get(f.type, f.type)) for f in rows.schema]))


def _changed(name: str, what: str, change: Callable[[Work], Made[Table]], project_path: Path | str | None) -> Reached:
    scene = open_scene(project_path)
    act(scene, what, name, change, command=f"raypipe.{what}", report=lambda text: None)
    return reached(scene, name)
