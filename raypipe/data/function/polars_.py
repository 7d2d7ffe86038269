"""A table as a Polars frame, and back.

Nulls and NaN go through as they are. Polars widens what it lacks (seconds to milliseconds, times of day to nanoseconds, text and lists to
their large kinds) and gets dictionaries as their values; a column that comes back under its name with the type that Polars had it in is
given back its own. decimal256 it cannot hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.wording import first_line
from raypipe.data.expression import polars
from raypipe.data.types import plain_type, type_name


def to_polars(table: pa.Table) -> Any:
    """A DataFrame; DataError for a column that Polars cannot hold."""
    pl = polars()
    if wide := [f.name for f in table.schema if pa.types.is_decimal256(f.type)]:
        raise DataError(f"column '{wide[0]}' is {type_name(table.schema.field(wide[0]).type)}, which Polars cannot hold: take pa.Table")
    columns = [_values(table.column(name)) for name in table.column_names]
    if not columns:
        return pl.DataFrame(height=table.num_rows)
    return pl.from_arrow(pa.Table.from_arrays(columns, names=table.column_names))


def to_lazy(table: pa.Table) -> Any:
    """The same as a LazyFrame."""
    return to_polars(table).lazy()


def from_polars(made: Any, origins: Sequence[tuple[Any, pa.Table]]) -> pa.Table:
    """What a function made of `origins`, the frames that it was given beside the tables that they came from."""
    pl = polars()
    if not isinstance(made, pl.DataFrame):
        raise DataError(f"returned {type(made).__name__}, expected a polars.DataFrame")
    before = [(given.collect_schema(), table.schema) for given, table in origins]
    columns = {series.name: _column(series, _own_type(series, before)) for series in made.iter_columns()}
    if not columns:
        return pa.table({"none": pa.nulls(made.height)}).select([])
    return pa.table(columns)


def collected(made: Any) -> Any:
    """A LazyFrame that a function returned, computed."""
    pl = polars()
    if not isinstance(made, pl.LazyFrame):
        raise DataError(f"returned {type(made).__name__}, expected a polars.LazyFrame")
    return made.collect()


def _own_type(series: Any, before: Sequence[tuple[Any, pa.Schema]]) -> pa.DataType | None:
    """Arrow's type of the column that it was, where Polars' is still what it was handed out with."""
    found = (schema.field(series.name).type for types, schema in before if types.get(series.name) == series.dtype)
    return next(found, None)


def _column(series: Any, own: pa.DataType | None) -> Any:
    if series.dtype.is_object():
        raise DataError(f"returned column '{series.name}' as Object, which no table can hold: give it a type of Polars'")
    found = series.to_arrow()
    try:
        return found.cast(plain_type(found.type)) if own is None else _of_type(found, own)
    except pa.ArrowException as error:
        raise DataError(
            f"returned column '{series.name}' with a value that {type_name(own or found.type)}, the type it had, cannot hold "
            f"({first_line(error)}): give it another name"
        ) from None


def _of_type(found: Any, own: pa.DataType) -> Any:
    if found.type == own:
        return found
    if pa.types.is_dictionary(own):
        return found.cast(own.value_type).dictionary_encode().cast(own)
    return found.cast(own)


def _values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
