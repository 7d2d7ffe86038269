"""Spans: the rows of a fragment as a pass works on them, all at once or a row group at a time, with their numbers in the file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.data.fragment.bounds import Stats, group_statistics
from raypipe.data.fragment.fragment import Fragment, known_columns, opened, read_groups
from raypipe.data.fragment.positions import read_positions
from raypipe.data.fragment.sieve import kept

if TYPE_CHECKING:
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Span:
    """Rows of a fragment that are worked on at once: all of it, or a row group."""

    rows: pa.Table
    """Without the deleted ones."""
    count: Callable[[], np.ndarray]
    """Gives `numbers`, which are asked for where something is to be told of rows only."""

    @cached_property
    def numbers(self) -> np.ndarray:
        """Of each row in the file, from 1."""
        return self.count()

    def only(self, mask: np.ndarray) -> Span:
        """The rows where it is true."""
        return self if mask.all() else Span(kept(self.rows, mask), lambda: self.numbers[mask])

    def select(self, columns: Sequence[str]) -> Span:
        return replace(self, rows=self.rows.select(list(columns)))


def read_spans(
    store: Store,
    fragment: Fragment,
    columns: Sequence[str] | None = None,
    may_hold: Callable[[Stats, int], bool] | None = None,
    *,
    by_group: bool = False,
    coded: Collection[str] = (),
) -> Iterator[Span]:
    """Its rows at once, or a row group at a time; at least one span comes.

    `may_hold` says by the statistics (of the columns of which they are known) and the number of rows whether a row group, or the fragment
    as a whole, can hold what is looked for; the others are not read. `coded`: columns of text that may come as dictionaries, being only
    passed on.
    """
    deleted = read_positions(store, fragment.deletes)
    with opened(store, fragment, columns, coded) as (file, wanted):
        none = Span(wanted.empty(), lambda: np.empty(0, np.int64))
        if may_hold is not None and not may_hold(fragment.stats, fragment.num_rows):
            yield none
            return
        groups = list(_groups(fragment, file, may_hold))
        whole = len(groups) == file.num_row_groups
        for some in [[group] for group in groups] if by_group else [groups] if groups else []:
            rows = read_groups(file, wanted, None if whole and not by_group else [number for number, _, _ in some])
            yield _span(rows, some, deleted)
        if not groups:
            yield none


def _groups(fragment: Fragment, file: pq.ParquetFile, may_hold: Callable[[Stats, int], bool] | None) -> Iterator[tuple[int, int, int]]:
    """Of each row group that is to be read its number, its first row and its rows."""
    known = known_columns(fragment, file, None) if may_hold else {}
    first = 0
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if may_hold is None or may_hold(group_statistics(group, known), group.num_rows):
            yield number, first, group.num_rows
        first += group.num_rows


def _span(rows: pa.Table, groups: Sequence[tuple[int, int, int]], deleted: np.ndarray) -> Span:
    def places() -> np.ndarray:
        return np.concatenate([np.arange(first, first + num_rows) for _, first, num_rows in groups])

    if not len(deleted):
        return Span(rows, lambda: places() + 1)
    found = places()
    live = np.isin(found, deleted, assume_unique=True, invert=True)
    return Span(rows if live.all() else kept(rows, live), lambda: found[live] + 1)
