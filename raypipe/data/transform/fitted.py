"""The fitted transforms: entries of a chain that learn from the training part, and say what they do with what they never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.names import column_problems
from raypipe.data.transform import categories, numbers
from raypipe.data.transform.entry import Frame, replace_types, require, require_type
from raypipe.data.types import is_number, is_text, type_name, value_type


@dataclass(frozen=True)
class Standardize:
    """`(x - mean) / std` of the training part, as float32, in place.

    Nulls and NaNs are left out of the fit and stay null and NaN. std is the population's (divided by n), as scikit-learn's
    StandardScaler has it. A column of one value has scale 1. A column without a value, or with an infinite one, is refused.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Numeric or bool columns."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_number, "a number")
        return replace_types(schema, dict.fromkeys(self.columns, pa.float32()))

    def partial(self, frame: Frame) -> Json:
        return {name: numbers.moments(frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        merged = states[0]
        for state in states[1:]:
            merged = {name: numbers.merge_moments(merged[name], state[name]) for name in self.columns}
        return merged

    def fit(self, state: Json) -> Json:
        """For each column `mean`, `scale`, and how many values, nulls and NaNs were seen."""
        return {name: numbers.scale(name, state[name]) for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return [f"column '{name}' is always {fitted[name]['mean']:g}: its scale is 1" for name in self.columns if fitted[name]["constant"]]

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return frame | {name: numbers.standardized(frame[name], fitted[name]["mean"], fitted[name]["scale"]) for name in self.columns}


@dataclass(frozen=True)
class Impute:
    """Puts a value where there is none: null, and NaN in a float column.

    `mean` and `median` are those of the training part and make float64 of an integer or bool column; `constant` keeps the type.
    The median is exact, the mean of the middle two where their number is even. A dictionary column becomes its values' type.
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
        return {name: numbers.distinct(name, frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        if self.with_ == "median":
            return {name: numbers.merge_distinct(name, [state[name] for state in states]) for name in self.columns}
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


@dataclass(frozen=True)
class OneHot:
    """A uint8 column of 0 and 1 for each category of the training part, named `carrier=AA`, in the place of `carrier`.

    Categories are sorted. One that was not seen in training, and a missing one, are 0 in all columns.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Columns of strings, integers or bool."""
    min_count: int = 1
    """Categories with fewer rows than this in the training part get no column."""
    max_categories: int = 1000
    """More categories than this are refused."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns)
        found += [] if self.min_count >= 1 else [f"min_count is {self.min_count}, expected at least 1"]
        return found + ([] if self.max_categories >= 1 else [f"max_categories is {self.max_categories}, expected at least 1"])

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, categories.is_category, "string, integer or bool")
        made: list[pa.Field] = []
        for field in schema:
            hot = field.name in self.columns
            made += [pa.field(f"{field.name}={categories.text(c)}", pa.uint8()) for c in fitted[field.name]] if hot else [field]
        twice = sorted({f.name for f in made if [g.name for g in made].count(f.name) > 1})
        if twice:
            raise DataError(f"two columns would be named '{twice[0]}'")
        return pa.schema(made)

    def partial(self, frame: Frame) -> Json:
        return categories.count(self.columns, frame)

    def merge(self, states: Sequence[Json]) -> Json:
        return categories.merge(self.columns, states)

    def fit(self, state: Json) -> Json:
        """For each column its categories, sorted."""
        fitted = {name: [c for c, n in categories.ordered(name, state[name]) if n >= self.min_count] for name in self.columns}
        for name, found in fitted.items():
            if not found:
                raise DataError(f"column '{name}' has no category with {self.min_count:,} rows or more in the training part")
            if len(found) > self.max_categories:
                raise DataError(
                    f"column '{name}' has {len(found):,} categories, max_categories is {self.max_categories:,}: raise min_count, "
                    "or use Ordinal or Frequency"
                )
        return fitted

    def notes(self, fitted: Json) -> list[str]:
        return []

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        made: Frame = {}
        for name, array in frame.items():
            made |= categories.hot(name, array, fitted[name]) if name in self.columns else {name: array}
        return made


@dataclass(frozen=True)
class Ordinal:
    """The place of the value among the sorted categories of the training part, as int32, in place; unseen and missing are -1."""

    revision: ClassVar[int] = 1

    columns: list[str]
    """Columns of strings, integers or bool."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, categories.is_category, "string, integer or bool")
        return replace_types(schema, dict.fromkeys(self.columns, pa.int32()))

    def partial(self, frame: Frame) -> Json:
        return categories.count(self.columns, frame)

    def merge(self, states: Sequence[Json]) -> Json:
        return categories.merge(self.columns, states)

    def fit(self, state: Json) -> Json:
        """For each column its categories, sorted."""
        return {name: [category for category, _ in categories.ordered(name, state[name])] for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return []

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return frame | {name: pa.array(categories.codes(frame[name], fitted[name])) for name in self.columns}


@dataclass(frozen=True)
class Frequency:
    """The share of the training rows that have this value, as float32, in place; unseen and missing are 0."""

    revision: ClassVar[int] = 1

    columns: list[str]
    """Columns of strings, integers or bool."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, categories.is_category, "string, integer or bool")
        return replace_types(schema, dict.fromkeys(self.columns, pa.float32()))

    def partial(self, frame: Frame) -> Json:
        return categories.count(self.columns, frame)

    def merge(self, states: Sequence[Json]) -> Json:
        return categories.merge(self.columns, states)

    def fit(self, state: Json) -> Json:
        """For each column `categories`, sorted, and the `shares` of them."""
        return {name: self._shares(name, state[name]) for name in self.columns}

    def _shares(self, name: str, state: Json) -> Json:
        pairs, num_rows = categories.ordered(name, state), sum(state["counts"]) + state["num_nulls"]
        return {"categories": [category for category, _ in pairs], "shares": [n / num_rows for _, n in pairs]}

    def notes(self, fitted: Json) -> list[str]:
        return []

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        import numpy as np

        def share(name: str) -> pa.Array:
            # The code of what is not among the categories is -1: the last of the shares.
            shares = np.array([*fitted[name]["shares"], 0.0], dtype=np.float32)
            return pa.array(shares[categories.codes(frame[name], fitted[name]["categories"])])

        return frame | {name: share(name) for name in self.columns}
