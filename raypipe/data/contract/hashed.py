"""Values as 64-bit keys: equal values have equal keys, and unequal ones do not, but for one chance in 2^64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.data.types import is_text, value_type

if TYPE_CHECKING:
    import numpy as np


def keys(column: pa.ChunkedArray) -> np.ndarray:
    """uint64, one for each value that is not null; of numbers and times no two unequal values have the same."""
    import numpy as np

    values = column.drop_null()
    if pa.types.is_dictionary(values.type):
        values = values.cast(value_type(values.type))
    if pa.types.is_temporal(values.type) and not pa.types.is_interval(values.type):
        values = values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64())
    if pa.types.is_integer(values.type):
        return values.cast(pa.uint64() if pa.types.is_unsigned_integer(values.type) else pa.int64()).to_numpy().view(np.uint64)
    if pa.types.is_floating(values.type):
        # 0.0 added: -0.0 and 0.0 are equal.
        return (values.cast(pa.float64()).to_numpy() + 0.0).view(np.uint64)
    return _texts(values)


def keys_of_rows(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The places of the rows that have a value in every column (NaN is none), and a key for each of those rows."""
    import numpy as np

    whole = np.ones(table.num_rows, dtype=bool)
    for column in table.columns:
        if column.null_count or pa.types.is_floating(column.type):
            whole &= ~column.is_null(nan_is_null=True).to_numpy()
    at = np.flatnonzero(whole)
    rows = table if len(at) == table.num_rows else table.filter(pa.array(whole))
    return at, _mixed([keys(column) for column in rows.columns])


def _mixed(found: Sequence[np.ndarray]) -> np.ndarray:
    """Spread over all of the 64 bits, one to one where there is one column."""
    import numpy as np

    from raypipe.data.statistics.hashes import mixed

    made = mixed(np.ascontiguousarray(found[0]))
    for further in found[1:]:
        made = mixed(made * np.uint64(31) + further)
    return made


def _texts(values: pa.ChunkedArray) -> np.ndarray:
    import numpy as np

    from raypipe.data.statistics.hashes import bytes_hashes

    if not len(values):
        return np.zeros(0, np.uint64)
    is_ = pa.types
    is_plain = is_text(values.type) or is_.is_binary(values.type) or is_.is_large_binary(values.type)
    text: Any = values if is_plain else values.cast(pa.binary() if is_.is_fixed_size_binary(values.type) else pa.string())
    return bytes_hashes(pa.concat_arrays(text.chunks))
