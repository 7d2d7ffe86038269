"""New rows in a table: behind those that are there, in the place of those with the same keys, or of those of the same partitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Table
from raypipe.core.step import Made, Work
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.fragment.together import read_fragments
from raypipe.data.lake.current import Current, change_made, current, operation
from raypipe.data.lake.keys import Keys, keys_of, refuse_bad_keys
from raypipe.data.lake.snapshot import Snapshot
from raypipe.data.lake.strike import Struck, strike
from raypipe.data.lake.target import Target
from raypipe.data.reconcile import reconciled
from raypipe.data.table import TableSchema, change_of, changed, latest


def append(work: Work, name: str, schema: TableSchema, new: Sequence[Fragment], to: Target | None = None) -> Made[Table]:
    """The rows of `new` behind those that are there, and behind what others append meanwhile; a new table where there is none.

    `to` is what the files were written for, where that is more than a new table's columns: here as in the functions below.
    """
    before = latest(work.ledger, name)
    files = {"fragments": new, "digests": [fragment.sha256 for fragment in new], **_said(name, before, to)}
    return changed(change_of(work, name, schema, "append", before, **files), schema, {"rows_added": sum(f.num_live for f in new)})


def upsert(
    work: Work, name: str, schema: TableSchema, new: Sequence[Fragment], key: Sequence[str], to: Target | None = None
) -> Made[Table]:
    """The rows of `new` come last; those that had their keys are deleted.

    Only the key columns are read, of the files whose keys can be among the new ones. Figures: `rows_updated`, `rows_added`. DataError
    where a key is null, comes twice among the new rows, or is of a type that has no equals.
    """
    batch = _batch(work, schema, new, key)
    keys = keys_of(batch, key, f"table {name}: upsert by key")
    refuse_bad_keys(batch, keys, f"table {name}: upsert by key")
    now = current(work.ledger, name)
    struck = strike(work, now.fragments, keys) if now else Struck([], [], 0)
    work.report(f"{struck.num_rows:,} rows are updated, {batch.num_rows - struck.num_rows:,} are new")
    figures = {"rows_updated": struck.num_rows, "rows_added": batch.num_rows - struck.num_rows}
    return _put(work, name, now, schema, new, struck, keys, ("upsert", figures, to))


def replace(
    work: Work, name: str, schema: TableSchema, new: Sequence[Fragment], by: Sequence[str], to: Target | None = None
) -> Made[Table]:
    """The rows of `new` come last; all rows whose values of the columns `by` occur among theirs are deleted: an overwrite by partition.

    Null is a value like any other here. Figures: `rows_deleted`, `rows_added`.
    """
    batch = _batch(work, schema, new, by)
    keys = keys_of(batch, by, f"table {name}: overwrite by partition")
    now = current(work.ledger, name)
    struck = strike(work, now.fragments, keys) if now else Struck([], [], 0)
    work.report(f"{struck.num_rows:,} rows are replaced by {batch.num_rows:,}")
    figures = {"rows_deleted": struck.num_rows, "rows_added": batch.num_rows}
    return _put(work, name, now, schema, new, struck, keys, ("replace", figures, to))


def _put(
    work: Work, name: str, now: Current | None, schema: TableSchema, new: Sequence[Fragment], struck: Struck, keys: Keys, what: tuple
) -> Made[Table]:
    mode, figures, to = what
    digests = [operation(mode, list(keys.columns)), *(fragment.sha256 for fragment in new)]
    files = {"fragments": new, "ended": struck.ended, "deletes": struck.deletes, **_said(name, now.snapshot if now else None, to)}
    return change_made(work, name, mode, now, schema, figures, **files, digests=digests, reaches=keys.may_match)


def _said(name: str, before: Snapshot | None, to: Target | None) -> dict[str, Any]:
    return to.commit(name, before) if to else {}


def _batch(work: Work, schema: TableSchema, new: Sequence[Fragment], columns: Sequence[str]) -> pa.Table:
    """The columns of the new rows that say which of the old ones they are about; those that are not there are told later."""
    named = [name for name in dict.fromkeys(columns) if name in schema.arrow.names]
    batch = read_fragments(work.store, new, pa.schema([schema.arrow.field(name) for name in named]))
    reconciled("keys of the new rows", sum(fragment.num_live for fragment in new), batch.num_rows)
    return batch
