"""Quarantine: records and files that cannot be read, kept beside the table with where they are and why."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.core.step import Commit, Work
from raypipe.data.contract.breaches import silent
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.ingest.bad import COLUMNS, rows_of
from raypipe.data.source.piece import Bad
from raypipe.data.table import TableSchema, latest, made


def table_of(table: str) -> str:
    """The name of the table that holds what was kept out of this one."""
    return f"{table}~quarantine"


def commits(work: Work, table: str, fragments: Sequence[Fragment], files: Sequence[Bad]) -> tuple[Sequence[Fragment], Sequence[Commit]]:
    """The fragments, `files` among them, and what publishes them together with the rows that could be taken."""
    parts = list(fragments)
    if files:
        parts.append(write_fragment(work.store, f"{work.path}/quarantine.parquet", rows_of(files)))
    if not parts:
        return (), ()
    name = table_of(table)
    before = latest(work.ledger, name)
    beside = made(work, name, TableSchema(COLUMNS), parts, mode="append" if before else "overwrite", before=before)
    return parts, [silent(commit) for commit in beside.commits]
