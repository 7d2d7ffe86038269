"""One row of each that are equal: looked for in each fragment first, then among what is left of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from raypipe.core.step import Work
from raypipe.data.fragment.conform import stacked
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.map import map_fragments
from raypipe.data.shuffle.engine import as_columns, as_keys, partition_of, select
from raypipe.data.shuffle.exchange import Dealt, collect, deal, pieces
from raypipe.data.shuffle.order import Order
from raypipe.data.shuffle.places import AT, Source, by_place, give_back, local, placed, places, rewritten, sources, total_pieces
from raypipe.data.shuffle.stages import Part, Portion, buckets_for, done, exchange, is_small, joined, over_buckets, write_part

if TYPE_CHECKING:
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Same:
    """When rows are the same, and which of them is kept. It travels to the tasks."""

    by: tuple[str, ...]
    order_by: tuple[Order, ...]
    keep: Literal["first", "last"]

    @property
    def reads(self) -> list[str]:
        return list(dict.fromkeys([*self.by, *(by.column for by in self.order_by)]))

    @property
    def keys(self) -> list[str]:
        return [f"k{i}" for i in range(len(self.by))]


def distinct(work: Work, asked: Same, schema: pa.Schema, fragments: Sequence[Fragment], most_bytes: int) -> Part:
    """The rows that are kept, in the order of the table."""
    if is_small(fragments, schema):
        return joined(work, map_fragments(Whole(work.store, work.path, asked), [fragments], inline=work.inline))
    given = sources(fragments)
    needed = pa.schema([*(schema.field(name) for name in asked.reads), pa.field(AT, pa.int64())])
    work.alive()
    dealt = map_fragments(Scatter(work.store, exchange(work), asked, buckets_for(fragments, needed)), given, inline=work.inline)
    choose = Choose(work.store, exchange(work), asked, total_pieces(given))
    returned = over_buckets(work, choose, dealt, asked.by, most_bytes)
    made = joined(work, rewritten(work, given, returned, Keep()))
    done(work, dealt, returned)
    return made


def inside(asked: Same, rows: pa.Table, at: Any) -> pa.Table:
    """What goes into the exchange: keys, the columns to order by, places."""
    made, orders = as_keys(rows, asked.by), as_columns(rows, [by.column for by in asked.order_by])
    for i, by in enumerate(asked.order_by):
        made = made.append_column(f"o{i}", orders.column(by.column))
    return made.append_column(AT, at)


def chosen(asked: Same, rows: pa.Table) -> pa.Table:
    """Of rows as `inside` makes them, those that are kept."""
    last = asked.keep == "last"
    by = ", ".join(asked.keys)
    if not asked.order_by:
        return select(f"select {by}, {'max' if last else 'min'}({AT}) as {AT} from rows group by {by}", {"rows": rows}, "equal rows")
    orders = [order.sql(f"o{i}", backwards=last) for i, order in enumerate(asked.order_by)]
    window = f"over (partition by {by} order by {', '.join(orders)}, {AT} {'desc' if last else 'asc'})"
    return select(f"select * from rows qualify row_number() {window} = 1", {"rows": rows}, "equal rows")


@dataclass(frozen=True)
class Scatter:
    """A fragment -> of each of its pieces one row of each that are equal, dealt by key."""

    store: Store
    path: str
    asked: Same
    num_buckets: int

    def __call__(self, source: Source) -> Dealt:
        def dealt() -> Iterator[tuple[pa.Table, Any]]:
            for rows, at in placed(self.store, source, self.asked.reads):
                made = by_place(chosen(self.asked, inside(self.asked, rows, at)))
                yield made, partition_of(made.select(self.asked.keys), self.num_buckets)

        return deal(self.store, f"{self.path}/deal-{source.number:05d}.arrows", self.num_buckets, dealt())


@dataclass(frozen=True)
class Choose:
    """Buckets that belong together -> the places of the rows that are kept, given back."""

    store: Store
    path: str
    asked: Same
    total_pieces: int

    def __call__(self, portion: Portion) -> Dealt:
        found = collect(self.store, portion.dealt)
        kept = chosen(self.asked, found).select([AT]) if found is not None else pa.table({AT: pa.array([], pa.int64())})
        return give_back(self.store, f"{self.path}/back-{portion.number:05d}.arrows", kept, self.total_pieces)


@dataclass(frozen=True)
class Keep:
    """A piece and the places that came back for it -> those of its rows."""

    def __call__(self, rows: pa.Table, returned: pa.Table | None) -> tuple[pa.Table, None]:
        import numpy as np

        kept = np.zeros(rows.num_rows, bool)
        if returned is not None:
            kept[local(returned)] = True
        return rows.filter(pa.array(kept)), None


@dataclass(frozen=True)
class Whole:
    """All fragments of a small table -> the rows that are kept."""

    store: Store
    path: str
    asked: Same

    def __call__(self, fragments: Sequence[Fragment]) -> Part:
        rows = stacked([piece for fragment in fragments for piece in pieces(self.store, fragment)])
        kept = chosen(self.asked, inside(self.asked, rows, places(0, rows.num_rows)))
        return write_part(self.store, self.path, 0, Keep()(rows, kept)[0])
