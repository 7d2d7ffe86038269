"""A fitted chain over one row: Python's values from entry to entry, Arrow's arrays only where it begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.transform.entry import Drop, Entry, Row, RowEntry, Select
from raypipe.data.types import value_type

Read = Callable[[Any], Any]
"""From a scalar to Python's value."""


@dataclass(frozen=True)
class Link:
    """One entry on the way of a row."""

    name: str
    one: Callable[[Row], Row] | None
    """None: it has no way of its own for a row, and gets arrays of one value."""
    entry: Entry
    fitted: Json
    schema: pa.Schema
    """The columns in front of it."""


@dataclass(frozen=True)
class OneRow:
    """The way of one row through a chain, laid out when the chain is loaded."""

    links: tuple[Link, ...]
    reads: tuple[tuple[int, str, Read], ...]
    """The inputs that a link needs as values: place, name, and how to read them."""
    features: tuple[str, ...]
    groups: tuple[tuple[pa.DataType, tuple[str, ...]], ...]
    """The features by type: those of one type are made at once and sliced, in a third of the time."""

    def __call__(self, table: pa.Table) -> list[pa.Array]:
        """The features of a table of one row; its columns are the chain's inputs."""
        columns = table.columns
        row = {name: read(columns[i][0]) for i, name, read in self.reads}
        arrays: dict[str, Any] = dict(zip(table.column_names, columns, strict=True))
        made: Row = {}
        for link in self.links:
            if link.one is None:
                _follow_arrays(link, row, made, arrays)
                continue
            written = link.one(row)
            row.update(written)
            made.update(written)
        for type, names in self.groups:
            present = [name for name in names if name in made]
            array = _array_of([made[name] for name in present], type)
            for i, name in enumerate(present):
                arrays[name] = array.slice(i, 1)
        return [arrays[name] for name in self.features]


def one_row(entries: Mapping[str, Entry], fitted: Mapping[str, Json], schemas: Sequence[pa.Schema]) -> OneRow:
    """`schemas`: the columns in front of each entry, and behind the last."""
    links = []
    for (name, entry), schema in zip(entries.items(), schemas, strict=False):
        # Select and Drop need nothing done: only the features are taken of a row.
        if not isinstance(entry, Select | Drop):
            one = cast(RowEntry, entry).one(schema, fitted[name]) if hasattr(entry, "one") else None
            links.append(Link(name, one, entry, fitted[name], schema))
    names = {name for link in links if link.one is not None for name in link.entry.reads() or ()}
    reads = tuple((i, f.name, _read(f.type)) for i, f in enumerate(schemas[0]) if f.name in names)
    groups: dict[pa.DataType, list[str]] = {}
    for field in schemas[-1]:
        groups.setdefault(field.type, []).append(field.name)
    return OneRow(tuple(links), reads, tuple(schemas[-1].names), tuple((type, tuple(names)) for type, names in groups.items()))


def _follow_arrays(link: Link, row: Row, made: Row, arrays: dict[str, Any]) -> None:
    frame = {f.name: _array(made[f.name], f.type) if f.name in made else _one_chunk(arrays[f.name]) for f in link.schema}
    try:
        after = link.entry.apply(frame, link.fitted)
    except DataError as error:
        raise DataError("\n".join(f"transform.{link.name}: {line}" for line in str(error).splitlines())) from error
    for name, array in after.items():
        if array is not frame.get(name):
            made.pop(name, None)
            arrays[name] = array
            row[name] = _read(array.type)(array[0])


def _array(value: Any, type: pa.DataType) -> pa.Array:
    return _array_of([value], type)


def _array_of(values: list[Any], type: pa.DataType) -> pa.Array:
    return pa.array(values, type)


def _one_chunk(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _read(type: pa.DataType) -> Read:
    """How a scalar of that type is read: times as integers, for Python's own have microseconds only."""
    if pa.types.is_temporal(value_type(type)):
        return _ticks_of_dictionary if pa.types.is_dictionary(type) else _ticks
    return _value


def _value(scalar: Any) -> Any:
    return scalar.as_py()


def _ticks(scalar: Any) -> int | None:
    return scalar.value if scalar.is_valid else None


def _ticks_of_dictionary(scalar: Any) -> int | None:
    return _ticks(scalar.value) if scalar.is_valid else None
