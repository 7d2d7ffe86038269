"""Feature columns as one float32 matrix [rows, features], the same numbers for a row alone and for a row in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Matrix = np.ndarray[Any, np.dtype[np.float32]]


def matrix(table: pa.Table, columns: Sequence[str]) -> Matrix:
    """Shape [rows, columns], C order. Booleans are 0 and 1, nulls NaN, integers go by float64; columns must be numbers or booleans."""
    if table.num_rows == 1:
        return _one_row(table, columns)
    # Filling rows of the transposed matrix and turning it once is a sixth faster than writing strided columns.
    values_FB = np.empty((len(columns), table.num_rows), np.float32)
    with np.errstate(over="ignore"):
        for values_B, name in zip(values_FB, columns, strict=True):
            values_B[:] = _floats(table.column(name))
    return np.ascontiguousarray(values_FB.T)


def _one_row(table: pa.Table, columns: Sequence[str]) -> Matrix:
    # 1.2 us a column where the way by arrays takes 4.
    values = [table.column(name)[0].as_py() for name in columns]
    with np.errstate(over="ignore"):
        return np.array([[np.nan if v is None else v for v in values]], np.float64).astype(np.float32)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if pa.types.is_integer(column.type):
        column = column.cast(pa.float64(), safe=False)
    return column.to_numpy()
