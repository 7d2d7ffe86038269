"""The keys of a batch: values of one or more columns, by which rows of a table are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute

from raypipe.core.errors import DataError, nearest
from raypipe.data.fragment.bounds import Stats
from raypipe.data.types import type_name, value_type
from raypipe.data.where.where import Test, literal_type

pc: Any = pyarrow.compute

FEW = 1_000
"""Values up to which each is held against a file's bounds; of more, only the least and the greatest."""


@dataclass(frozen=True)
class Keys:
    """The distinct keys of a batch. Null is a value like any other here."""

    columns: tuple[str, ...]
    values: tuple[pa.Array, ...]
    """Of each column, the distinct ones."""
    codes: tuple[pa.Array, ...]
    """After each further column, the distinct combinations so far: a combination is place among those before * number of values + place."""
    tests: tuple[tuple[Test, ...], ...]
    """Of each column, conditions that all of its values meet, none of them null."""

    def places(self, rows: pa.Table) -> pa.ChunkedArray:
        """Of each row's key its place among the distinct ones, null where it is not among them."""
        found = _places(rows.column(self.columns[0]), self.values[0])
        for name, values, codes in zip(self.columns[1:], self.values[1:], self.codes, strict=True):
            combined = pc.add(pc.multiply(found, len(values)), _places(rows.column(name), values))
            found = pc.index_in(combined, value_set=codes).cast(pa.int64())
        return found

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Which rows have one of the keys."""
        return pc.is_valid(self.places(rows))

    def may_match(self, stats: Stats, num_rows: int) -> bool:
        """Whether a file of so many rows with such statistics can hold one of the keys."""
        return all(self._column_may_match(i, stats, num_rows) for i in range(len(self.columns)))

    def _column_may_match(self, number: int, stats: Stats, num_rows: int) -> bool:
        found = stats.get(self.columns[number])
        if self.values[number].null_count and (found is None or found["nulls"]):
            return num_rows > 0
        return bool(self.tests[number]) and all(test.may_match(found, num_rows) for test in self.tests[number])


def keys_of(rows: pa.Table, columns: Sequence[str], what: str) -> Keys:
    """Those of the batch. DataError where a column is not there or is of a type that is compared by no one (nested, floats)."""
    told = [problem for name in columns if (problem := _problem(rows.schema, name))]
    if told or not columns:
        raise DataError("\n".join(f"{what}: {problem}" for problem in told or ["names no column"]))
    values = tuple(_distinct(rows.column(name)) for name in columns)
    codes: list[pa.Array] = []
    found = _places(rows.column(columns[0]), values[0])
    for name, distinct in zip(columns[1:], values[1:], strict=True):
        combined = pc.add(pc.multiply(found, len(distinct)), _places(rows.column(name), distinct))
        codes.append(pc.unique(combined))
        found = pc.index_in(combined, value_set=codes[-1]).cast(pa.int64())
    return Keys(tuple(columns), values, tuple(codes), tuple(map(_tests, columns, values)))


def refuse_bad_keys(rows: pa.Table, keys: Keys, what: str) -> None:
    """DataError where a key is null, or two rows have the same one: which of them should stay is for the user to say."""
    nulls = {name: rows.column(name).null_count for name in keys.columns}
    if any(nulls.values()):
        told = ", ".join(f"{name!r} in {count:,} rows" for name, count in nulls.items() if count)
        raise DataError(f"{what}: a key must not be null: {told}. Drop those rows, or give them a value.")
    places = keys.places(rows)
    counts = pc.value_counts(places)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        examples = [rows.slice(pc.index(places, place).as_py(), 1).select(list(keys.columns)).to_pylist()[0] for place in twice[:3]]
        listed = "; ".join(", ".join(f"{name} = {value!r}" for name, value in row.items()) for row in examples)
        raise DataError(f"{what}: {len(twice):,} keys come more than once among the new rows, such as {listed}. Keep one row of each.")


def _problem(schema: pa.Schema, name: str) -> str | None:
    if name not in schema.names:
        return f"there is no column {name!r}.{nearest(name, schema.names)}"
    type_ = value_type(schema.field(name).type)
    nested = type_.num_fields or isinstance(type_, pa.BaseExtensionType)
    if nested or pa.types.is_floating(type_) or pa.types.is_null(type_) or pa.types.is_duration(type_):
        return f"column {name!r} is {type_name(type_)}, which is no key: expected integers, text, times, decimals, booleans or bytes"
    return None


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    plain = value_type(column.type)
    wanted = literal_type(plain)
    return column if column.type == wanted else column.cast(plain).cast(wanted)


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    return pc.unique(_plain(column))


def _places(column: pa.ChunkedArray, values: pa.Array) -> pa.ChunkedArray:
    return pc.index_in(_plain(column), value_set=values).cast(pa.int64())


def _tests(name: str, values: pa.Array) -> tuple[Test, ...]:
    known = values.drop_null()
    if not len(known):
        return ()
    if len(known) <= FEW or pa.types.is_boolean(known.type):
        return (Test(name, known.type, "in", known),)
    if pa.types.is_binary(known.type):
        return (Test(name, known.type, "is not null", known),)
    ends = pc.min_max(known)
    return tuple(Test(name, known.type, op, pa.array([ends[end]], known.type)) for op, end in ((">=", "min"), ("<=", "max")))
