"""Fitted transforms of columns of categories (strings, integers, bool): OneHot, Ordinal and Frequency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.transform import Frame, column_problems, replace_types, require_type
from raypipe.data.types import is_text, value_type

if TYPE_CHECKING:
    import numpy as np

NUM_CATEGORIES = 1_000_000
"""Distinct values of a column up to which they are counted."""


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

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_category, "string, integer or bool")
        made: list[pa.Field] = []
        for field in schema:
            hot = [pa.field(f"{field.name}={_text(c)}", pa.uint8()) for c in fitted[field.name]] if field.name in self.columns else [field]
            made += hot
        twice = sorted({f.name for f in made if [g.name for g in made].count(f.name) > 1})
        if twice:
            raise DataError(f"two columns would be named '{twice[0]}'")
        return pa.schema(made)

    def partial(self, frame: Frame) -> Json:
        return _counts(self.columns, frame)

    def merge(self, states: Sequence[Json]) -> Json:
        return _merge_counts(self.columns, states)

    def fit(self, state: Json) -> Json:
        """For each column its categories, sorted."""
        fitted = {name: [c for c, n in _sorted(name, state[name]) if n >= self.min_count] for name in self.columns}
        for name, categories in fitted.items():
            if not categories:
                raise DataError(f"column '{name}' has no category with {self.min_count:,} rows or more in the training part")
            if len(categories) > self.max_categories:
                raise DataError(
                    f"column '{name}' has {len(categories):,} categories, max_categories is {self.max_categories:,}: raise min_count, or use "
                    "Ordinal or Frequency"
                )
        return fitted

    def notes(self, fitted: Json) -> list[str]:
        return []

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        made: Frame = {}
        for name, array in frame.items():
            made |= _hot(name, array, fitted[name]) if name in self.columns else {name: array}
        return made


@dataclass(frozen=True)
class Ordinal:
    """The place of the value among the sorted categories of the training part, as int32, in place; unseen and missing are -1."""

    revision: ClassVar[int] = 1

    columns: list[str]
    """Columns of strings, integers or bool."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_category, "string, integer or bool")
        return replace_types(schema, dict.fromkeys(self.columns, pa.int32()))

    def partial(self, frame: Frame) -> Json:
        return _counts(self.columns, frame)

    def merge(self, states: Sequence[Json]) -> Json:
        return _merge_counts(self.columns, states)

    def fit(self, state: Json) -> Json:
        """For each column its categories, sorted."""
        return {name: [category for category, _ in _sorted(name, state[name])] for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return []

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return frame | {name: pa.array(_codes(frame[name], fitted[name])) for name in self.columns}


@dataclass(frozen=True)
class Frequency:
    """The share of the training rows that have this value, as float32, in place; unseen and missing are 0."""

    revision: ClassVar[int] = 1

    columns: list[str]
    """Columns of strings, integers or bool."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_category, "string, integer or bool")
        return replace_types(schema, dict.fromkeys(self.columns, pa.float32()))

    def partial(self, frame: Frame) -> Json:
        return _counts(self.columns, frame)

    def merge(self, states: Sequence[Json]) -> Json:
        return _merge_counts(self.columns, states)

    def fit(self, state: Json) -> Json:
        """For each column `categories`, sorted, and the `shares` of them."""
        return {name: self._shares(name, state[name]) for name in self.columns}

    def _shares(self, name: str, state: Json) -> Json:
        pairs, num_rows = _sorted(name, state), sum(state["counts"]) + state["num_nulls"]
        return {"categories": [category for category, _ in pairs], "shares": [n / num_rows for _, n in pairs]}

    def notes(self, fitted: Json) -> list[str]:
        return []

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        import numpy as np

        def share(name: str) -> pa.Array:
            # The code of what is not among the categories is -1: the last of the shares.
            shares = np.array([*fitted[name]["shares"], 0.0], dtype=np.float32)
            return pa.array(shares[_codes(frame[name], fitted[name]["categories"])])

        return frame | {name: share(name) for name in self.columns}


def is_category(type: pa.DataType) -> bool:
    """Whether a column of that type has categories."""
    type = value_type(type)
    return is_text(type) or pa.types.is_integer(type) or pa.types.is_boolean(type)


def _counts(columns: Sequence[str], frame: Frame) -> Json:
    return {name: _count(name, frame[name]) for name in columns}


def _count(name: str, array: pa.Array) -> Json:
    values = _decoded(array)
    counted = pc.value_counts(values.drop_null())
    _refuse_many(name, len(counted))
    num_nulls = values.null_count
    return {"values": counted.field("values").to_pylist(), "counts": counted.field("counts").to_pylist(), "num_nulls": num_nulls}


def _merge_counts(columns: Sequence[str], states: Sequence[Json]) -> Json:
    return {name: _merge_count(name, [state[name] for state in states]) for name in columns}


def _merge_count(name: str, states: Sequence[Json]) -> Json:
    total: dict[Json, int] = {}
    for state in states:
        for value, count in zip(state["values"], state["counts"], strict=True):
            total[value] = total.get(value, 0) + count
    _refuse_many(name, len(total))
    values = sorted(total)
    return {"values": values, "counts": [total[value] for value in values], "num_nulls": sum(s["num_nulls"] for s in states)}


def _sorted(name: str, state: Json) -> list[tuple[Json, int]]:
    """Pairs of category and count; DataError where there is none."""
    if not state["values"]:
        raise DataError(f"column '{name}' has no value in the training part ({state['num_nulls']:,} nulls)")
    return sorted(zip(state["values"], state["counts"], strict=True))


def _refuse_many(name: str, num_values: int) -> None:
    if num_values > NUM_CATEGORIES:
        raise DataError(f"column '{name}' has more than {NUM_CATEGORIES:,} distinct values: it is no category")


def _decoded(array: pa.Array) -> pa.Array:
    return array.cast(value_type(array.type)) if pa.types.is_dictionary(array.type) else array


def _codes(array: pa.Array, categories: Sequence[Json]) -> np.ndarray:
    """The place of each value among the categories, int32 [rows]; -1: not among them, or null."""
    import numpy as np

    if pa.types.is_dictionary(array.type):
        # One look-up a distinct value; the last place is for null.
        places = np.append(_codes(array.dictionary, categories), np.int32(-1))
        indices = pc.fill_null(array.indices.cast(pa.int64()), len(places) - 1)
        return places[indices.to_numpy(zero_copy_only=False)]
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, dtype=np.int32)
    found = pc.index_in(array, value_set=pa.array(categories, array.type))
    return pc.fill_null(found, -1).to_numpy(zero_copy_only=False)


def _hot(name: str, array: pa.Array, categories: Sequence[Json]) -> Frame:
    codes = _codes(array, categories)
    return {f"{name}={_text(c)}": pa.array((codes == place).view("uint8")) for place, c in enumerate(categories)}


def _text(category: Json) -> str:
    return str(category).lower() if isinstance(category, bool) else str(category)
