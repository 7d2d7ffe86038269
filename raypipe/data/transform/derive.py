"""An entry that makes columns by SQL expressions over one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.expression import Expression, computed
from raypipe.data.expression_row import in_python
from raypipe.data.transform.entry import Frame, Row, require, to_frame, to_table


@dataclass(frozen=True)
class Derive:
    """New columns, or others in the place of those of the same name, each by a Polars SQL expression over the row as it is in front.

    No expression sees what another one makes: that takes a second Derive. A dictionary column counts as its values, NaN as null. There is
    one engine for table and request, and a row alone gets the same bits as in a batch.
    """

    revision: ClassVar[int] = 2
    distributions: ClassVar[tuple[str, ...]] = ("polars",)

    columns: dict[str, str]
    """Name -> expression, e.g. `speed: distance / air_time * 60`."""

    def problems(self) -> list[str]:
        found = [] if self.columns else ["columns is empty, expected at least one name with its expression"]
        return found + [f"columns.{name}: {text}" for name, sql in self.columns.items() for text in _problems(sql)]

    def learns(self) -> bool:
        return False

    def reads(self) -> Sequence[str]:
        return sorted({name for expression in self.expressions().values() for name in expression.columns})

    def expressions(self) -> dict[str, Expression]:
        """By the name of the column that each makes."""
        return {name: Expression(sql) for name, sql in self.columns.items()}

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require(schema, self.reads())
        made = {name: pa.field(name, self.type_of(name, schema)) for name in self.columns}
        return pa.schema([*(made.get(f.name, f) for f in schema), *(f for name, f in made.items() if name not in schema.names)])

    def type_of(self, name: str, schema: pa.Schema) -> pa.DataType:
        """DataError naming the column where its expression cannot be computed in such a table."""
        try:
            return Expression(self.columns[name]).type_in(schema)
        except DataError as error:
            raise DataError(f"column '{name}': {error}") from None

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row] | None:
        """None where an expression is more than sums, comparisons, conditions and the like: then a request is computed as a table."""
        found = {name: in_python(expression, schema) for name, expression in self.expressions().items()}
        values = {name: value for name, value in found.items() if value is not None}
        return None if len(values) < len(found) else lambda row: {name: value(row) for name, value in values.items()}

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        made = computed(self.expressions(), to_table({name: frame[name] for name in self.reads()}))
        return frame | to_frame(pa.table(made))


def _problems(sql: object) -> list[str]:
    return Expression(sql).problems() if isinstance(sql, str) else [f"found {sql!r}, expected an SQL expression as text"]
