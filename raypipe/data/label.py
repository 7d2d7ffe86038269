"""The label: a column computed from each row by an SQL expression; rows for which it is null have no label and are dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError


def columns_read(sql: str) -> list[str]:
    """The columns that a Polars SQL expression reads. Raises DataError with Polars' own words where it does not parse."""
    return sorted(set(_expression(sql).meta.root_names()))


def label_rows(column: str, sql: str) -> LabelRows:
    """The row function of a Label step: adds `column`, drops rows in which it is null."""
    return LabelRows(column, sql)


@dataclass(frozen=True)
class LabelRows:
    """Rows -> those that have a label, with it; notes how many had none."""

    column: str
    sql: str

    def __call__(self, rows: pa.Table) -> tuple[pa.Table, Json]:
        import polars as pl

        reads = columns_read(self.sql)
        missing = [name for name in reads if name not in rows.column_names]
        if missing:
            raise DataError(f"label '{self.column}': the expression '{self.sql}' reads '{missing[0]}', which is no column.")
        frame = pl.from_arrow(rows.select(reads)) if reads else pl.DataFrame({"row": [None] * rows.num_rows})
        assert isinstance(frame, pl.DataFrame)
        try:
            made = frame.select(_expression(self.sql).alias(self.column)).to_arrow().column(self.column)
        except pl.exceptions.PolarsError as error:
            raise DataError(f"label '{self.column}': the expression '{self.sql}' fails: {str(error).splitlines()[0]}") from None
        if pa.types.is_floating(made.type):
            made = pc.if_else(pc.is_nan(made), pa.scalar(None, made.type), made)
        others = [name for name in rows.column_names if name != self.column]
        kept = rows.select(others).append_column(self.column, made).filter(pc.is_valid(made))
        return kept, {"dropped": rows.num_rows - kept.num_rows}


def _expression(sql: str) -> Any:
    import polars as pl

    try:
        return pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise DataError(f"'{sql}' is no SQL expression over a row: {str(error).splitlines()[0]}") from None
