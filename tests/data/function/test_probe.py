"""Whether a function lets its input alone and gives the same twice."""

import ctypes
import random

import pyarrow as pa
import pytest

from raypipe.data.function.callee import Callee
from raypipe.data.function.fault import FunctionError
from raypipe.data.function.probe import unchanged, unsteady

ROWS = pa.table({"a": [1.0, float("nan")]})


def test_memory_that_is_changed_behind_arrows_back():
    table = pa.table({"a": [1.0, 2.0]})
    told = r"function m\.f changes the rows that it is given, in memory that others read too.* In rows 1 to 2"
    address = table["a"].chunk(0).buffers()[1].address  # type: ignore[union-attr]
    with pytest.raises(FunctionError, match=told), unchanged("function m.f", table):
        ctypes.c_double.from_address(address).value = 7.0


def test_the_same_twice():
    assert unsteady(Callee("m.f", lambda t: t), ROWS) == ""
    dice = Callee("m.f", lambda t: t.append_column("x", pa.array([random.random(), 1])))
    assert unsteady(dice, ROWS).startswith("column 'x' of row 1 was 0.")
    lengths = iter([1, 2])
    assert unsteady(Callee("m.f", lambda t: t.slice(0, next(lengths))), ROWS) == "it gave 1 rows, then 2"
