"""A fitted transform that puts a value where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.names import column_problems
from raypipe.data.transform import numbers
from raypipe.data.transform.entry import Frame, Row, replace_types, require, require_type
from raypipe.data.transform.scaling import Standardize
from raypipe.data.types import is_number, is_text, type_name, value_type


@dataclass(frozen=True)
class Impute:
    """Puts a value where there is none: null, and NaN in a float column.

    `mean` and `median` are those of the training part and make float64 of an integer or bool column; `constant` keeps the type.
    The median is exact, the mean of the middle two where their number is even; of more than 4 million distinct values it is one to a
    relative 2^-10 at worst, about 1e-6 as a rule. A dictionary column becomes its values' type.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Numeric columns; with `constant` strings too."""
    with_: Literal["mean", "median", "constant"] = "median"
    """What is put there."""
    value: float | int | str | bool | None = None
    """With `constant`: the value, of the columns' type."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns)
        if self.with_ not in ("mean", "median", "constant"):
            found.append(f"with_ is {self.with_!r}, expected mean, median or constant")
        if self.with_ == "constant" and self.value is None:
            found.append("with_: constant needs a value")
        if self.with_ != "constant" and self.value is not None:
            found.append(f"value is {self.value!r}, but with_ is {self.with_}: a value goes with with_: constant")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            found.append(f"value is {self.value}, expected a finite number")
        return found

    def learns(self) -> bool:
        return self.with_ != "constant"

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        if self.with_ == "constant":
            require(schema, self.columns)
            return replace_types(schema, {name: self._constant(schema.field(name)).type for name in self.columns})
        require_type(schema, self.columns, is_number, "a number")
        kept = {name: schema.field(name).type for name in self.columns if pa.types.is_floating(schema.field(name).type)}
        return replace_types(schema, dict.fromkeys(self.columns, pa.float64()) | kept)

    def _constant(self, field: pa.Field) -> pa.Scalar:
        """The value as the column's type; DataError where it is none of it."""
        type = value_type(field.type)
        fits = (is_text(type) and isinstance(self.value, str)) or (is_number(type) and not isinstance(self.value, str))
        if fits and pa.types.is_boolean(type) == isinstance(self.value, bool):
            with suppress(pa.ArrowInvalid, OverflowError):
                scalar = pa.scalar(self.value, type)
                if pa.types.is_floating(type) or scalar.as_py() == self.value:
                    return scalar
        raise DataError(f"column '{field.name}' is {type_name(field.type)}, value is {self.value!r}: expected a value of the column's type")

    def partial(self, frame: Frame) -> Json:
        if self.with_ == "mean":
            return Standardize(self.columns).partial(frame)
        return {name: numbers.distinct(frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        if self.with_ == "median":
            return {name: numbers.merge_distinct([state[name] for state in states]) for name in self.columns}
        return Standardize(self.columns).merge(states)

    def fit(self, state: Json) -> Json:
        """For each column its value."""
        value = numbers.mean if self.with_ == "mean" else numbers.median
        return {name: value(name, state[name]) for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return []

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        value = fitted if self.learns() else dict.fromkeys(self.columns, self.value)
        return frame | {name: numbers.filled(frame[name], value[name], not self.learns()) for name in self.columns}

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        value = fitted if self.learns() else dict.fromkeys(self.columns, self.value)
        fill = [(name, *numbers.fill_one(schema.field(name).type, value[name], not self.learns())) for name in self.columns]
        return lambda row: {name: put if (v := row[name]) is None or v != v else cast(v) for name, put, cast in fill}
