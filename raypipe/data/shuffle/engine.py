"""DuckDB over Arrow tables in memory, on one thread: what a task computes with, and how columns go in and come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute

from raypipe.core.errors import DataError
from raypipe.core.wording import first_line
from raypipe.data.fragment.conform import as_type
from raypipe.data.names import quoted
from raypipe.data.types import type_name, value_type

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# One thread: Ray runs a task on each CPU, and what is added up in one order gives the same last bit each time.
SETTINGS = ("enable_external_access=false", "python_enable_replacements=false", "threads=1")


def connected() -> DuckDBPyConnection:
    """A connection of its own to this process's database in memory, which holds nothing and opens no file."""
    connection = _database().cursor()
    connection.execute("set TimeZone='UTC'").fetchall()
    return connection


@lru_cache(maxsize=1)
def _database() -> DuckDBPyConnection:
    """Once a process: to make one takes 14 ms, a connection to it 0.1."""
    import duckdb

    connection = duckdb.connect()
    for setting in SETTINGS:
        connection.execute(f"set {setting}").fetchall()
    return connection


def select(sql: str, tables: Mapping[str, pa.Table], told: str) -> pa.Table:
    """The rows of one SELECT over these tables. DataError, beginning with `told`, where DuckDB refuses it."""
    import duckdb

    with connected() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        try:
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise DataError(f"{told}: {first_line(error)}") from None


def as_keys(table: pa.Table, names: Sequence[str], prefix: str = "k") -> pa.Table:
    """Columns to group and to compare by, as k0, k1, ...: equal where the values are. DataError for a type that has no equality here."""
    columns = [_key(name, table.column(name)) for name in names]
    made = pa.table({f"{prefix}{i}": column for i, column in enumerate(columns)})
    return made if columns else pa.table({"none": pa.nulls(table.num_rows)}).select([])


def as_columns(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Columns that expressions compute with, under their own names. DataError for a type that DuckDB has not."""
    for name in names:
        type_ = table.schema.field(name).type
        if pa.types.is_decimal256(type_) or pa.types.is_duration(type_):
            raise DataError(f"column '{name}' is {type_name(type_)}, which SQL cannot compute with here")
    return pa.table({name: _plain(table.column(name)) for name in names})


def from_keys(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """A key in the type that it had."""
    return as_type(column, type_)


def partition_of(keys: pa.Table, num_buckets: int, types: Mapping[str, str] | None = None) -> Any:
    """The bucket of each row, uint16 [rows]: equal keys are in one bucket, whatever their types where `types` says what to compare as.

    DuckDB's own hash: NaN is one value and so is zero; 10 ms for a million integers and 25 for texts, where digests in Python take 380.
    """
    import numpy as np

    if not keys.num_columns or num_buckets == 1:
        return np.zeros(keys.num_rows, np.uint16)
    columns = [f"cast({quoted(name)} as {types[name]})" if types else quoted(name) for name in keys.column_names]
    sql = f"select (hash({', '.join(columns)}) % {num_buckets})::usmallint as bucket from keys"
    return select(sql, {"keys": keys}, "the keys cannot be hashed").column("bucket").to_numpy()


def column_types(
    selected: Mapping[str, str], rest: str, empty: pa.Table, shown: Mapping[str, str], written: Mapping[str, str]
) -> tuple[str, ...]:
    """DuckDB's types of expressions over a table without rows; `rest` stands behind `from rows`.

    DataError where one does not fit: with the expression as it was `written`, and names from inside as they are `shown` to a person.
    """
    import duckdb

    types = []
    with connected() as connection:
        connection.register("rows", empty)
        for name, sql in selected.items():
            try:
                types.append(str(connection.sql(f"select {sql} as x from rows {rest}").types[0]))
            except duckdb.Error as error:
                told = first_line(error)
                for inside, column in shown.items():
                    told = told.replace(f'"{inside}"', f'"{column}"')
                raise DataError(f"column '{name}': '{written[name]}' cannot be computed: {told}") from None
    return tuple(types)


def _key(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    type_: Any = value_type(column.type)
    if pa.types.is_decimal256(type_) or pa.types.is_union(type_):
        raise DataError(f"column '{name}' is {type_name(type_)}, which cannot be grouped or compared by")
    if pa.types.is_duration(type_):
        return column.cast(type_).cast(pa.int64())
    if pa.types.is_floating(type_):
        # Zero is one value: DuckDB groups -0.0 with 0.0 and shows the first.
        plain = _plain(column)
        return cast(Any, pyarrow.compute).add(plain, pa.scalar(0.0, plain.type))
    return _plain(column)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    type_: Any = value_type(column.type)
    if pa.types.is_float16(type_):
        type_ = pa.float32()
    if pa.types.is_date64(type_):
        type_ = pa.date32()
    return column if column.type == type_ else column.cast(type_)
