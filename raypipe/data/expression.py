"""SQL expressions over one row: what they read, and what they are worth for rows of a table. Polars computes them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from raypipe.core.errors import DataError, nearest
from raypipe.core.wording import first_line
from raypipe.data.nans import has_nans
from raypipe.data.spread import MARK, spread
from raypipe.data.types import type_name, value_type


@dataclass(frozen=True)
class Expression:
    """One value a row, from that row alone: `distance / air_time * 60`, `carrier in ('AA', 'UA') and arr_delay > 15`.

    A dictionary column counts as its values, and NaN as null, before and behind; aggregates and windows are refused. A row alone gets the
    same bits as in a batch. It is small and travels to a task.
    """

    sql: str

    def problems(self) -> list[str]:
        """What is wrong with it, knowing nothing else; with Polars' own words where it does not parse."""
        try:
            parsed(self.sql)
        except DataError as error:
            return [str(error)]
        return []

    @property
    def columns(self) -> list[str]:
        """The columns that it reads, sorted. DataError where it is no expression over a row."""
        return sorted(set(parsed(self.sql).meta.root_names()))

    def missing(self, names: Any) -> list[str]:
        """A line for each column that it reads and that is not among `names`."""
        return [f"no column '{name}'.{nearest(name, names)}" for name in self.columns if name not in names]

    def of(self, table: pa.Table) -> pa.ChunkedArray:
        """Its value for each row. DataError where a column is missing, or what is there cannot be computed with."""
        return computed({"value": self}, table)["value"]

    def holds(self, table: pa.Table) -> pa.ChunkedArray:
        """True where the row meets it as a condition, never null. DataError where it is none."""
        import pyarrow.compute as pc

        found = self.of(table)
        if pa.types.is_null(found.type):
            found = found.cast(pa.bool_())
        if not pa.types.is_boolean(found.type):
            raise DataError(f"'{self.sql}' is no condition: it is {type_name(found.type)}, expected true or false")
        return pc.fill_null(found, False) if found.null_count else found

    def type_in(self, schema: pa.Schema) -> pa.DataType:
        """The type of its values in such a table. DataError as `of`."""
        return self.of(pa.schema([schema.field(name) for name in self.columns if name in schema.names]).empty_table()).type


def computed(expressions: Mapping[str, Expression], table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """The values of several expressions by name, in one go; each reads the table's columns, none another's values."""
    missing = [line for expression in expressions.values() for line in expression.missing(table.column_names)]
    if missing:
        raise DataError("\n".join(dict.fromkeys(missing)))
    columns = {name: _whole(table.column(name)) for name in sorted({name for e in expressions.values() for name in e.columns})}
    one_more = table.num_rows > 0 and any(MARK in _steady(expression.sql).meta.root_names() for expression in expressions.values())
    frame = _frame(_marked(columns) if one_more else columns)
    made = {name: _values(expression.sql, frame, one_more).slice(0, table.num_rows) for name, expression in expressions.items()}
    for name, expression in expressions.items() if table.num_rows else ():
        types = tuple((read, columns[read].type) for read in expression.columns)
        if made[name].type != (expected := _type_by_types(expression.sql, types)) and _is_wider(expected, made[name].type):
            # Of `case when b then 0 else 3000000000 end` Polars gives the literal's own int32 where all rows choose the first.
            made[name] = made[name].cast(expected)
        if made[name].type != expected:
            # Polars puts a time and an integer into one column, of a type that hangs on the rows.
            found = f"{type_name(made[name].type)} for these rows, and {type_name(expected)} by the types of its columns"
            raise DataError(f"'{expression.sql}' is {found}: cast what it chooses between to one type")
    return made


def _is_wider(type_: pa.DataType, other: pa.DataType) -> bool:
    """Whether it is the same kind of integer with more bits."""
    signed, unsigned = (all(map(is_, (type_, other))) for is_ in (pa.types.is_signed_integer, pa.types.is_unsigned_integer))
    return (signed or unsigned) and type_.bit_width > other.bit_width


def _values(sql: str, frame: Any, steady: bool) -> pa.ChunkedArray:
    how = _steady(sql) if steady else parsed(sql)
    # with_columns: what is the same for every row is one value to Polars until it meets a column.
    return _plain(_told(sql, lambda: frame.with_columns(how.alias("value")).select("value").to_arrow()).column(0))


@lru_cache(maxsize=1024)
def _type_by_types(sql: str, types: tuple[tuple[str, pa.DataType], ...]) -> pa.DataType:
    return _values(sql, _frame({name: pa.array([], type_) for name, type_ in types}), False).type


def _frame(columns: Mapping[str, pa.Array]) -> Any:
    return _told(", ".join(columns), lambda: polars().from_arrow(pa.table(dict(columns))))


def _told(what: str, run: Callable[[], Any]) -> Any:
    """What `run` returns. Where Polars cannot, be it that it panics, DataError with its words."""
    pl = polars()
    try:
        return run()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"'{what}' fails: {first_line(error)}") from None


def _marked(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns with one row more, their last one again, and `MARK`, which is false there."""
    size = len(next(iter(columns.values())))
    longer = {name: pa.concat_arrays([array, array.slice(size - 1)]) for name, array in columns.items()}
    return longer | {MARK: pa.concat_arrays([pa.repeat(True, size), pa.repeat(False, 1)])}


@lru_cache(maxsize=1024)
def _steady(sql: str) -> Any:
    return spread(parsed(sql))


def without_nans(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Nulls in the place of NaN."""
    import pyarrow.compute as pc

    compute: Any = pc
    if not has_nans(column):
        return column
    return compute.if_else(compute.is_nan(column), pa.scalar(None, column.type), column)


def polars() -> Any:
    """Polars on one thread: it fixes their number when it is first imported, and Ray runs a task on each CPU."""
    if "polars" not in sys.modules:
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
    import polars

    return polars


@lru_cache(maxsize=1024)
def parsed(sql: str) -> Any:
    pl = polars()
    try:
        found = pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"'{sql}' is no SQL expression over a row: {first_line(error)}") from None
    if moment := _MOMENT.search(_TEXTS.sub("''", sql)):
        raise DataError(f"'{sql}': {moment[0]} gives another value at each run: keep the time in a column")
    if _words(json.loads(found.meta.serialize(format="json"))) & _OVER_ROWS:
        raise DataError(f"'{sql}' reads more than its own row (an aggregate or a window)")
    if not found.meta.root_names():
        raise DataError(f"'{sql}' reads no column: it would be the same for every row")
    return found


_TEXTS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_MOMENT = re.compile(r"\b(now(?=\s*\()|current_date|current_time|current_timestamp|localtime|localtimestamp)\b", re.IGNORECASE)
"""What Polars replaces by the time at which it reads the text: each task would have another one."""
_OVER_ROWS = {
    "Agg", "Over", "Window", "Len", "Filter", "Quantile", "Correlation", "DropNulls", "Range", "Sort", "SortBy", "Rank", "Shift", "Explode"
}  # fmt: skip
"""Of Polars' own words for the parts of an expression, those that look at other rows; its `is_row_separable` knows a mixture for none."""


def _words(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {word for key, value in node.items() if key != "Literal" for word in {key} | _words(value)}
    if isinstance(node, list):
        return {word for value in node for word in _words(value)}
    return {node} if isinstance(node, str) else set()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as Polars is to see it: in one chunk, and of two rows where there is one.

    Polars divides a chunk of one value by a constant, and multiplies a longer one by its reciprocal: the last bit differs in a third of
    the values.
    """
    plain = _plain(column)
    array = plain.chunk(0) if plain.num_chunks == 1 else pa.concat_arrays(plain.chunks) if plain.num_chunks else pa.nulls(0, plain.type)
    return pa.concat_arrays([array, array]) if len(array) == 1 else array


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary as its values, NaN as null (Polars compares no category with text, and holds NaN greater than any number), text as
    Arrow's usual one."""
    type_: Any = value_type(column.type)
    if pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        type_ = pa.string()
    return without_nans(column if type_ == column.type else column.cast(type_))
