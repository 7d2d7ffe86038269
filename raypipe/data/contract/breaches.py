"""Breaches: rows that a contract keeps out of a table, in a table beside it, with the file and row that they came from and the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from raypipe.core.step import Commit, Work
from raypipe.data.contract.reasons import OWN
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.lake.current import operation
from raypipe.data.lake.evolve import NewColumns
from raypipe.data.lake.snapshot import Snapshot, data_files
from raypipe.data.lake.strike import Struck, strike
from raypipe.data.lake.target import Target, target
from raypipe.data.table import TableSchema, change_of, changed, latest


def table_of(table: str) -> str:
    """The name of the table that holds what a contract kept out of this one."""
    return f"{table}~breaches"


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
