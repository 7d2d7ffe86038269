"""Rows that go out with their places and come back: only the columns that a kernel needs are dealt, the others stay in their fragments.

A place is one number: that of the row's piece times 2^32, plus the row in the piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.map import map_fragments
from raypipe.data.shuffle.exchange import Dealt, collect, deal, num_pieces, pieces
from raypipe.data.shuffle.stages import Part, write_part

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store

AT = "raypipe_at"
"""The column of places."""
SHIFT = 32


@dataclass(frozen=True)
class Source:
    """A fragment with its number among a table's, and that of its first piece."""

    number: int
    fragment: Fragment
    first_piece: int
    side: int = 0
    """Which of the tables of a join it is of."""
    returned: tuple[Dealt, ...] = ()
    """What has come back for its pieces."""

    @property
    def size(self) -> int:
        return self.fragment.size

    @property
    def path(self) -> str:
        return self.fragment.path


def sources(fragments: Sequence[Fragment], side: int = 0) -> list[Source]:
    made, first = [], 0
    for number, fragment in enumerate(fragments):
        made.append(Source(number, fragment, first, side))
        first += num_pieces(fragment)
    return made


def placed(store: Store, source: Source, columns: Sequence[str] | None) -> Iterator[tuple[pa.Table, pa.Array]]:
    """The pieces of a fragment with the places of their rows."""
    for number, rows in enumerate(pieces(store, source.fragment, columns)):
        yield rows, places(source.first_piece + number, rows.num_rows)


def places(piece: int, num_rows: int) -> pa.Array:
    import numpy as np

    return pa.array(np.arange(num_rows, dtype=np.int64) + (piece << SHIFT))


def give_back(store: Store, path: str, rows: pa.Table, total_pieces: int) -> Dealt:
    """Rows with their places -> dealt to the pieces that they belong to."""
    rows = by_place(rows)
    return deal(store, path, total_pieces, [(rows, rows.column(AT).to_numpy() >> SHIFT)])


def by_place(rows: pa.Table) -> pa.Table:
    """The rows in the order of their places; those of one place stay as they are."""
    import numpy as np

    at = rows.column(AT).to_numpy()
    if (at[1:] >= at[:-1]).all():
        return rows
    return rows.combine_chunks().take(pa.array(np.argsort(at, kind="stable")))


Zip = Callable[[pa.Table, "pa.Table | None"], "tuple[pa.Table, Any]"]
"""The rows of a piece and what came back for it, in the order of its rows -> the new rows, and what is to be known of them."""


@dataclass(frozen=True)
class Rewrite:
    """A fragment and what came back for its pieces -> its new rows, written; notes one of a piece."""

    store: Store
    path: str
    zip: Zip

    def __call__(self, source: Source) -> list[Part]:
        parts = []
        for number, (rows, _) in enumerate(placed(self.store, source, None)):
            returned = collect(self.store, [dealt.of(number, number + 1) for dealt in source.returned])
            made, note = self.zip(rows, None if returned is None else by_place(returned))
            parts.append(write_part(self.store, self.path, source.first_piece + number, made, note))
        return parts


def rewritten(work: Work, given: Sequence[Source], returned: Sequence[Dealt], zip: Zip) -> list[Part]:
    """Every fragment written anew with what came back, in the order of the table."""
    work.alive()
    items = []
    for source in given:
        last = source.first_piece + num_pieces(source.fragment)
        mine = (dealt.of(source.first_piece, last) for dealt in returned)
        items.append(Source(source.number, source.fragment, source.first_piece, returned=tuple(d for d in mine if d.num_rows.any())))
    written = map_fragments(Rewrite(work.store, work.path, zip), items, inline=work.inline)
    return [part for parts in written for part in parts]


def local(returned: pa.Table) -> np.ndarray:
    """The rows' places within their piece, int64."""
    return returned.column(AT).to_numpy() & ((1 << SHIFT) - 1)


def one_each(rows: pa.Table, returned: pa.Table | None) -> pa.Table | None:
    """What came back, proved to be one row for each of the piece."""
    import numpy as np

    found = returned.num_rows if returned is not None else 0
    if found != rows.num_rows or (returned is not None and not np.array_equal(local(returned), np.arange(rows.num_rows))):
        raise DataError(f"of {rows.num_rows:,} rows of a fragment {found:,} came back from the exchange: some were lost or doubled")
    return None if returned is None else cast(Any, returned).drop_columns([AT])


def total_pieces(given: Sequence[Source]) -> int:
    return sum(num_pieces(source.fragment) for source in given)
