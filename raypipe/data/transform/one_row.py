"""A fitted chain over one row: Python's values from entry to entry, Arrow's arrays only where it begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter, methodcaller
from struct import Struct, calcsize, error
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
class Packed:
    """How a row of numbers becomes a table at once: as the body of an Arrow IPC message, whose head is always the same. With 20 columns
    9 us, where an array for each takes 25."""

    schema: pa.Schema
    head: bytes
    body: Struct
    pick: Callable[[Row], tuple[Any, ...]]

    def table(self, row: Row) -> pa.Table | None:
        """None where a value is null, for which the message would be another."""
        try:
            body = self.body.pack(*self.pick(row))
        except (error, OverflowError):
            return None
        return pa.Table.from_batches([pa.ipc.read_record_batch(self.head + body, self.schema)])


@dataclass(frozen=True)
class OneRow:
    """The way of one row through a chain, laid out when the chain is loaded."""

    links: tuple[Link, ...]
    reads: tuple[tuple[int, str, Read], ...]
    """The inputs that are needed as values: place, name, and how to read them."""
    numbers: tuple[tuple[int, str, bool], ...]
    """Further ones, numbers, which are read at once, in a fifth of the time: place, name, and whether of an integer type."""
    places: tuple[int, ...]
    """Of `numbers`."""
    groups: tuple[tuple[pa.DataType, tuple[str, ...]], ...]
    """The features by type: those of one type are made at once and sliced."""
    features: pa.Schema
    names: tuple[str, ...]
    packed: Packed | None

    def __call__(self, table: pa.Table) -> pa.Table:
        """The features of a table of one row; its columns are the chain's inputs."""
        row = self._values(table)
        arrays: dict[str, Any] = {}
        # Where all features are values in the end, and no entry asks for arrays, what was written need not be kept apart.
        made: Row = row if self.packed is not None and all(link.one for link in self.links) else {}
        for link in self.links:
            if link.one is None:
                _follow_arrays(link, row, made, arrays, table)
                continue
            written = link.one(row)
            row.update(written)
            if made is not row:
                made.update(written)
        if self.packed is not None and (whole := self.packed.table(row)) is not None:
            return whole
        return pa.Table.from_arrays(self._arrays(made, arrays, table), schema=self.features)

    def _values(self, table: pa.Table) -> Row:
        row = {name: read(table.column(i)[0]) for i, name, read in self.reads}
        if not self.places:
            return row
        (batch,) = (batch for batch in table.select(self.places).to_batches() if batch.num_rows)
        doubles = batch.to_tensor(null_to_nan=True).to_numpy()[0].tolist()
        for (place, name, whole), value in zip(self.numbers, doubles, strict=True):
            # NaN may have been null, and a large integer another one.
            if value != value or (whole and not -_EXACT < value < _EXACT):
                row[name] = table.column(place)[0].as_py()
            else:
                row[name] = int(value) if whole else value
        return row

    def _arrays(self, made: Row, arrays: dict[str, Any], table: pa.Table) -> list[Any]:
        for type, names in self.groups:
            if present := [name for name in names if name in made]:
                array = _array_of([made[name] for name in present], type)
                arrays.update((name, array.slice(i, 1)) for i, name in enumerate(present))
        return [arrays[name] if name in arrays else table.column(name) for name in self.names]


def one_row(entries: Mapping[str, Entry], fitted: Mapping[str, Json], schemas: Sequence[pa.Schema]) -> OneRow:
    """`schemas`: the columns in front of each entry, and behind the last."""
    links = []
    for (name, entry), schema in zip(entries.items(), schemas, strict=False):
        # Select and Drop need nothing done: only the features are taken of a row.
        if not isinstance(entry, Select | Drop):
            one = cast(RowEntry, entry).one(schema, fitted[name]) if hasattr(entry, "one") else None
            links.append(Link(name, one, entry, fitted[name], schema))
    inputs, features = schemas[0], schemas[-1]
    packed = _packed(features)
    names = {name for link in links if link.one is not None for name in link.entry.reads() or ()}
    names |= set(features.names) if packed else set()
    needed = [(i, f) for i, f in enumerate(inputs) if f.name in names]
    numbers = tuple((i, f.name, pa.types.is_integer(f.type)) for i, f in needed if _is_plain_number(f.type))
    reads = tuple((i, f.name, _read(f.type)) for i, f in needed if not _is_plain_number(f.type))
    groups: dict[pa.DataType, list[str]] = {}
    for field in features:
        groups.setdefault(field.type, []).append(field.name)
    return OneRow(
        links=tuple(links),
        reads=reads,
        numbers=numbers,
        places=tuple(i for i, _, _ in numbers),
        groups=tuple((type, tuple(names)) for type, names in groups.items()),
        features=features,
        names=tuple(features.names),
        packed=packed,
    )


def _packed(schema: pa.Schema) -> Packed | None:
    """None where a column is of a type that has no fixed place in a message."""
    codes = [_CODES.get(field.type) for field in schema]
    if not codes or schema.metadata or None in codes:
        return None
    body = Struct("<" + "".join(f"{code}{8 - calcsize(code)}x" for code in codes if code))
    ones = pa.RecordBatch.from_arrays([pa.array([1]).cast(field.type) for field in schema], schema=schema)
    message = ones.serialize().to_pybytes()
    if not message.endswith(body.pack(*[1] * len(codes))):
        return None
    pick = itemgetter(*schema.names) if len(codes) > 1 else lambda row: (row[schema.names[0]],)
    return Packed(schema, message[: -body.size], body, pick)


def _is_plain_number(type: pa.DataType) -> bool:
    return pa.types.is_integer(type) or pa.types.is_float32(type) or pa.types.is_float64(type)


_EXACT = 2.0**53
"""Integers below this are doubles."""
_CODES = {
    pa.bool_(): "B",
    pa.int8(): "b",
    pa.int16(): "h",
    pa.int32(): "i",
    pa.int64(): "q",
    pa.uint8(): "B",
    pa.uint16(): "H",
    pa.uint32(): "I",
    pa.uint64(): "Q",
    pa.float32(): "f",
    pa.float64(): "d",
}
"""Types whose one value takes at most 8 bytes of a message, padded to 8, by the codes of `struct`. A bool is no `?`, which takes None for
false."""


def _follow_arrays(link: Link, row: Row, made: Row, arrays: dict[str, Any], table: pa.Table) -> None:
    frame = {f.name: _array(f, made, arrays, table) for f in link.schema}
    try:
        after = link.entry.apply(frame, link.fitted)
    except DataError as wrong:
        raise DataError("\n".join(f"transform.{link.name}: {line}" for line in str(wrong).splitlines())) from wrong
    for name, array in after.items():
        if array is not frame.get(name):
            made.pop(name, None)
            arrays[name] = array
            row[name] = _read(array.type)(array[0])


def _array(field: pa.Field, made: Row, arrays: Mapping[str, Any], table: pa.Table) -> pa.Array:
    if field.name in made:
        return _array_of([made[field.name]], field.type)
    if field.name in arrays:
        return arrays[field.name]
    column: Any = table.column(field.name).combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def _array_of(values: list[Any], type: pa.DataType) -> pa.Array:
    return pa.array(values, type)


def _read(type: pa.DataType) -> Read:
    """How a scalar of that type is read: times as integers, for Python's own have microseconds only."""
    if pa.types.is_temporal(value_type(type)):
        return _ticks_of_dictionary if pa.types.is_dictionary(type) else _ticks
    return methodcaller("as_py")


def _ticks(scalar: Any) -> int | None:
    return scalar.value if scalar.is_valid else None


def _ticks_of_dictionary(scalar: Any) -> int | None:
    return _ticks(scalar.value) if scalar.is_valid else None
