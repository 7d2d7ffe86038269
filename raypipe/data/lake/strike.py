"""Rows struck out of a table's files: chosen file by file, and said in delete files beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from raypipe.core.step import Work
from raypipe.data.fragment.bounds import Stats
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.fragment.positions import Deletes, read_positions, write_deletes
from raypipe.data.map import map_fragments
from raypipe.data.rows import Item

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.core.store import Store


class Choice(Protocol):
    """What says which rows are struck out. It travels to tasks."""

    @property
    def columns(self) -> Sequence[str]:
        """What it looks at."""
        ...

    def mask(self, rows: pa.Table) -> Any:
        """True for each row that is chosen, never null."""
        ...

    def may_match(self, stats: Stats, num_rows: int) -> bool:
        """Whether a file of so many rows with such statistics can hold a row that is chosen. Never wrongly False."""
        ...


@dataclass(frozen=True)
class Struck:
    """What is left of the files: those that end, since no row of theirs stays, and those that get a delete file."""

    ended: list[Fragment]
    deletes: list[tuple[Fragment, Deletes]]
    num_rows: int
    """How many rows are struck out."""


def strike(work: Work, fragments: Sequence[Fragment], choice: Choice) -> Struck:
    """Reads the chosen columns of the files that may hold a chosen row, and writes a delete file for each that does."""
    suspects = [Item(number, f) for number, f in enumerate(fragments) if choice.may_match(f.stats, f.num_rows)]
    work.report(f"{len(suspects):,} of {len(fragments):,} files may hold such rows")
    found = map_fragments(_Strike(work.store, work.path, choice), suspects, inline=work.inline)
    ended = [item.fragment for item, (num_rows, deletes) in zip(suspects, found, strict=True) if num_rows and deletes is None]
    kept = [(item.fragment, deletes) for item, (_, deletes) in zip(suspects, found, strict=True) if deletes is not None]
    return Struck(ended, kept, sum(num_rows for num_rows, _ in found))


@dataclass(frozen=True)
class _Strike:
    """A fragment -> how many of its rows are struck out, and the delete file, which is None where none or all of them are."""

    store: Store
    path: str
    choice: Choice

    def __call__(self, item: Item) -> tuple[int, Deletes | None]:
        fragment = item.fragment
        chosen = np.flatnonzero(self.choice.mask(read_fragment(self.store, fragment, list(self.choice.columns))).to_numpy())
        if len(chosen) in (0, fragment.num_live):
            return len(chosen), None
        deleted = read_positions(self.store, fragment.deletes)
        live = np.delete(np.arange(fragment.num_rows), deleted) if len(deleted) else None
        positions = chosen if live is None else np.union1d(deleted, live[chosen])
        path = f"{self.path}/deletes-{item.number:05d}.parquet"
        return len(chosen), write_deletes(self.store, path, fragment.path, positions)
