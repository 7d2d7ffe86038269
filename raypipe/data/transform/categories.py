"""What is learnt of a column of categories (strings, integers, bool): how often each occurs; and what is made of it row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.transform.entry import Frame
from raypipe.data.types import is_text, value_type

if TYPE_CHECKING:
    import numpy as np

NUM_CATEGORIES = 1_000_000
"""Distinct values of a column up to which they are counted."""


def is_category(type: pa.DataType) -> bool:
    """Whether a column of that type has categories."""
    type = value_type(type)
    return is_text(type) or pa.types.is_integer(type) or pa.types.is_boolean(type)


def count(columns: Sequence[str], frame: Frame) -> Json:
    """For each column its `values`, their `counts` and `num_nulls`."""
    return {name: _count(name, frame[name]) for name in columns}


def merge(columns: Sequence[str], states: Sequence[Json]) -> Json:
    """The same of all the rows behind the states, values sorted."""
    return {name: _merge_count(name, [state[name] for state in states]) for name in columns}


def ordered(name: str, state: Json) -> list[tuple[Json, int]]:
    """Pairs of category and count; DataError where there is none."""
    if not state["values"]:
        raise DataError(f"column '{name}' has no value in the training part ({state['num_nulls']:,} nulls)")
    return sorted(zip(state["values"], state["counts"], strict=True))


def codes(array: pa.Array, categories: Sequence[Json]) -> np.ndarray:
    """The place of each value among the categories, int32 [rows]; -1: not among them, or null."""
    import numpy as np
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        # One look-up a distinct value; the last place is for null.
        places = np.append(codes(array.dictionary, categories), np.int32(-1))
        indices = pc.fill_null(array.indices.cast(pa.int64()), len(places) - 1)
        return places[indices.to_numpy(zero_copy_only=False)]
    if pa.types.is_null(array.type):
        return np.full(len(array), -1, dtype=np.int32)
    found = pc.index_in(array, value_set=pa.array(categories, array.type))  # type: ignore[attr-defined]
    return pc.fill_null(found, -1).to_numpy(zero_copy_only=False)


def hot(name: str, array: pa.Array, categories: Sequence[Json]) -> Frame:
    """A uint8 column of 0 and 1 for each category."""
    places = codes(array, categories)
    return {f"{name}={text(c)}": pa.array((places == place).view("uint8")) for place, c in enumerate(categories)}


def text(category: Json) -> str:
    """A category as it stands in a column's name."""
    return str(category).lower() if isinstance(category, bool) else str(category)


def refuse_many(name: str, num_values: int) -> None:
    """DataError where so many distinct values are no categories."""
    if num_values > NUM_CATEGORIES:
        raise DataError(f"column '{name}' has more than {NUM_CATEGORIES:,} distinct values: it is no category")


def decoded(array: pa.Array) -> pa.Array:
    """A dictionary's values row by row; any other array itself."""
    return array.cast(value_type(array.type)) if pa.types.is_dictionary(array.type) else array


def _count(name: str, array: pa.Array) -> Json:
    import pyarrow.compute as pc

    values = decoded(array)
    counted = pc.value_counts(values.drop_null())  # type: ignore[attr-defined]
    refuse_many(name, len(counted))
    num_nulls = values.null_count
    return {"values": counted.field("values").to_pylist(), "counts": counted.field("counts").to_pylist(), "num_nulls": num_nulls}


def _merge_count(name: str, states: Sequence[Json]) -> Json:
    total: dict[Json, int] = {}
    for state in states:
        for value, count in zip(state["values"], state["counts"], strict=True):
            total[value] = total.get(value, 0) + count
    refuse_many(name, len(total))
    values = sorted(total)
    return {"values": values, "counts": [total[value] for value in values], "num_nulls": sum(s["num_nulls"] for s in states)}
