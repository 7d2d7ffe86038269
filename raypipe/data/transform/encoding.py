"""Fitted transforms of categories by how often they occur in the training part: a column each, their place, their share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.names import column_problems
from raypipe.data.transform import categories, numbers
from raypipe.data.transform.entry import Frame, Row, in_place, replace_types, require_type, unique


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
        return unique(made)

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
        return in_place(frame, {name: categories.hot(name, frame[name], fitted[name]) for name in self.columns})

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        named = {name: {c: f"{name}={categories.text(c)}" for c in fitted[name]} for name in self.columns}
        cold = {column: 0 for columns in named.values() for column in columns.values()}

        def hot(row: Row) -> Row:
            made = cold.copy()
            for name, columns in named.items():
                if (column := columns.get(row[name])) is not None:
                    made[column] = 1
            return made

        return hot


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

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        places = {name: {category: place for place, category in enumerate(fitted[name])} for name in self.columns}
        return lambda row: {name: found.get(row[name], -1) for name, found in places.items()}


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

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        shares = {n: dict(zip(f["categories"], map(numbers.float32, f["shares"]), strict=True)) for n, f in fitted.items()}
        return lambda row: {name: found.get(row[name], 0.0) for name, found in shares.items()}
