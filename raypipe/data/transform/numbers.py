"""What is learnt of a numeric column, as states that merge in the order of fragments, and what is made of it row by row."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from ctypes import c_float
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.types import value_type

if TYPE_CHECKING:
    import numpy as np

NUM_DISTINCT = 4_000_000
"""Distinct values of a column up to which its quantiles are exact: 32 MB of them in the driver. With more, all are shortened by as many
bits of the fraction as bring them below: a quantile is then off by at most one part in 2^(bits kept), about 1e-6 where the values have a
few orders of magnitude and 2^-10 in the worst case (a double has 4,094 exponents and signs). It does not depend on the fragments."""

FRACTION_BITS = 52
"""Of a double."""


def moments(array: pa.Array) -> Json:
    """Count, mean and sum of squared deviations, by two passes; minimum and maximum.

    The mean has a low part, what rounding took from it: without, fragments of values near 3e6 that differ by 1 agreed to 1e-10 only.
    """
    import numpy as np

    values, missing, total = _seen(array)
    infinite = 0 if math.isfinite(total) else int(np.isinf(values).sum())
    if not len(values) or infinite:
        return _NO_MOMENTS | {"n": len(values), "num_infinite": infinite} | missing
    low, high = float(values.min()), float(values.max())
    with np.errstate(over="ignore", invalid="ignore"):
        # One value only: the mean of equal doubles may be off by a bit, and that bit would become the scale.
        mean = low if low == high else total / len(values)
        apart = values - mean
        rest = float(apart.mean())
        m2 = max(float(np.square(apart, out=apart).sum()) - len(values) * rest * rest, 0.0)
    return {"n": len(values), "mean": mean, "mean_low": rest, "m2": m2, "min": low, "max": high, "num_infinite": 0} | missing


_NO_MOMENTS: Json = {"n": 0, "mean": 0.0, "mean_low": 0.0, "m2": 0.0, "min": None, "max": None, "num_infinite": 0}


def merge_moments(a: Json, b: Json) -> Json:
    """Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979), formula 2.1."""
    counts = {key: a[key] + b[key] for key in ("n", "num_nulls", "num_nans", "num_infinite")}
    if counts["num_infinite"]:
        return _NO_MOMENTS | counts
    if not a["n"] or not b["n"]:
        return (a if a["n"] else b) | counts
    n, delta = counts["n"], (b["mean"] - a["mean"]) + (b["mean_low"] - a["mean_low"])
    mean, rest = _two_sum(a["mean"], a["mean_low"] + delta * (b["n"] / n))
    m2 = a["m2"] + b["m2"] + delta * delta * (a["n"] * b["n"] / n)
    bounds = {"min": min(a["min"], b["min"]), "max": max(a["max"], b["max"])}
    return {"mean": mean, "mean_low": rest, "m2": m2} | bounds | counts


def scale(name: str, moments: Json) -> Json:
    """`mean`, `scale`, whether the column is `constant`, and the counts; DataError where there is no finite mean."""
    _refuse_unless_finite(name, moments)
    std = math.sqrt(moments["m2"] / moments["n"])
    constant = moments["min"] == moments["max"] or std == 0.0
    counts = {key: moments[key] for key in ("n", "num_nulls", "num_nans")}
    return {"mean": moments["mean"], "scale": 1.0 if constant else std, "constant": constant} | counts


def mean(name: str, moments: Json) -> float:
    """The mean; DataError where there is no finite one."""
    _refuse_unless_finite(name, moments)
    return moments["mean"]


def values(array: pa.Array) -> tuple[np.ndarray, np.ndarray | None]:
    """The array as float64, and where it is null (None: nowhere). Under a null lies an undefined value."""
    import numpy as np

    if pa.types.is_null(array.type):
        return np.zeros(len(array)), np.ones(len(array), dtype=bool)
    doubles = array if pa.types.is_float64(array.type) else array.cast(pa.float64(), safe=False)
    nulls = doubles.is_null().to_numpy(zero_copy_only=False) if doubles.null_count else None
    data = doubles.buffers()[1]
    if data is None or not len(doubles):
        return np.zeros(0), nulls
    return np.frombuffer(data, dtype=np.float64)[doubles.offset : doubles.offset + len(doubles)], nulls


def bins(array: pa.Array, edges: Sequence[float]) -> np.ndarray:
    """How many of the edges are at most the value, int32 [rows]; -1 for null and NaN."""
    import numpy as np

    found, nulls = values(array)
    missing = np.isnan(found) if nulls is None else np.isnan(found) | nulls
    return np.where(missing, -1, np.searchsorted(np.asarray(edges, dtype=np.float64), found, side="right")).astype(np.int32)


def standardized(array: pa.Array, mean: float, scale: float) -> pa.Array:
    """`(x - mean) / scale` as float32; null and NaN stay."""
    import numpy as np

    found, nulls = values(array)
    # Subtract, divide and round are exactly rounded by IEEE 754, one row or many. What lies under a null may overflow.
    with np.errstate(all="ignore"):
        out = np.divide(found - mean, scale, out=np.empty(len(found), np.float32), dtype=np.float64, casting="same_kind")
    return pa.array(out, mask=nulls, from_pandas=False)


def standardizing(learnt: Sequence[tuple[str, float, float]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """`standardized` of the values of one row, by name, mean and scale: the same three roundings."""
    return lambda row: {
        name: None if (value := row[name]) is None else c_float((value - mean) / scale).value for name, mean, scale in learnt
    }


def float32(value: float) -> float:
    """Rounded to float32; too large becomes infinite, as in NumPy."""
    return c_float(value).value


def fill_one(type: pa.DataType, value: Any, keep: bool) -> tuple[Any, Callable[[Any], Any]]:
    """For `filled` of one value: what is put there, and what is made of another."""
    type = value_type(type)
    if not keep and not pa.types.is_floating(type):
        return value, float
    return pa.scalar(value, type).as_py(), _same


def _same(value: Any) -> Any:
    return value


def curved(array: pa.Array, curve: Callable[[Any], Any], by_value: bool) -> pa.Array:
    """What the curve makes of each value, as float32; null and NaN stay. Unless `by_value` it takes a whole array."""
    import numpy as np

    found, nulls = values(array)
    with np.errstate(all="ignore"):
        out = np.array([v if v != v else curve(v) for v in found.tolist()], np.float64) if by_value else curve(found)
        return pa.array(out.astype(np.float32), mask=nulls, from_pandas=False)


def curved_one(value: Any, curve: Callable[[float], float]) -> float | None:
    """`curved` of one value."""
    return None if value is None else c_float(curve(float(value)) if value == value else value).value


def filled(array: pa.Array, value: Any, keep: bool) -> pa.Array:
    """The value where there is null or NaN. Unless its type is to be kept, an integer or bool column becomes float64."""
    import pyarrow.compute as pc

    type = value_type(array.type)
    if not keep and not pa.types.is_floating(type):
        type = pa.float64()
    array = array if array.type == type else array.cast(type, safe=False)
    scalar = pa.scalar(value, type)
    if array.null_count:
        array = pc.fill_null(array, scalar)
    if not pa.types.is_floating(type):
        return array
    return pc.if_else(pc.is_nan(array), scalar, array)  # type: ignore[attr-defined]


def distinct(array: pa.Array) -> Json:
    """Sorted distinct values and their counts, as base64 of little-endian float64 and int64, and how many bits of the fraction are kept."""
    import numpy as np

    values, missing, _ = _seen(array)
    return _packed(*np.unique(values, return_counts=True), FRACTION_BITS) | missing


def merge_distinct(states: Sequence[Json]) -> Json:
    """The same of all the rows behind the states, whatever their order."""
    import numpy as np

    bits = min(state["bits"] for state in states)
    pairs = [counted(state) for state in states]
    values = _shortened(np.concatenate([values for values, _ in pairs]), bits)
    order = np.argsort(values, kind="stable")
    found, counts = _grouped(values[order], np.concatenate([counts for _, counts in pairs])[order])
    missing = {key: sum(state[key] for state in states) for key in ("num_nulls", "num_nans")}
    return _packed(found, counts, bits) | missing


def counted(state: Json) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct values and their counts, of a state of `distinct`."""
    import numpy as np

    return np.frombuffer(base64.b64decode(state["values"]), "<f8"), np.frombuffer(base64.b64decode(state["counts"]), "<i8")


def quantiles(name: str, state: Json, shares: Sequence[float]) -> list[float]:
    """The quantiles at these shares, between two values by a straight line (NumPy's `linear`); DataError where one is not finite."""
    import numpy as np

    values, counts = counted(state)
    if not len(values):
        raise DataError(f"column '{name}' has no value in the training part ({state['num_nulls']:,} nulls, {state['num_nans']:,} NaN)")
    upto = np.cumsum(counts)
    found = [_between(values, upto, share * (int(upto[-1]) - 1)) for share in shares]
    if not all(map(math.isfinite, found)):
        raise DataError(f"column '{name}' has an infinite quantile in the training part: its infinite values are too many")
    return found


def median(name: str, state: Json) -> float:
    """The median of merged distinct values; DataError where there is none."""
    return quantiles(name, state, [0.5])[0]


def rounding_notes(name: str, bits: int) -> list[str]:
    """What to say of a column whose values were shortened to be counted."""
    if bits == FRACTION_BITS:
        return []
    return [f"column '{name}' has more than {NUM_DISTINCT:,} distinct values: its quantiles are exact to a relative {2.0**-bits:.0e}"]


def _between(values: np.ndarray, upto: np.ndarray, place: float) -> float:
    import numpy as np

    at = math.floor(place)
    low, high = (float(values[np.searchsorted(upto, min(k, int(upto[-1]) - 1), side="right")]) for k in (at, at + 1))
    part = place - at
    return low if low == high or not part else low * (1.0 - part) + high * part


def _seen(array: pa.Array) -> tuple[np.ndarray, dict[str, int], float]:
    """The values that are neither null nor NaN, the counts of what is not among them, and the sum."""
    import numpy as np

    found, nulls = values(array)
    if nulls is not None:
        found = found[~nulls]
    num_nans = 0
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(found.sum())
        # A sum that is a number has no NaN in it, and it is needed anyway.
        if math.isnan(total) and (num_nans := int((nans := np.isnan(found)).sum())):
            found = found[~nans]
            total = float(found.sum())
    return found, {"num_nulls": len(array) - len(found) - num_nans, "num_nans": num_nans}, total


def _refuse_unless_finite(name: str, moments: Json) -> None:
    if not moments["n"]:
        raise DataError(f"column '{name}' has no value in the training part ({moments['num_nulls']:,} nulls, {moments['num_nans']:,} NaN)")
    if moments["num_infinite"]:
        raise DataError(f"column '{name}' has {moments['num_infinite']:,} infinite values in the training part, expected finite numbers")
    if not math.isfinite(moments["mean"]) or not math.isfinite(moments["m2"]):
        raise DataError(f"column '{name}' has values up to {max(-moments['min'], moments['max']):g}: too large to find their variance")


def _two_sum(a: float, b: float) -> tuple[float, float]:
    """The rounded sum and exactly what rounding took (Knuth)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def _packed(values: np.ndarray, counts: np.ndarray, bits: int) -> Json:
    while len(values) > NUM_DISTINCT:
        bits -= 1
        values, counts = _grouped(_shortened(values, bits), counts)
    packed = {"values": values.astype("<f8"), "counts": counts.astype("<i8")}
    return {key: base64.b64encode(array.tobytes()).decode("ascii") for key, array in packed.items()} | {"bits": bits}


def _shortened(values: np.ndarray, bits: int) -> np.ndarray:
    """Only so many bits of the fraction, towards zero: in the order of the values, and infinite ones stay."""
    import numpy as np

    dropped = np.uint64((1 << (FRACTION_BITS - bits)) - 1)
    return (values.view(np.uint64) & ~dropped).view(np.float64)


def _grouped(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equal neighbours as one, their counts summed."""
    import numpy as np

    if not len(values):
        return values, counts
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return values[first], np.add.reduceat(counts, first)
