"""Rows that are replaced: those of a file that has other content now, struck out by where they lie in the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from raypipe.core.step import Work
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.fragment.positions import Deletes, read_positions, write_deletes
from raypipe.data.ingest.progress import Rows
from raypipe.data.lake.strike import Struck
from raypipe.data.reconcile import reconciled


def strike_rows(work: Work, fragments: Sequence[Fragment], rows: Sequence[Rows]) -> Struck:
    """What is left of the files without these rows, which do not overlap; files that lose all their rows end."""
    found = 0
    ended: list[Fragment] = []
    deletes: list[tuple[Fragment, Deletes]] = []
    for number, fragment in enumerate(fragments):
        struck = list(_inside(fragment, rows))
        num_struck = sum(len(part) for part in struck)
        found += num_struck
        if num_struck and num_struck == fragment.num_live:
            ended.append(fragment)
        elif num_struck:
            gone = read_positions(work.store, fragment.deletes)
            live = np.delete(np.arange(fragment.num_rows), gone)
            positions = np.union1d(gone, np.concatenate([live[part.start : part.stop] for part in struck]))
            path = f"{work.path}/replaced-{number:05d}.parquet"
            deletes.append((fragment, write_deletes(work.store, path, fragment.path, positions)))
    reconciled("rows that are replaced", sum(r.num for r in rows), found)
    return Struck(ended, deletes, found)


def after_strike(fragments: Sequence[Fragment], struck: Struck) -> list[Fragment]:
    """The files as they are without those rows."""
    ended = {fragment.path for fragment in struck.ended}
    deletes = {fragment.path: found for fragment, found in struck.deletes}
    return [replace(f, deletes=deletes.get(f.path, f.deletes)) for f in fragments if f.path not in ended]


def _inside(fragment: Fragment, rows: Sequence[Rows]) -> Iterator[range]:
    """The rows of the file that are among these, counted from its first one that is not deleted."""
    for r in rows:
        low = max(r.first - fragment.first_row, 0)
        high = min(r.first + r.num - fragment.first_row, fragment.num_live)
        if low < high:
            yield range(low, high)
