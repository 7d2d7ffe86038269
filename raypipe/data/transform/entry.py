"""What a chain is made of: entries that map columns to columns, row by row. Here those that learn nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.data.names import column_problems
from raypipe.data.types import type_name

Frame = dict[str, pa.Array]
"""Columns by name, in order, all of one length: what entries pass on."""

LABEL = "raypipe.label"
"""The name under which an entry that `needs_label` finds the label beside the columns when it learns, and only then."""

Row = dict[str, Any]
"""One row by column, as Python's values; a time as its integer, a value of a dictionary column as itself."""


class Entry(Protocol):
    """One named entry of a chain: a frozen dataclass of settings in JSON values."""

    revision: ClassVar[int]

    def problems(self) -> list[str]:
        """What is wrong with the settings, knowing nothing else."""
        ...

    def learns(self) -> bool:
        """Whether there is anything to learn, as a FittedEntry does: that costs a pass over the training part."""
        ...

    def reads(self) -> Sequence[str] | None:
        """The columns whose values it needs; None: all that reach it."""
        ...

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        """The columns it leaves, with their types; DataError where one is missing or of a type that it does not take."""
        ...

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        """The same rows with other columns. A row alone gives the same bits as in a batch."""
        ...


class FittedEntry(Entry, Protocol):
    """An entry that learns from the training part: one state a fragment, merged in the order of fragments."""

    def partial(self, frame: Frame) -> Json: ...

    def merge(self, states: Sequence[Json]) -> Json: ...

    def fit(self, state: Json) -> Json:
        """The fitted value; DataError where the training part does not allow one."""
        ...

    def notes(self, fitted: Json) -> list[str]:
        """What a person should know of the fit, one line each."""
        ...


class RowEntry(Entry, Protocol):
    """An entry with a short way for one row: Arrow's arrays of one value cost ten times what is computed with them.

    `row` holds at least what it reads. Both ways give the same bits: a property test holds that for every built-in.
    """

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row] | None:
        """From a row in columns of `schema` to the values that the entry writes; None where it has none with these settings."""
        ...


class MakingEntry(Entry, Protocol):
    """An entry that puts columns in the place of others, with names that its settings alone tell."""

    def made(self) -> Mapping[str, Sequence[str]]:
        """For each column that it replaces, what stands there behind it."""
        ...


@dataclass(frozen=True)
class Select:
    """Keeps these columns, in this order; all others are left out."""

    revision: ClassVar[int] = 1

    columns: list[str]
    """Names of columns."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def learns(self) -> bool:
        return False

    def reads(self) -> Sequence[str]:
        return ()

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require(schema, self.columns)
        return pa.schema([schema.field(name) for name in self.columns])

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return {name: frame[name] for name in self.columns if name in frame}


@dataclass(frozen=True)
class Drop:
    """Leaves these columns out. A column that is only dropped need not be in a request."""

    revision: ClassVar[int] = 1

    columns: list[str]
    """Names of columns."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def learns(self) -> bool:
        return False

    def reads(self) -> Sequence[str]:
        return ()

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require(schema, self.columns)
        return pa.schema([field for field in schema if field.name not in self.columns])

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return {name: array for name, array in frame.items() if name not in self.columns}


def require(schema: pa.Schema, columns: Sequence[str]) -> None:
    """DataError with every column that is missing and the nearest name of each."""
    missing = [f"no column '{name}'.{nearest(name, schema.names)}" for name in columns if name not in schema.names]
    if missing:
        raise DataError("\n".join(missing))


def require_type(schema: pa.Schema, columns: Sequence[str], accepts: Callable[[pa.DataType], bool], expected: str) -> None:
    """DataError with every column that is missing, or whose type is not accepted."""
    require(schema, columns)
    wrong = [
        f"column '{name}' is {type_name(schema.field(name).type)}, expected {expected}{_advice(name, schema.field(name).type, expected)}"
        for name in columns
        if not accepts(schema.field(name).type) and not pa.types.is_null(schema.field(name).type)
    ]
    if wrong:
        raise DataError("\n".join(wrong))


def _advice(name: str, type: pa.DataType, expected: str) -> str:
    """Whether a decimal is near enough to a double is for a person to say."""
    if not pa.types.is_decimal(type) or "number" not in expected:
        return ""
    return f": put raypipe.Derive in front, with {name}: cast({name} as double)"


def replace_types(schema: pa.Schema, types: Mapping[str, pa.DataType]) -> pa.Schema:
    """The same columns, those in `types` with another type."""
    return pa.schema([pa.field(f.name, types[f.name]) if f.name in types else f for f in schema])


def replace_columns(schema: pa.Schema, made: Mapping[str, Sequence[str]], type: pa.DataType) -> pa.Schema:
    """Columns of `made` replaced by others of that type, in their place; DataError where a name would be there twice."""
    fields: list[pa.Field] = []
    for column in schema:
        fields += [pa.field(name, type) for name in made[column.name]] if column.name in made else [column]
    return unique(fields)


def unique(fields: Sequence[pa.Field]) -> pa.Schema:
    """A schema; DataError where two fields have one name."""
    counts = Counter(field.name for field in fields)
    if twice := sorted(name for name, n in counts.items() if n > 1):
        raise DataError(f"two columns would be named '{twice[0]}'")
    return pa.schema(fields)


def in_place(frame: Frame, made: Mapping[str, Frame]) -> Frame:
    """The columns of `made` replaced by those that it gives for each, in their place."""
    put: Frame = {}
    for name, array in frame.items():
        put |= made.get(name, {name: array})
    return put


def to_frame(table: pa.Table) -> Frame:
    """Its columns, each as one array; no copy where a column has one chunk."""
    return {name: _one_chunk(table.column(i)) for i, name in enumerate(table.column_names)}


def to_table(frame: Frame) -> pa.Table:
    return pa.Table.from_arrays(list(frame.values()), names=list(frame))


def settings_of(entry: Any) -> dict[str, Json]:
    """The settings of an entry as JSON values."""
    return {f.name: getattr(entry, f.name) for f in fields(entry) if f.name != "function"}


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks else pa.array([], column.type)
