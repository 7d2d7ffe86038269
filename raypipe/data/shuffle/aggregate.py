"""Groups of rows by the values of columns, and aggregates of each group: computed piece by piece, then joined, wherever that can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.step import Work
from raypipe.data.expression import Expression
from raypipe.data.fragment.conform import stacked
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.map import map_fragments
from raypipe.data.shuffle.engine import as_columns, as_keys, column_types, from_keys, partition_of, select
from raypipe.data.shuffle.exchange import Dealt, collect, deal, pieces
from raypipe.data.shuffle.expression import columns_read, renamed, text, tree
from raypipe.data.shuffle.merge import Halves, halves
from raypipe.data.shuffle.stages import (
    Part,
    Portion,
    buckets_for,
    done,
    exchange,
    is_small,
    joined,
    over_buckets,
    over_fragments,
    write_part,
)

if TYPE_CHECKING:
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Grouping:
    """What is asked for, and how it is computed. It travels to the tasks."""

    schema: pa.Schema
    """Of the table that is read."""
    by: tuple[str, ...]
    columns: Mapping[str, str]
    """Name of a result -> SQL expression of aggregates and of columns of `by`."""
    where: str | None = None
    types: tuple[str, ...] = ()
    """Of the results, as DuckDB has them."""
    halves: Halves | None = None
    """None: the rows of a group must come together."""
    inner: Mapping[str, str] = field(default_factory=dict)
    """Column that is read -> its name inside: k0, k1, ... where it is a key, else c0, c1, ..."""

    @property
    def keys(self) -> list[str]:
        return [f"k{i}" for i in range(len(self.by))]

    @property
    def reads(self) -> list[str]:
        """The columns that must be read."""
        where = Expression(self.where).columns if self.where else []
        return list(dict.fromkeys([*self.by, *self.inner, *where])) or self.schema.names[:1]


def grouping(schema: pa.Schema, by: Sequence[str], columns: Mapping[str, str], where: str | None = None) -> Grouping:
    """DataError where an expression does not fit the columns' types, or is none of aggregates and keys."""
    used = dict.fromkeys(name for sql in columns.values() for name in columns_read(tree(sql)))
    inner = {name: f"k{by.index(name)}" if name in by else f"c{i}" for i, name in enumerate(used)}
    asked = Grouping(schema, tuple(by), dict(columns), where, inner=inner)
    empty = _inside(asked, _none(asked))
    selected = {name: text(renamed(tree(sql), inner)) for name, sql in columns.items()}
    types = column_types(selected, _by(asked), empty, {inside: name for name, inside in inner.items()}, columns)
    return Grouping(schema, asked.by, asked.columns, where, types, halves(list(columns.values()), inner, empty), inner)


def aggregated(asked: Grouping, rows: pa.Table) -> pa.Table:
    """The groups of rows that are all there, ordered by key."""
    return _of_inside(asked, _inside(asked, _met(asked, rows)))


def merged(asked: Grouping, rows: pa.Table) -> pa.Table:
    """The groups of pieces' halves that are all there, ordered by key."""
    assert asked.halves is not None
    keys = ", ".join(asked.keys) or "1"
    means = [f", {sql.replace('{keys}', keys)} as {name}" for name, sql in asked.halves.means.items()]
    numbered = rows.append_column("raypipe_row", pa.array(range(rows.num_rows), pa.int64()))
    return _finished(asked, asked.halves.whole, numbered, f"(select *{''.join(means)} from rows)")


def partial(asked: Grouping, rows: pa.Table) -> pa.Table:
    """What goes into the exchange of a piece: halves of its groups, or where there are none its rows as far as they are needed."""
    inside = _inside(asked, _met(asked, rows))
    if asked.halves is None:
        return inside
    named = [f"{sql} as p{i}" for i, sql in enumerate(asked.halves.partial)]
    # A piece without rows has no first one, and so on: it says nothing, where all rows are one group too.
    sql = f"select {', '.join([*asked.keys, *named])} from rows {_by(asked)} having count(*) > 0"
    return select(sql, {"rows": inside}, "the groups of a piece")


def aggregate(work: Work, asked: Grouping, fragments: Sequence[Fragment], most_bytes: int) -> Part:
    """The groups of a table, ordered by key, where they are too many for one task by the key's hash before."""
    needed = pa.schema([asked.schema.field(name) for name in asked.reads])
    if is_small(fragments, needed):
        return joined(work, map_fragments(Whole(work.store, work.path, asked), [fragments], inline=work.inline))
    work.report("groups of each fragment, joined by key" if asked.halves else "the rows of each group are brought together")
    dealt = over_fragments(work, Deal(work.store, exchange(work), asked, buckets_for(fragments, needed)), fragments)
    made = joined(work, over_buckets(work, Gather(work.store, work.path, asked), dealt, asked.by, most_bytes))
    done(work, dealt)
    return made


@dataclass(frozen=True)
class Deal:
    """A fragment -> its pieces' halves, or rows, dealt by key."""

    store: Store
    path: str
    asked: Grouping
    num_buckets: int

    def __call__(self, item: Any) -> Dealt:
        def dealt() -> Iterator[tuple[pa.Table, Any]]:
            for rows in pieces(self.store, item.fragment, self.asked.reads):
                made = partial(self.asked, rows)
                yield made, partition_of(made.select(self.asked.keys), self.num_buckets)

        return deal(self.store, f"{self.path}/deal-{item.number:05d}.arrows", self.num_buckets, dealt())


@dataclass(frozen=True)
class Gather:
    """Buckets that belong together -> their groups, written."""

    store: Store
    path: str
    asked: Grouping

    def __call__(self, portion: Portion) -> Part:
        found = collect(self.store, portion.dealt)
        if found is None:
            found = partial(self.asked, _none(self.asked))
        groups = merged(self.asked, found) if self.asked.halves else _of_inside(self.asked, found)
        return write_part(self.store, self.path, portion.number, groups)


@dataclass(frozen=True)
class Whole:
    """All fragments of a small table -> its groups, written."""

    store: Store
    path: str
    asked: Grouping

    def __call__(self, fragments: Sequence[Fragment]) -> Part:
        read = [piece for fragment in fragments for piece in pieces(self.store, fragment, self.asked.reads)]
        return write_part(self.store, self.path, 0, aggregated(self.asked, stacked([_none(self.asked), *read])))


def _none(asked: Grouping) -> pa.Table:
    return pa.schema([asked.schema.field(name) for name in asked.reads]).empty_table()


def _met(asked: Grouping, rows: pa.Table) -> pa.Table:
    return rows.filter(Expression(asked.where).holds(rows)) if asked.where else rows


def _inside(asked: Grouping, rows: pa.Table) -> pa.Table:
    """Keys and columns under the names that they have inside; where there are none, something that rows can be counted by."""
    made = as_keys(rows, asked.by)
    others = [name for name in asked.inner if name not in asked.by]
    plain = as_columns(rows, others)
    for name in others:
        made = made.append_column(asked.inner[name], plain.column(name))
    return made if made.num_columns else pa.table({"none": pa.nulls(rows.num_rows)})


def _of_inside(asked: Grouping, inside: pa.Table) -> pa.Table:
    return _finished(asked, [text(renamed(tree(sql), asked.inner)) for sql in asked.columns.values()], inside, "rows")


def _by(asked: Grouping) -> str:
    return f"group by {', '.join(asked.keys)}" if asked.by else ""


def _finished(asked: Grouping, results: Sequence[str], rows: pa.Table, source: str) -> pa.Table:
    ours = [f"cast({sql} as {_ours(type_)}) as r{i}" for i, (sql, type_) in enumerate(zip(results, asked.types, strict=True))]
    order = f"order by {', '.join(f'{key} nulls last' for key in asked.keys)}" if asked.by else ""
    sql = f"select {', '.join([*asked.keys, *ours])} from {source} {_by(asked)} {order}"
    found = select(sql, {"rows": rows}, "the aggregates")
    keys = [from_keys(found.column(key), asked.schema.field(name).type) for key, name in zip(asked.keys, asked.by, strict=True)]
    fields = [asked.schema.field(name).remove_metadata() for name in asked.by]
    values = [found.column(f"r{i}") for i in range(len(results))]
    fields += [pa.field(name, value.type) for name, value in zip(asked.columns, values, strict=True)]
    return pa.Table.from_arrays([*keys, *values], schema=pa.schema(fields))


def _ours(type_: str) -> str:
    """Sums of integers are int64, where DuckDB has 128 bits: one that does not fit is refused."""
    return {"HUGEINT": "BIGINT", "UHUGEINT": "UBIGINT"}.get(type_, type_)
