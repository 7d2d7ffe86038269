"""Bring: one snapshot of a table from another ledger and its store, with the very files, so that its digest is the same here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from raypipe.core.artifact import File, Table
from raypipe.core.errors import StoreError
from raypipe.core.ledger import Ledger
from raypipe.core.step import Made, Work
from raypipe.core.store import Store, is_remote
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.lake import layouts, schemas, snapshot
from raypipe.data.table import TableSchema, change_of, changed


def bring(work: Work, ledger: Ledger, store: Store, table: Table) -> Made[Table]:
    """The table as that artifact of the other ledger says it is. DataError where its snapshot has expired, StoreError for lost bytes."""
    with ledger.reading() as connection:
        then = snapshot.find(connection, ledger.project, table.name, table.snapshot)
        columns, layout, files = schemas.of(connection, then), layouts.of(connection, then), snapshot.data_files(connection, then)
    schema = TableSchema.from_json(table.schema)
    what = {"fragments": _copied(work, store, files), "chain": then.chain, "numbered": columns, "layout": layout}
    return changed(change_of(work, table.name, schema, "overwrite", None, **what), schema)


def _copied(work: Work, store: Store, fragments: Sequence[Fragment]) -> list[Fragment]:
    found = []
    for number, fragment in enumerate(fragments):
        work.alive()
        path = _copy(work, store, File(fragment.path, fragment.size, fragment.sha256), number)
        deletes = fragment.deletes
        if deletes is not None:
            there = _copy(work, store, File(deletes.path, deletes.size, deletes.sha256), number)
            deletes = replace(deletes, path=there, id=None)
        found.append(replace(fragment, path=path, deletes=deletes, id=None, place=None))
    return found


def _copy(work: Work, store: Store, file: File, number: int) -> str:
    """A second name for the same bytes where both stores are folders of one file system; what is not what was recorded is refused."""
    path = f"{work.path}/{number:05d}/{file.path.rpartition('/')[2]}"
    if is_remote(store.root) or is_remote(work.store.root):
        work.store.write(path, store.read(file))
        return path
    target = work.store.local(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(store.local(file.path), target)
    except FileNotFoundError:
        raise StoreError(f"{file.path}: is not in the store any more") from None
    except OSError:
        work.store.write(path, store.read(file))
    if work.store.adopt(path).sha256 != file.sha256:
        raise StoreError(f"{file.path}: the bytes in the store are not what was recorded")
    return path
