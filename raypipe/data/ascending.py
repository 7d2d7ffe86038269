"""Numbers in ascending order, by the faster of two sorts: which one that is depends on the processor, what comes out does not.

NumPy takes 6 ns a value of half a million 64-bit ones on Intel's processors with AVX-512, and 50 to 60 on AMD's Zen 4, whose compressing
stores are slow: without AVX-512 it would take 12 there, but that is settled as NumPy is imported, and its logarithms get other bits by it.
Polars takes 20.
"""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MANY = 100_000
"""With fewer values Polars, which has to be imported, does not pay."""
SLOW_NS = 22.0
"""A value of PROBE ones."""
PROBE = 65_536


def ascending(values: np.ndarray) -> np.ndarray:
    """A sorted copy, as `np.sort` gives it: NaN comes last, and zeros of both signs lie in any order."""
    import numpy as np

    if len(values) < MANY or values.dtype.kind not in "iuf" or values.dtype.itemsize < 4:
        return np.sort(values)
    if (values[1:] >= values[:-1]).all():
        return values.copy()
    if not is_slow():
        return np.sort(values)
    return _floats(values) if values.dtype.kind == "f" else _whole(values)


def starts_of(ordered: np.ndarray) -> np.ndarray:
    """int64: the places in sorted values, at least one, where another one begins."""
    import numpy as np

    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


@cache
def is_slow() -> bool:
    """Whether NumPy's sort is, here: measured once in a process."""
    import numpy as np

    values = np.random.default_rng(0).random(PROBE)
    return min(_seconds(values) for _ in range(3)) / PROBE * 1e9 > SLOW_NS


def _seconds(values: np.ndarray) -> float:
    import numpy as np

    began = time.perf_counter()
    np.sort(values)
    return time.perf_counter() - began


def _whole(values: np.ndarray) -> np.ndarray:
    import polars as pl

    # A copy, as what Polars hands out cannot be written to.
    return pl.Series(values).sort(multithreaded=False).to_numpy().copy()


def _floats(values: np.ndarray) -> np.ndarray:
    """By the whole numbers that their bits are, those of negative ones turned over: in that order, but for NaN, the floats ascend."""
    import numpy as np

    missing = np.isnan(values)
    found = values[~missing] if missing.any() else values
    whole: Any = np.dtype(f"i{values.dtype.itemsize}")
    ordered = _turned(_whole(_turned(found.view(whole)))).view(values.dtype)
    num_missing = len(values) - len(found)
    return np.concatenate([ordered, np.full(num_missing, np.nan, values.dtype)]) if num_missing else ordered


def _turned(bits: np.ndarray) -> np.ndarray:
    """All bits of negative ones but the sign; done twice it is undone."""
    import numpy as np

    return bits ^ ((bits >> (8 * bits.itemsize - 1)) & np.iinfo(bits.dtype).max)
