"""NaN in columns."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.data.nans import has_nans, num_nans

INF = float("inf")


@pytest.mark.parametrize("type_", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2.0], 0), ([1.0, float("nan"), None], 1), ([INF, -INF, 1.0], 0), ([INF, -INF, float("nan")], 1), ([None, None], 0), ([], 0)],
)
def test_nans_are_counted_whatever_else_makes_a_sum_one(type_: pa.DataType, values: list, expected: int):
    column = pa.chunked_array([pa.array([9.0, *values], type_).slice(1), pa.array([], type_)], type_)
    assert num_nans(column) == expected
    assert has_nans(column) == (expected > 0)


def test_what_lies_under_a_null_is_no_nan():
    array = pa.array(np.array([np.nan, 1.0]), mask=np.array([True, False]), from_pandas=False)
    assert not has_nans(pa.chunked_array([array]))


def test_a_large_column_of_largest_values_has_none():
    assert not has_nans(pa.chunked_array([pa.array(np.full(1000, 1e308))]))


@pytest.mark.parametrize("column", [pa.array([1, 2]), pa.array(["nan"]), pa.nulls(3)])
def test_other_types_have_none(column: pa.Array):
    assert num_nans(pa.chunked_array([column])) == 0
