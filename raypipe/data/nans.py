"""NaN in columns: whether there is any, which as a rule there is not, told sooner than where."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


def has_nans(column: pa.ChunkedArray) -> bool:
    """Whether a value is NaN; of a column of any type. A null is none."""
    return pa.types.is_floating(column.type) and any(_may_have_nans(chunk) for chunk in column.chunks) and num_nans(column) > 0


def num_nans(column: pa.ChunkedArray) -> int:
    """How many values are NaN, of a column of any type."""
    import pyarrow.compute

    compute: Any = pyarrow.compute
    if not pa.types.is_floating(column.type) or not any(_may_have_nans(chunk) for chunk in column.chunks):
        return 0
    return compute.sum(compute.is_nan(column), min_count=0).as_py()


def _may_have_nans(chunk: Any) -> bool:
    """NaN makes a sum NaN: that takes a third of the time of looking at each value. So do infinities of both signs, and what lies under a
    null."""
    import numpy as np

    data = chunk.buffers()[1]
    if data is None or not len(chunk):
        return False
    if pa.types.is_float16(chunk.type):
        return True
    values = np.frombuffer(data, np.float64 if pa.types.is_float64(chunk.type) else np.float32)
    with np.errstate(all="ignore"):
        return bool(np.isnan(values[chunk.offset : chunk.offset + len(chunk)].sum()))
