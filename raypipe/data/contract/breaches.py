"""Breaches: rows that a contract keeps out of a table, in a table beside it, with the file and row that they came from and the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from raypipe.core.step import Commit, Work
from raypipe.data.fragment.conform import taken
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.lake.current import operation
from raypipe.data.lake.evolve import NewColumns
from raypipe.data.lake.snapshot import Snapshot, data_files
from raypipe.data.lake.strike import Struck, strike
from raypipe.data.lake.target import Target, target
from raypipe.data.table import TableSchema, change_of, changed, latest

OWN = pa.schema([("raypipe.file", pa.string()), ("raypipe.row", pa.int64()), ("raypipe.reasons", pa.list_(pa.string()))])
"""What stands behind the table's own columns; rows are counted from 1."""


@dataclass(frozen=True)
class Place:
    """Where rows come from: a file, and the number of each of them in it, counted from 1."""

    file: str
    rows: Any
    """numpy integers [rows]."""


@dataclass(frozen=True)
class Reason:
    """Why rows are kept out, and the places of those rows, numpy int64, ascending."""

    text: str
    at: Any


def table_of(table: str) -> str:
    """The name of the table that holds what a contract kept out of this one."""
    return f"{table}~breaches"


def with_reasons(table: pa.Table, place: Place, at: Any, reasons: Sequence[Reason]) -> pa.Table | None:
    """The rows at these places (ascending), with file, row number and every reason that holds for them; None where there are none."""
    import numpy as np

    if not len(at):
        return None
    chosen = [at.searchsorted(r.at[np.isin(r.at, at, assume_unique=True)]) for r in reasons]
    rows = np.concatenate(chosen)
    texts = np.repeat(np.arange(len(reasons)), [len(c) for c in chosen])[np.argsort(rows, kind="stable")]
    offsets = np.zeros(len(at) + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=len(at)), out=offsets[1:])
    told = pa.ListArray.from_arrays(pa.array(offsets), pa.array([r.text for r in reasons], pa.string()).take(pa.array(texts)))
    own = [pa.array([place.file] * len(at)), pa.array(place.rows[at], pa.int64()), told]
    found = taken(table, pa.array(at))
    return pa.Table.from_arrays([*found.columns, *own], schema=pa.schema([*found.schema, *OWN]))


def breaches_target(work: Work, table: str, columns: pa.Schema, *, anew: bool) -> Target:
    """What the files of NAME~breaches are to be like for rows of these columns; `anew`: the table is overwritten, and so is that one."""
    before = None if anew else latest(work.ledger, table_of(table))
    rows = pa.schema([*columns, *OWN])
    return target(work.ledger, before, rows, new_columns=NewColumns(add=True, widen=True, fill=True))


def breaches_commits(
    work: Work, table: str, to: Target, fragments: Sequence[Fragment], *, anew: bool, replaced: Sequence[str] = ()
) -> Sequence[Commit]:
    """What publishes the rows that were kept out together with those that were not. `replaced`: files whose rows are taken anew, so that
    those that were kept out of them before are struck out."""
    name = table_of(table)
    before = latest(work.ledger, name)
    goes_on = None if anew else before
    struck = _struck(work, goes_on, replaced)
    if not fragments and not struck.num_rows and (before is None or not (anew and before.num_rows)):
        return ()
    mode = "overwrite" if goes_on is None else "upsert" if struck.num_rows else "append"
    said = [operation("replace", sorted(replaced))] if struck.num_rows else []
    what = {"digests": [*said, *(f.sha256 for f in fragments)], "exact": True, **to.commit(name, goes_on)}
    what |= {"ended": struck.ended, "deletes": struck.deletes}
    schema = TableSchema(to.bare)
    beside = changed(change_of(work, name, schema, mode, goes_on, fragments=fragments, **what), schema)
    return [silent(commit) for commit in beside.commits]


def _struck(work: Work, before: Snapshot | None, files: Sequence[str]) -> Struck:
    if before is None or not files:
        return Struck([], [], 0)
    with work.ledger.reading() as connection:
        there = data_files(connection, before)
    quietly = replace(work, path=f"{work.path}/breaches", report=lambda text: None)
    return strike(quietly, there, _OfFiles(tuple(files)))


@dataclass(frozen=True)
class _OfFiles:
    """The rows that came from these files."""

    files: tuple[str, ...]
    columns: tuple[str, ...] = ("raypipe.file",)

    def mask(self, rows: pa.Table) -> Any:
        import pyarrow.compute as pc

        compute: Any = pc
        return compute.is_in(rows.column("raypipe.file"), value_set=pa.array(self.files, pa.string()))

    def may_match(self, stats: Any, num_rows: int) -> bool:
        return True


def silent(commit: Commit) -> Commit:
    """Its figures are not those of the table."""

    def silently(connection, artifact: str) -> None:
        commit(connection, artifact)

    return silently
