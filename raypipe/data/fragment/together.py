"""The rows of several fragments, as one table or in pieces. Nothing here knows the catalog: a task imports it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.data.fragment.conform import stacked
from raypipe.data.fragment.fragment import Fragment, read_fragment, read_row_groups

if TYPE_CHECKING:
    from raypipe.core.store import Store
    from raypipe.data.where.where import Predicate

# Threads pay from about here: on two busy cores 12 files of 3 MB took 0.035 s instead of 0.046, but 300 of 64 kB 0.136 instead of 0.108.
THREADED_BYTES = 16 << 20
THREADED_FILE_BYTES = 1 << 20


def read_fragments(store: Store, fragments: Sequence[Fragment], schema: pa.Schema, where: Predicate | None = None) -> pa.Table:
    """Their rows in order, those that meet `where`; the columns are those of `schema`."""
    names = schema.names
    if not names and where is None:
        return pa.table({"none": pa.nulls(sum(fragment.num_live for fragment in fragments))}).select([])
    size = sum(fragment.size for fragment in fragments)
    if size < max(THREADED_BYTES, THREADED_FILE_BYTES * len(fragments)) or len(fragments) < 2:
        tables = [read_fragment(store, fragment, names, where) for fragment in fragments]
    else:
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            tables = list(pool.map(lambda fragment: read_fragment(store, fragment, names, where), fragments))
    return stacked(tables) if tables else schema.empty_table()


def read_batches(
    store: Store, fragments: Iterable[Fragment], columns: Sequence[str] | None = None, where: Predicate | None = None
) -> Iterator[pa.Table]:
    """The same in order and in pieces of a row group (at most 131,072 rows), one in memory at a time."""
    for fragment in fragments:
        yield from read_row_groups(store, fragment, columns, where)
