"""What a chain is made of: entries that map columns to columns, row by row. Here those that learn nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Protocol

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, RaypipeError, nearest
from raypipe.core.frame import users_frame
from raypipe.data.names import column_problems
from raypipe.data.types import fields_from_json, fields_to_json, type_name

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

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        """From a row in columns of `schema` to the values that the entry writes."""
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


@dataclass(frozen=True)
class Function:
    """A function of the user's, `pa.Table -> pa.Table`, row-wise: as many rows out as in, each from its own row alone.

    Without `takes` it gets every column that reaches it and what it returns is all that goes on; with `takes` it gets those, and what
    it returns is put over or after the others.
    """

    revision: ClassVar[int] = 1

    target: str
    """Its import path: the name under which its recorded code is found."""
    settings: dict[str, Json] = field(default_factory=dict)
    """Arguments beside the table."""
    takes: list[str] | None = None
    """The columns it reads, where it says so."""
    gives: list[str] | None = None
    """The columns it returns, where it says so."""
    function: Callable[..., Any] | None = field(default=None, compare=False)
    """The function, or a class whose instances are called with the table; loaded by `target`."""

    def problems(self) -> list[str]:
        return [] if self.takes is None else column_problems(self.takes, "takes")

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str] | None:
        return self.takes

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        made = fields_from_json(fitted)
        if self.takes is None:
            return made
        require(schema, self.takes)
        replaced = [made.field(f.name) if f.name in made.names else f for f in schema]
        return pa.schema([*replaced, *(f for f in made if f.name not in schema.names)])

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        """Columns as when it was fitted; DataError naming the function where they differ."""
        made = self.call(frame)
        expected = fields_from_json(fitted)
        _same_names(self.target, made, expected)
        typed = {f.name: _typed(self.target, f, made[f.name]) for f in expected}
        return typed if self.takes is None else frame | typed

    def call(self, frame: Frame) -> Frame:
        """What the function makes of a frame, types as they come."""
        table = to_table(frame if self.takes is None else {name: frame[name] for name in self.takes})
        made = self._run(table)
        if not isinstance(made, pa.Table):
            raise DataError(f"function {self.target} returned {type(made).__name__}, expected a pyarrow.Table")
        if made.num_rows != table.num_rows:
            raise DataError(
                f"function {self.target} returned {made.num_rows:,} rows for {table.num_rows:,}: in a transform it must be row-wise. "
                "Filter rows in a step of their own."
            )
        self._refuse_other_names(made.column_names)
        return to_frame(made)

    def _run(self, table: pa.Table) -> Any:
        if self.function is None:
            raise DataError(f"function {self.target}: its code is not loaded")
        try:
            if isinstance(self.function, type):
                return self.function(**self.settings)(table)
            return self.function(table, **self.settings)
        except RaypipeError:
            raise
        except Exception as error:
            last = users_frame(error)
            where = f"line {last.lineno} of {last.filename}: {last.line}"
            raise DataError(f"function {self.target} raised {type(error).__name__}: {error} ({where})") from error

    def _refuse_other_names(self, names: list[str]) -> None:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"function {self.target} returned column '{twice[0]}' twice")
        if self.gives is not None and set(names) != set(self.gives):
            raise DataError(f"function {self.target} returned columns {names}; it says that it gives {list(self.gives)}")

    def partial(self, frame: Frame) -> Json:
        """The columns it returns. Its first and last row are computed alone too: DataError where that gives something else."""
        made = self.call(frame)
        num_rows = len(next(iter(frame.values()))) if frame else 0
        for row in {0, num_rows - 1}:
            self._refuse_unless_row_wise(frame, made, row)
        return fields_to_json(pa.schema([pa.field(name, array.type) for name, array in made.items()]))

    def merge(self, states: Sequence[Json]) -> Json:
        """One type a column: a fragment of nothing but nulls yields to the others."""
        merged = states[0]
        for state in states[1:]:
            merged = [_one_type(self.target, a, b) for a, b in zip(merged, _in_order(self.target, merged, state), strict=True)]
        return merged

    def fit(self, state: Json) -> Json:
        return state

    def notes(self, fitted: Json) -> list[str]:
        empty = [f["name"] for f in fitted if f["type"] == "null"]
        return [f"function {self.target} returned nothing but nulls in column '{name}'" for name in empty]

    def _refuse_unless_row_wise(self, frame: Frame, made: Frame, row: int) -> None:
        alone = self.call({name: array.slice(row, 1) for name, array in frame.items()})
        for name, array in made.items():
            found = alone[name].to_pylist() if name in alone else "no such column"
            # repr: NaN equals itself, and a float's repr is exact.
            if repr(found) != repr(array.slice(row, 1).to_pylist()):
                raise DataError(
                    f"function {self.target} is not row-wise: column '{name}' of a row alone is {found}, of the same row in a batch "
                    f"{array.slice(row, 1).to_pylist()}. What is learnt from many rows belongs in a fitted transform."
                )


def require(schema: pa.Schema, columns: Sequence[str]) -> None:
    """DataError with every column that is missing and the nearest name of each."""
    missing = [f"no column '{name}'.{nearest(name, schema.names)}" for name in columns if name not in schema.names]
    if missing:
        raise DataError("\n".join(missing))


def require_type(schema: pa.Schema, columns: Sequence[str], accepts: Callable[[pa.DataType], bool], expected: str) -> None:
    """DataError with every column that is missing, or whose type is not accepted."""
    require(schema, columns)
    wrong = [
        f"column '{name}' is {type_name(schema.field(name).type)}, expected {expected}"
        for name in columns
        if not accepts(schema.field(name).type) and not pa.types.is_null(schema.field(name).type)
    ]
    if wrong:
        raise DataError("\n".join(wrong))


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


def _same_names(target: str, made: Frame, expected: pa.Schema) -> None:
    missing = [name for name in expected.names if name not in made]
    extra = [name for name in made if name not in expected.names]
    if missing or extra:
        found = "; ".join([*(f"'{n}' is missing" for n in missing), *(f"'{n}' is new" for n in extra)])
        raise DataError(f"function {target} returned other columns than when the transform was fitted: {found}")


def _typed(target: str, expected: pa.Field, array: pa.Array) -> pa.Array:
    if array.type == expected.type:
        return array
    if pa.types.is_null(array.type):
        return array.cast(expected.type)
    raise DataError(
        f"function {target} returned column '{expected.name}' as {type_name(array.type)}; when the transform was fitted "
        f"it was {type_name(expected.type)}"
    )


def _in_order(target: str, first: Json, other: Json) -> list[Json]:
    by_name = {f["name"]: f for f in other}
    if set(by_name) != {f["name"] for f in first}:
        raise DataError(f"function {target} returned other columns for one fragment than for another: {list(by_name)}")
    return [by_name[f["name"]] for f in first]


def _one_type(target: str, a: Json, b: Json) -> Json:
    if a["type"] == b["type"] or b["type"] == "null":
        return a
    if a["type"] == "null":
        return b
    raise DataError(f"function {target} returned column '{a['name']}' as {a['type']} for one fragment and as {b['type']} for another")
