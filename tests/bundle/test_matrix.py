"""A row alone gives the same numbers as in a batch, whatever its columns are."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.bundle.matrix import matrix

VALUES = {
    "bool": [True, None, False],
    "int8": [-128, None, 127],
    "int64": [2**62 + 1, None, -(2**53) - 1],
    "uint64": [2**64 - 1, 2**24 + 1, None],
    "float16": [np.float16(0.1), None, np.float16("inf")],
    "float32": [0.1, float("nan"), None],
    "float64": [1e300, 0.1, None],
}


@pytest.mark.parametrize("type_", VALUES)
def test_a_row_alone_gives_the_number_that_it_gives_in_a_batch(type_: str):
    table = pa.table({"x": pa.array(VALUES[type_], pa.type_for_alias(type_)), "y": [1, 2, 3]})
    batch = matrix(table, ["y", "x"])
    alone = np.concatenate([matrix(table.slice(i, 1), ["y", "x"]) for i in range(3)])
    assert batch.dtype == alone.dtype == np.float32
    assert batch.flags.c_contiguous
    assert np.array_equal(batch, alone, equal_nan=True)


def test_nulls_are_nan_and_booleans_are_0_and_1():
    made = matrix(pa.table({"a": pa.array([True, False, None]), "b": pa.array([1, None, 3])}), ["a", "b"])
    assert np.array_equal(made, np.array([[1, 1], [0, np.nan], [np.nan, 3]], np.float32), equal_nan=True)


def test_there_may_be_no_rows_and_several_chunks():
    assert matrix(pa.table({"a": pa.array([], pa.int32())}), ["a"]).shape == (0, 1)
    assert matrix(pa.table({"a": pa.chunked_array([[1, None], [3]])}), ["a"])[[0, 2], 0].tolist() == [1, 3]
