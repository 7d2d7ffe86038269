"""The label: a column computed from each row by an SQL expression; rows for which it is null have no label and are dropped."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.expression import Expression


@dataclass(frozen=True)
class LabelRows:
    """The row function of a Label step: adds `column` as the last one and drops rows in which it is null; notes `dropped`, how many.
    NaN is no value, as null is none. Other columns go round the engine with their types."""

    column: str
    sql: str

    def __call__(self, rows: pa.Table) -> tuple[pa.Table, Json]:
        try:
            label = Expression(self.sql).of(rows)
        except DataError as error:
            raise DataError("\n".join(f"label '{self.column}': {line}" for line in str(error).splitlines())) from None
        kept = rows.drop_columns([self.column]) if self.column in rows.column_names else rows
        kept = kept.append_column(self.column, label)
        kept = kept.filter(label.is_valid()) if label.null_count else kept
        return kept, {"dropped": rows.num_rows - kept.num_rows}
