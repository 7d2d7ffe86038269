"""The rows of all items as one table: in the items' order, the item's own columns first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.artifact import File
from raypipe.core.errors import DataError
from raypipe.core.item import Item as Kept
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.function.columns import agreed, as_agreed
from raypipe.data.item.item import Item
from raypipe.data.item.result import declared, read
from raypipe.data.map import map_fragments
from raypipe.data.rows import FRAGMENT_ROWS, Written, fragment_path

if TYPE_CHECKING:
    from raypipe.core.step import Work
    from raypipe.core.store import Store


def gathered(
    work: Work, target: str, items: Sequence[Item], own: pa.Table, kept: Mapping[str, Kept], types: Mapping[str, str] | None
) -> Written:
    """`own`: the items' columns, a row each; `kept`: what each gave, by key. DataError naming two items that gave unlike columns."""
    given = _agreed(work.store, target, items, kept) if types is None else declared(types)
    schema = pa.schema([*own.schema, *given]).remove_metadata()
    groups = list(_groups(items, own, kept))
    if not groups:
        return Written([write_fragment(work.store, fragment_path(work.path, 0), schema.empty_table())], schema, [])
    return Written(map_fragments(_Write(work.store, work.path, given, schema), groups, inline=work.inline), schema, [])


def _agreed(store: Store, target: str, items: Sequence[Item], kept: Mapping[str, Kept]) -> pa.Schema:
    """The columns that all gave. They are read once for each kind of columns."""
    schema, first, seen = None, "", set()
    for item in items:
        one = kept[item.key]
        if (not one.num_rows and one.file is None) or one.columns in seen:
            continue
        seen.add(one.columns)
        try:
            own = read(store, one.file).schema if one.file is not None else pa.schema([])
            schema, first = agreed(schema, own), first or str(item)
        except DataError as error:
            raise DataError(
                f"{target} gave other columns for item {item} than for item {first}: {error}. `gives` says types for all"
            ) from error
    return schema if schema is not None else pa.schema([])


@dataclass(frozen=True)
class _Part:
    """Some rows of an item."""

    row: int
    """The item's among the own columns of the group."""
    file: File | None
    """None where it has no columns but the item's own."""
    first_row: int
    num_rows: int


@dataclass
class _Group:
    """What becomes one fragment."""

    number: int
    own: pa.Table
    parts: list[_Part] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"fragment {self.number}"


def _groups(items: Sequence[Item], own: pa.Table, kept: Mapping[str, Kept]) -> Iterator[_Group]:
    """At most FRAGMENT_ROWS rows each: the rows of a large item are parted."""
    waiting: list[_Part] = []
    number = filled = 0
    for item in items:
        one = kept[item.key]
        at = 0
        while at < one.num_rows:
            size = min(one.num_rows - at, FRAGMENT_ROWS - filled)
            waiting.append(_Part(item.number, one.file, one.first_row + at, size))
            at, filled = at + size, filled + size
            if filled == FRAGMENT_ROWS:
                yield _group(number, own, waiting)
                waiting, filled, number = [], 0, number + 1
    if waiting:
        yield _group(number, own, waiting)


def _group(number: int, own: pa.Table, parts: list[_Part]) -> _Group:
    first, last = parts[0].row, parts[-1].row
    moved = [_Part(part.row - first, part.file, part.first_row, part.num_rows) for part in parts]
    return _Group(number, own.slice(first, last - first + 1).combine_chunks(), moved)


@dataclass(frozen=True)
class _Write:
    """Writes a group as a fragment, in a task."""

    store: Store
    path: str
    given: pa.Schema
    schema: pa.Schema

    def __call__(self, group: _Group) -> Fragment:
        files: dict[str, pa.Table] = {}
        rows, places = [], []
        for part in group.parts:
            places += [part.row] * part.num_rows
            if part.file is None:
                continue
            if part.file.path not in files:
                files[part.file.path] = as_agreed(read(self.store, part.file), self.given)
            rows.append(files[part.file.path].slice(part.first_row, part.num_rows))
        made = pa.concat_tables(rows).combine_chunks().columns if rows else []
        own = group.own.take(pa.array(places, pa.int64()))
        table = pa.Table.from_arrays([*own.columns, *made], schema=self.schema)
        return write_fragment(self.store, fragment_path(self.path, group.number), table)
