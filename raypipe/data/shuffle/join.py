"""Two tables joined by equal keys: a small right one goes to every fragment of the left, large ones are dealt by key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.step import Work
from raypipe.data.fragment.conform import stacked
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.map import map_fragments
from raypipe.data.shuffle.engine import as_keys, partition_of
from raypipe.data.shuffle.exchange import Dealt, by_bytes, collect, deal, pieces
from raypipe.data.shuffle.match import Counts, Matching, matches, right_rows, zipped
from raypipe.data.shuffle.places import AT, Source, give_back, placed, places, rewritten, sources, total_pieces
from raypipe.data.shuffle.stages import Part, Portion, buckets_for, done, exchange, is_small, joined, portions, refuse_heavy, write_part

if TYPE_CHECKING:
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Sides:
    """The fragments of both tables."""

    left: Sequence[Fragment]
    right: Sequence[Fragment]


def join(work: Work, asked: Matching, sides: Sides, most_bytes: int) -> tuple[Part, Counts]:
    """The rows of the left table in their order, each with its matches in the order of the right; of a full join the right rows without a
    match behind. And what matched."""
    needed = pa.schema([asked.right.field(name) for name in asked.right_reads])
    small_right = is_small(sides.right, needed)
    if small_right and is_small(sides.left, asked.left):
        parts = map_fragments(Whole(work.store, work.path, asked), [sides], inline=work.inline)
    elif small_right and asked.how != "full" and not asked.unique_left:
        work.report("the right table goes to each fragment of the left")
        parts = map_fragments(Broadcast(work.store, work.path, asked, sides.right), sources(sides.left), inline=work.inline)
        parts = [part for made in parts for part in made]
    else:
        work.report("both tables are dealt by key")
        return _dealt(work, asked, sides, most_bytes)
    made = joined(work, parts)
    return made, sum((Counts(*note) for note in made.note), Counts())


def _dealt(work: Work, asked: Matching, sides: Sides, most_bytes: int) -> tuple[Part, Counts]:
    work.alive()
    left, right = sources(sides.left), sources(sides.right, side=1)
    keys = pa.schema([*(asked.left.field(name) for name in asked.left_on), pa.field(AT, pa.int64())])
    wanted = pa.schema([*keys, *(asked.right.field(name) for name in asked.right_reads)])
    num_buckets = max(buckets_for(sides.left, keys), buckets_for(sides.right, wanted))
    dealt = map_fragments(Scatter(work.store, exchange(work), asked, num_buckets), [*left, *right], inline=work.inline)
    # Rows of the left table with one key may be worked on apart, each time with all of the right one's, where no count spans them.
    apart = asked.how != "full" and not asked.unique_left
    refuse_heavy(work, dealt[len(left) :] if apart else dealt, asked.left_on, most_bytes)
    items = _pairs(portions(dealt), len(left), apart)
    match = Match(work.store, work.path, exchange(work), asked, total_pieces(left))
    work.alive()
    matched = map_fragments(match, items, inline=work.inline)
    parts = rewritten(work, left, [found.returned for found in matched], Zip(asked))
    counts = sum((found.counts for found in matched), Counts())
    made = joined(work, [*parts, *(found.behind for found in matched if found.behind)])
    done(work, dealt, [found.returned for found in matched])
    return made, replace(counts, left=sum(f.num_live for f in sides.left), right=sum(f.num_live for f in sides.right))


@dataclass(frozen=True)
class Pair:
    """What of both tables has keys of the same buckets."""

    number: int
    left: tuple[Dealt, ...]
    right: tuple[Dealt, ...]
    size: int

    @property
    def path(self) -> str:
        return f"buckets of portion {self.number}"


def _pairs(found: Sequence[Portion], num_left: int, apart: bool) -> list[Pair]:
    made: list[Pair] = []
    for portion in found:
        left, right = portion.dealt[:num_left], portion.dealt[num_left:]
        for files in by_bytes(left) if apart else [left]:
            made.append(Pair(len(made), files, right, portion.size))
    return made


@dataclass(frozen=True)
class Scatter:
    """A fragment of either table -> keys and places of its rows, of the right one's with the columns that are wanted, dealt by key.

    A row with a missing key matches nothing, and stays at home where it can.
    """

    store: Store
    path: str
    asked: Matching
    num_buckets: int

    def __call__(self, source: Source) -> Dealt:
        path = f"{self.path}/deal-{'lr'[source.side]}-{source.number:05d}.arrows"
        return deal(self.store, path, self.num_buckets, self._dealt(source))

    def _dealt(self, source: Source) -> Iterator[tuple[pa.Table, Any]]:
        on = self.asked.right_on if source.side else self.asked.left_on
        for rows, at in placed(self.store, source, self.asked.right_reads if source.side else self.asked.left_on):
            made = as_keys(rows, on).append_column(AT, at)
            if source.side:
                for name in self.asked.carried:
                    made = made.append_column(f"r:{name}", rows.column(name))
            if not source.side or self.asked.how != "full":
                made = made.filter(self.asked.has_keys(made))
            yield made, partition_of(made.select(self.asked.keys), self.num_buckets, self.asked.types)


@dataclass(frozen=True)
class Found:
    """What one task found of its buckets."""

    returned: Dealt
    counts: Counts
    behind: Part | None
    """Of a full join: the rows of the right table without a match, written."""


@dataclass(frozen=True)
class Match:
    """Buckets of both tables -> the right columns for each left row that has a match, given back."""

    store: Store
    path: str
    exchange: str
    asked: Matching
    total_pieces: int

    def __call__(self, pair: Pair) -> Found:
        left, right = collect(self.store, pair.left), collect(self.store, pair.right)
        left = self._none(0) if left is None else left
        right = self._none(1) if right is None else right
        found = matches(self.asked, left, right)
        returned = right_rows(self.asked, right, found).add_column(0, AT, left.column(AT).take(found.left))
        behind = None
        if self.asked.how == "full":
            behind = write_part(self.store, self.path, self.total_pieces + pair.number, self.asked.alone(right, found))
        back = give_back(self.store, f"{self.exchange}/back-{pair.number:05d}.arrows", returned, self.total_pieces)
        return Found(back, found.counts, behind)

    def _none(self, side: int) -> pa.Table:
        schema, on = (self.asked.right, self.asked.right_on) if side else (self.asked.left, self.asked.left_on)
        made = as_keys(schema.empty_table(), on).append_column(AT, pa.array([], pa.int64()))
        for name in self.asked.carried if side else ():
            made = made.append_column(f"r:{name}", pa.array([], schema.field(name).type))
        return made


@dataclass(frozen=True)
class Zip:
    """A piece of the left table and what came back for it -> the joined rows."""

    asked: Matching

    def __call__(self, rows: pa.Table, returned: pa.Table | None) -> tuple[pa.Table, None]:
        return zipped(self.asked, rows, returned), None


@dataclass(frozen=True)
class Broadcast:
    """A fragment of the left table -> its rows with their matches; the right table is read whole."""

    store: Store
    path: str
    asked: Matching
    right: Sequence[Fragment]

    def __call__(self, source: Source) -> list[Part]:
        right = read_right(self.store, self.asked, self.right)
        made = []
        for number, rows in enumerate(pieces(self.store, source.fragment)):
            joined_rows, counts = whole(self.asked, rows, right)
            told = replace(counts, right=counts.right if source.first_piece + number == 0 else 0)
            made.append(write_part(self.store, self.path, source.first_piece + number, joined_rows, told.as_tuple()))
        return made


@dataclass(frozen=True)
class Whole:
    """All fragments of two small tables -> the joined rows."""

    store: Store
    path: str
    asked: Matching

    def __call__(self, sides: Sides) -> Part:
        left = stacked([self.asked.left.empty_table(), *(piece for f in sides.left for piece in pieces(self.store, f))])
        right = read_right(self.store, self.asked, sides.right)
        rows, counts = whole(self.asked, left, right)
        return write_part(self.store, self.path, 0, rows, counts.as_tuple())


def read_right(store: Store, asked: Matching, fragments: Sequence[Fragment]) -> pa.Table:
    """Keys and wanted columns of the right table."""
    names = asked.right_reads
    read = [piece for fragment in fragments for piece in pieces(store, fragment, names)]
    rows = stacked([pa.schema([asked.right.field(name) for name in names]).empty_table(), *read])
    made = as_keys(rows, asked.right_on).append_column(AT, places(0, rows.num_rows))
    for name in asked.carried:
        made = made.append_column(f"r:{name}", rows.column(name))
    return made


def whole(asked: Matching, left: pa.Table, right: pa.Table) -> tuple[pa.Table, Counts]:
    """Left rows that are all there joined with all right rows."""
    keys = as_keys(left, asked.left_on).append_column(AT, places(0, left.num_rows))
    found = matches(asked, keys, right)
    returned = right_rows(asked, right, found).add_column(0, AT, pa.array(found.left, pa.int64()))
    rows = zipped(asked, left, returned)
    if asked.how == "full":
        rows = pa.concat_tables([rows, asked.alone(right, found)])
    return rows, replace(found.counts, left=left.num_rows, right=right.num_rows)
