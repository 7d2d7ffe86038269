"""The label: a column computed from each row by an SQL expression; rows for which it is null have no label and are dropped."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.data.types import value_type


def columns_read(sql: str) -> list[str]:
    """The columns that a Polars SQL expression reads, sorted. DataError with Polars' own words where it does not parse."""
    return sorted(set(_expression(sql).meta.root_names()))


def label_rows(column: str, sql: str) -> LabelRows:
    """The row function of a Label step: adds `column` as the last one, drops rows in which it is null."""
    return LabelRows(column, sql)


@dataclass(frozen=True)
class LabelRows:
    """Rows -> those that have a label, with it; notes `dropped`, how many had none. NaN is no value, as null is none. Other columns go
    round Polars with their types."""

    column: str
    sql: str

    def __call__(self, rows: pa.Table) -> tuple[pa.Table, Json]:
        reads = columns_read(self.sql)
        missing = [f"no column '{name}'.{nearest(name, rows.column_names)}" for name in reads if name not in rows.column_names]
        if missing:
            raise DataError("\n".join(f"label '{self.column}': {text}" for text in missing))
        label = self._computed(rows, reads)
        kept = rows.drop_columns([self.column]) if self.column in rows.column_names else rows
        kept = kept.append_column(self.column, label)
        kept = kept.filter(label.is_valid()) if label.null_count else kept
        return kept, {"dropped": rows.num_rows - kept.num_rows}

    def _computed(self, rows: pa.Table, reads: list[str]) -> pa.ChunkedArray:
        pl = _polars()
        frame: Any = pl.from_arrow(pa.table({name: _plain(rows.column(name)) for name in reads}))
        try:
            made = frame.with_columns(_expression(self.sql).alias(self.column)).select(self.column).to_arrow().column(self.column)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"label '{self.column}': '{self.sql}' fails: {_first_line(error)}") from None
        made = _plain(made)
        return made.cast(pa.string()) if pa.types.is_large_string(made.type) or pa.types.is_string_view(made.type) else made


def _expression(sql: str) -> Any:
    pl = _polars()
    try:
        found = pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"'{sql}' is no SQL expression over a row: {_first_line(error)}") from None
    if not found.meta.root_names():
        raise DataError(f"'{sql}' reads no column: the label would be the same for every row")
    if _words(json.loads(found.meta.serialize(format="json"))) & _OVER_ROWS:
        raise DataError(f"'{sql}' reads more than its own row (an aggregate or a window): a label is computed from one row")
    return found


_OVER_ROWS = {"Agg", "Over", "Window", "Len", "Filter", "Quantile", "Correlation", "DropNulls", "Range", "Sort", "SortBy", "Rank", "Shift"}
"""Of Polars' own words for the parts of an expression, those that look at other rows; its `is_row_separable` knows a mixture for none."""


def _words(node: Any) -> set[str]:
    if isinstance(node, dict):
        return {word for key, value in node.items() if key != "Literal" for word in {key} | _words(value)}
    if isinstance(node, list):
        return {word for value in node for word in _words(value)}
    return {node} if isinstance(node, str) else set()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary as its values, NaN as null: Polars compares no category with text, and holds NaN greater than any number."""
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        return column.cast(value_type(column.type))
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)  # type: ignore[attr-defined]


def _polars() -> Any:
    """Polars on one thread: it fixes their number when it is first imported, and Ray runs a task on each CPU."""
    if "polars" not in sys.modules:
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
    import polars

    return polars


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
