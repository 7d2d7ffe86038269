"""A row-wise function over every fragment of a table, written as the fragments of a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.core.store import Store
from raypipe.data.fragment.fragment import Fragment, read_fragment, write_fragment
from raypipe.data.function.fault import placed
from raypipe.data.map import map_fragments
from raypipe.data.reconcile import reconciled
from raypipe.data.types import type_name

FRAGMENT_ROWS = 500_000
"""Rows of a fragment where a step decides: 37 MB at 12 columns, and its kernel a few times that."""

RowFunction = Callable[[pa.Table], "tuple[pa.Table, Json]"]
"""Rows in, rows out, and what is to be known of them: None, or a mapping, whose `dropped` says how many are not among those that come out.
It travels to a task."""


@dataclass(frozen=True)
class Written:
    """The fragments that a function made, in order, their common schema, and what it said of each."""

    fragments: list[Fragment]
    schema: pa.Schema
    notes: list[Json]

    @property
    def num_rows(self) -> int:
        return sum(f.num_rows for f in self.fragments)


def map_rows(work: Work, function: RowFunction, fragments: Sequence[Fragment], columns: Sequence[str] | None = None) -> Written:
    """`function` of each fragment's rows, one fragment out for each in. DataError where they come out with different columns."""
    kernel = _Rewrite(work.store, work.path, function, columns)
    results = map_fragments(kernel, [Item(number, fragment) for number, fragment in enumerate(fragments)], inline=work.inline)
    return gather([(r.fragment, r.schema, r.note) for r in results])


def write_rows(store: Store, path: str, table: pa.Table, first: int = 0) -> list[Fragment]:
    """A table in memory as fragments of at most FRAGMENT_ROWS, numbered from `first`; one, empty, where it has no rows."""
    starts = range(0, max(table.num_rows, 1), FRAGMENT_ROWS)
    return [write_fragment(store, fragment_path(path, first + i), table.slice(at, FRAGMENT_ROWS)) for i, at in enumerate(starts)]


def fragment_path(path: str, number: int) -> str:
    return f"{path}/part-{number:05d}.parquet"


def gather(results: Sequence[tuple[Fragment, pa.Schema, Json]]) -> Written:
    """Fragments made one by one as one table's. Raises DataError where their columns differ."""
    schema = results[0][1]
    for fragment, other, _ in results[1:]:
        if not other.equals(schema):
            raise DataError(f"{fragment.path}: the columns differ from those of the first fragment: {_differs(schema, other)}")
    return Written([f for f, _, _ in results], schema, [note for _, _, note in results])


@dataclass(frozen=True)
class Item:
    """A file with its number among those that are worked on."""

    number: int
    fragment: Fragment

    @property
    def size(self) -> int:
        return self.fragment.size

    @property
    def path(self) -> str:
        return self.fragment.path


@dataclass(frozen=True)
class _Result:
    fragment: Fragment
    schema: pa.Schema
    note: Json


@dataclass(frozen=True)
class _Rewrite:
    store: Store
    path: str
    function: RowFunction
    columns: Sequence[str] | None

    def __call__(self, item: Item) -> _Result:
        rows = read_fragment(self.store, item.fragment, self.columns)
        with placed(item.path, range(1, rows.num_rows + 1)):
            table, note = self.function(rows)
        fragment = write_fragment(self.store, fragment_path(self.path, item.number), table)
        reconciled(item.path, item.fragment.num_live, fragment.num_rows, dropped=(note or {}).get("dropped", 0))
        return _Result(fragment, table.schema, note)


def _differs(a: pa.Schema, b: pa.Schema) -> str:
    names: dict[str, Any] = dict.fromkeys([*a.names, *b.names])
    differing = [n for n in names if n not in a.names or n not in b.names or a.field(n).type != b.field(n).type]
    if not differing:
        return "their order"
    return ", ".join(f"'{n}' {_type(a, n)} and {_type(b, n)}" for n in differing)


def _type(schema: pa.Schema, name: str) -> str:
    return type_name(schema.field(name).type) if name in schema.names else "missing"
