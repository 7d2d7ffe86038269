"""The counts of categories: sorted, merged, bounded."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform import categories


def test_counts_merge_and_are_sorted():
    parts = [{"x": pa.array(["b", "a", None])}, {"x": pa.array(["b", "c"])}]
    merged = categories.merge(["x"], [categories.count(["x"], part) for part in parts])
    assert merged == {"x": {"values": ["a", "b", "c"], "counts": [1, 2, 1], "num_nulls": 1}}


def test_a_dictionary_is_counted_by_its_values():
    array = pa.DictionaryArray.from_arrays(pa.array([1, 0, None, 1]), pa.array(["a", "b"]))
    assert categories.ordered("x", categories.count(["x"], {"x": array})["x"]) == [("a", 1), ("b", 2)]
    assert categories.codes(array, ["b"]).tolist() == [0, -1, -1, 0]


def test_too_many_values_are_no_category(monkeypatch):
    monkeypatch.setattr(categories, "NUM_CATEGORIES", 2)
    with pytest.raises(DataError, match="column 'x' has more than 2 distinct values: it is no category"):
        categories.count(["x"], {"x": pa.array([1, 2, 3])})


def test_types_that_have_categories():
    kinds = [pa.string(), pa.int8(), pa.bool_(), pa.dictionary(pa.int8(), pa.string()), pa.float32(), pa.timestamp("s")]
    assert [categories.is_category(kind) for kind in kinds] == [True, True, True, True, False, False]
