"""Values computed of each row's neighbours: SQL window functions over the rows of equal keys, in an order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.data.fragment.conform import stacked
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.map import map_fragments
from raypipe.data.shuffle.engine import as_columns, as_keys, column_types, partition_of, select
from raypipe.data.shuffle.exchange import Dealt, collect, deal, pieces
from raypipe.data.shuffle.expression import Node, columns_read, is_aggregate, nodes, renamed, replaced, text, tree
from raypipe.data.shuffle.order import Order
from raypipe.data.shuffle.places import AT, Source, by_place, give_back, one_each, placed, places, rewritten, sources, total_pieces
from raypipe.data.shuffle.stages import Part, Portion, buckets_for, done, exchange, is_small, joined, over_buckets, write_part
from raypipe.data.split import columns as rule_columns

if TYPE_CHECKING:
    from raypipe.core.store import Store

RANKS = ("rank", "dense_rank", "percent_rank", "cume_dist")
"""Rows of equal order have equal ranks; everywhere else ties are told apart by the order of the table."""
PLACES = ("row_number", "lag", "lead", "ntile")
AHEAD = ("lead", "ntile", "percent_rank", "cume_dist", "fill")
"""Functions that look at rows that come later, whatever their frame."""


@dataclass(frozen=True)
class Windows:
    """What is asked for. It travels to the tasks."""

    partition_by: tuple[str, ...]
    order_by: tuple[Order, ...]
    make: Mapping[str, str]
    inner: Mapping[str, str] = field(default_factory=dict)
    """Column that an expression or the order reads -> its name inside."""
    types: tuple[str, ...] = ()
    """Of the new columns, as DuckDB has them."""

    @property
    def reads(self) -> list[str]:
        return list(dict.fromkeys([*self.partition_by, *self.inner]))

    @property
    def keys(self) -> list[str]:
        return [f"k{i}" for i in range(len(self.partition_by))]


def windows(schema: pa.Schema, partition_by: Sequence[str], order_by: Sequence[Order], make: Mapping[str, str]) -> Windows:
    """DataError where an expression does not fit the columns' types."""
    used = [*(by.column for by in order_by), *(name for sql in make.values() for name in columns_read(tree(sql)))]
    inner = {name: f"c{i}" for i, name in enumerate(dict.fromkeys(used))}
    asked = Windows(tuple(partition_by), tuple(order_by), dict(make), inner)
    empty = inside(asked, pa.schema([schema.field(name) for name in asked.reads]).empty_table(), places(0, 0))
    types = column_types({name: _sql(asked, name) for name in make}, "", empty, {v: k for k, v in inner.items()}, make)
    return Windows(asked.partition_by, asked.order_by, asked.make, inner, types)


def problems(sql: str) -> list[str]:
    """What is wrong with an expression that should be of windows whose partition and order the step says."""
    try:
        found = tree(sql)
    except DataError:
        return []
    frames = [node for node in nodes(found) if node["class"] == "WINDOW"]
    bare = [node["function_name"] for node in nodes(found) if is_aggregate(node)]
    if bare:
        return [f"'{sql}': {bare[0]} is over no window: write {bare[0]}(...) over (), or over (rows between 3 preceding and 1 preceding)"]
    if not frames:
        return [f"'{sql}' has no window: a value of one row alone is a Derive's"]
    if any(node["partitions"] or node["orders"] for node in frames):
        return [f"'{sql}': the partition and the order of a window are the step's: `partition_by` and `order_by`"]
    return []


def looks_ahead(asked: Windows, split: Json) -> str | None:
    """Why rows of a later part of the split would feed rows of an earlier one; None where they would not."""
    if all(name in asked.partition_by for name in rule_columns(split)):
        return None
    names = " and ".join(f"'{name}'" for name in rule_columns(split))
    if split["by"] != "time":
        return f"rows are split by {names}, which is not in `partition_by`: rows of the test part would feed rows of training"
    if not asked.order_by or asked.order_by[0].column != split["on"] or asked.order_by[0].descending:
        return (
            f"rows are split by the time {names}, which is not what `order_by` begins with, ascending: later rows would feed earlier ones"
        )
    ahead = [name for name, sql in asked.make.items() if any(_is_ahead(n) for n in nodes(tree(sql)) if n["class"] == "WINDOW")]
    return f"'{asked.make[ahead[0]]}' looks at rows that come later: rows of the test part would feed rows of training" if ahead else None


def windowed(asked: Windows, rows: pa.Table) -> pa.Table:
    """The place of each row, and the new columns."""
    columns = [f"{_sql(asked, name)} as w{i}" for i, name in enumerate(asked.make)]
    found = select(f"select {', '.join([AT, *columns])} from rows", {"rows": rows}, "the windows")
    casts = [f"cast(w{i} as {'BIGINT' if type_ == 'HUGEINT' else type_}) as w{i}" for i, type_ in enumerate(asked.types)]
    return select(f"select {', '.join([AT, *casts])} from rows", {"rows": found}, "the windows") if "HUGEINT" in asked.types else found


def inside(asked: Windows, rows: pa.Table, at: Any) -> pa.Table:
    """What goes into the exchange: keys, the columns that are read, places."""
    made, plain = as_keys(rows, asked.partition_by), as_columns(rows, list(asked.inner))
    for name, inner in asked.inner.items():
        made = made.append_column(inner, plain.column(name))
    return pa.table({AT: at}) if not made.num_columns else made.append_column(AT, at)


def window(work: Work, asked: Windows, schema: pa.Schema, fragments: Sequence[Fragment], most_bytes: int) -> Part:
    """The table with the new columns, its rows as they were."""
    if is_small(fragments, schema):
        return joined(work, map_fragments(Whole(work.store, work.path, asked), [fragments], inline=work.inline))
    given = sources(fragments)
    needed = pa.schema([*(schema.field(name) for name in asked.reads), pa.field(AT, pa.int64())])
    work.alive()
    scatter = Scatter(work.store, exchange(work), asked, buckets_for(fragments, needed))
    dealt = map_fragments(scatter, given, inline=work.inline)
    compute = Compute(work.store, exchange(work), asked, total_pieces(given))
    returned = over_buckets(work, compute, dealt, asked.partition_by, most_bytes)
    made = joined(work, rewritten(work, given, returned, Append(asked)))
    done(work, dealt, returned)
    return made


@dataclass(frozen=True)
class Scatter:
    """A fragment -> what windows need of it, dealt by key."""

    store: Store
    path: str
    asked: Windows
    num_buckets: int

    def __call__(self, source: Source) -> Dealt:
        def dealt() -> Iterator[tuple[pa.Table, Any]]:
            for rows, at in placed(self.store, source, self.asked.reads):
                made = inside(self.asked, rows, at)
                yield made, partition_of(made.select(self.asked.keys), self.num_buckets)

        return deal(self.store, f"{self.path}/deal-{source.number:05d}.arrows", self.num_buckets, dealt())


@dataclass(frozen=True)
class Compute:
    """Buckets that belong together -> the new columns, given back."""

    store: Store
    path: str
    asked: Windows
    total_pieces: int

    def __call__(self, portion: Portion) -> Dealt:
        found = collect(self.store, portion.dealt)
        made = windowed(self.asked, found) if found is not None else pa.table({AT: pa.array([], pa.int64())})
        return give_back(self.store, f"{self.path}/back-{portion.number:05d}.arrows", made, self.total_pieces)


@dataclass(frozen=True)
class Append:
    """A piece and what came back for it -> the piece with its new columns."""

    asked: Windows

    def __call__(self, rows: pa.Table, returned: pa.Table | None) -> tuple[pa.Table, None]:
        made = one_each(rows, returned)
        if made is None:
            made = windowed(self.asked, inside(self.asked, rows, places(0, 0)))
        return appended(rows, made, list(self.asked.make)), None


@dataclass(frozen=True)
class Whole:
    """All fragments of a small table -> the same with the new columns."""

    store: Store
    path: str
    asked: Windows

    def __call__(self, fragments: Sequence[Fragment]) -> Part:
        rows = stacked([piece for fragment in fragments for piece in pieces(self.store, fragment)])
        made = by_place(windowed(self.asked, inside(self.asked, rows, places(0, rows.num_rows))))
        return write_part(self.store, self.path, 0, appended(rows, made, list(self.asked.make)))


def appended(rows: pa.Table, made: pa.Table, names: Sequence[str]) -> pa.Table:
    """The rows with the columns w0, w1, ... under their names, behind or in the place of one that is there."""
    for i, name in enumerate(names):
        column = made.column(f"w{i}")
        new = pa.field(name, column.type)
        place = rows.column_names.index(name) if name in rows.column_names else None
        rows = rows.append_column(new, column) if place is None else rows.set_column(place, new, column)
    return rows


def _sql(asked: Windows, name: str) -> str:
    """The expression with the step's partition and order in each window."""
    plain = renamed(tree(asked.make[name]), asked.inner)

    def change(node: Node) -> Node | None:
        if node["class"] != "WINDOW":
            return None
        return {**node, **_frame(asked, _is_told_apart(node))}

    return text(replaced(plain, change))


def _frame(asked: Windows, told_apart: bool) -> Node:
    orders = [by.sql(asked.inner[by.column]) for by in asked.order_by] + ([AT] if told_apart else [])
    partition = f"partition by {', '.join(asked.keys)}" if asked.keys else ""
    template = tree(f"sum(1) over ({partition} {'order by ' + ', '.join(orders) if orders else ''})")
    return {"partitions": template["partitions"], "orders": template["orders"]}


def _is_told_apart(node: Node) -> bool:
    """Whether ties matter: a frame that is counted in rows, or a function of places. A range or a rank holds them for equal."""
    name = node["function_name"].lower()
    ends = (node["start"], node["end"])
    return name in PLACES or (name not in RANKS and not any(str(end).endswith(("_RANGE", "_GROUPS")) for end in ends))


def _is_ahead(node: Node) -> bool:
    name = node["function_name"].lower()
    if name in ("row_number", "rank", "dense_rank"):
        return False
    if name == "lag":
        return not _is_backwards(node["arguments"])
    return name in AHEAD or not str(node["end"]).startswith(("CURRENT_ROW", "EXPR_PRECEDING"))


def _is_backwards(arguments: Sequence[Json]) -> bool:
    """Whether a lag's offset is a constant that is not below zero, or is left out."""
    if len(arguments) < 2:
        return True
    offset = cast(Any, arguments[1]["expression"])
    return offset["class"] == "CONSTANT" and not str(offset.get("literal", offset).get("text", "-")).startswith("-")
