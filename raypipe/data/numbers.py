"""Fitted transforms of numeric columns: Standardize and Impute."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.transform import Frame, column_problems, replace_types, require, require_type
from raypipe.data.types import is_number, is_text, type_name, value_type

if TYPE_CHECKING:
    import numpy as np

NUM_DISTINCT = 4_000_000
"""Distinct values of a column up to which a median is found: 32 MB of them in the driver."""


@dataclass(frozen=True)
class Standardize:
    """`(x - mean) / std` of the training part, as float32, in place.

    Nulls and NaNs are left out of the fit and stay null and NaN. std is the population's (divided by n), as scikit-learn's
    StandardScaler has it. A column of one value has scale 1. A column without a value, or with an infinite one, is refused.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Numeric or bool columns."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_number, "a number")
        return replace_types(schema, dict.fromkeys(self.columns, pa.float32()))

    def partial(self, frame: Frame) -> Json:
        return {name: _moments(frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        merged = states[0]
        for state in states[1:]:
            merged = {name: _merge_moments(merged[name], state[name]) for name in self.columns}
        return merged

    def fit(self, state: Json) -> Json:
        """For each column `mean`, `scale`, and how many values, nulls and NaNs were seen."""
        return {name: _scale(name, state[name]) for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return [f"column '{name}' is always {fitted[name]['mean']:g}: its scale is 1" for name in self.columns if fitted[name]["constant"]]

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return frame | {name: _standardized(frame[name], fitted[name]["mean"], fitted[name]["scale"]) for name in self.columns}


@dataclass(frozen=True)
class Impute:
    """Puts a value where there is none: null, and NaN in a float column.

    `mean` and `median` are those of the training part and make float64 of an integer or bool column; `constant` keeps the type.
    The median is exact, the mean of the middle two where their number is even. A dictionary column becomes its values' type.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Numeric columns; with `constant` strings too."""
    with_: Literal["mean", "median", "constant"] = "median"
    """What is put there."""
    value: float | int | str | bool | None = None
    """With `constant`: the value, of the columns' type."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns)
        if self.with_ not in ("mean", "median", "constant"):
            found.append(f"with_ is {self.with_!r}, expected mean, median or constant")
        if self.with_ == "constant" and self.value is None:
            found.append("with_: constant needs a value")
        if self.with_ != "constant" and self.value is not None:
            found.append(f"value is {self.value!r}, but with_ is {self.with_}: a value goes with with_: constant")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            found.append(f"value is {self.value}, expected a finite number")
        return found

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        if self.with_ == "constant":
            require(schema, self.columns)
            return replace_types(schema, {name: self._constant(schema.field(name)).type for name in self.columns})
        require_type(schema, self.columns, is_number, "a number")
        kept = {name: schema.field(name).type for name in self.columns if pa.types.is_floating(schema.field(name).type)}
        return replace_types(schema, dict.fromkeys(self.columns, pa.float64()) | kept)

    def _constant(self, field: pa.Field) -> pa.Scalar:
        """The value as the column's type; DataError where it is none of it."""
        type = value_type(field.type)
        fits = (is_text(type) and isinstance(self.value, str)) or (is_number(type) and not isinstance(self.value, str))
        if fits and pa.types.is_boolean(type) == isinstance(self.value, bool):
            try:
                return pa.scalar(self.value, type)
            except (pa.ArrowInvalid, OverflowError):
                fits = False
        raise DataError(f"column '{field.name}' is {type_name(field.type)}, value is {self.value!r}: expected a value of the column's type")

    def partial(self, frame: Frame) -> Json:
        if self.with_ == "constant":
            return {name: frame[name].null_count for name in self.columns}
        return {name: _moments(frame[name]) if self.with_ == "mean" else _distinct(name, frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        if self.with_ == "constant":
            return {name: sum(state[name] for state in states) for name in self.columns}
        if self.with_ == "median":
            return {name: _merge_distinct(name, [state[name] for state in states]) for name in self.columns}
        return Standardize(self.columns).merge(states)

    def fit(self, state: Json) -> Json:
        """For each column its value."""
        if self.with_ == "constant":
            return dict.fromkeys(self.columns, self.value)
        value = {"mean": _mean, "median": _median}[self.with_]
        return {name: value(name, state[name]) for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return []

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        keep = self.with_ == "constant"
        return frame | {name: _filled(frame[name], fitted[name], keep) for name in self.columns}


def _values(array: pa.Array) -> tuple[np.ndarray, np.ndarray | None]:
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


def _seen(array: pa.Array) -> tuple[np.ndarray, dict[str, int]]:
    """The values that are neither null nor NaN, and the counts of what is not among them."""
    import numpy as np

    values, nulls = _values(array)
    if nulls is not None:
        values = values[~nulls]
    nans = np.isnan(values)
    num_nans = int(nans.sum())
    values = values[~nans] if num_nans else values
    return values, {"num_nulls": len(array) - len(values) - num_nans, "num_nans": num_nans}


def _moments(array: pa.Array) -> Json:
    """Count, mean and sum of squared deviations, by two passes; minimum and maximum."""
    import numpy as np

    values, missing = _seen(array)
    infinite = int(np.isinf(values).sum())
    if not len(values) or infinite:
        return {"n": len(values), "mean": 0.0, "m2": 0.0, "min": None, "max": None, "num_infinite": infinite} | missing
    low, high = float(values.min()), float(values.max())
    with np.errstate(over="ignore", invalid="ignore"):
        # One value only: the mean of equal doubles may be off by a bit, and that bit would become the scale.
        mean = low if low == high else float(values.mean())
        m2 = float(np.square(values - mean).sum())
    return {"n": len(values), "mean": mean, "m2": m2, "min": low, "max": high, "num_infinite": 0} | missing


def _merge_moments(a: Json, b: Json) -> Json:
    """Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979), formula 2.1."""
    counts = {key: a[key] + b[key] for key in ("num_nulls", "num_nans", "num_infinite")}
    if not a["n"] or not b["n"]:
        return {**(a if a["n"] else b), **counts}
    if a["min"] is None or b["min"] is None:
        return {**a, "min": None, "max": None, **counts, "n": a["n"] + b["n"]}
    n, delta = a["n"] + b["n"], b["mean"] - a["mean"]
    mean = a["mean"] + delta * (b["n"] / n)
    m2 = a["m2"] + b["m2"] + delta * delta * (a["n"] * b["n"] / n)
    return {"n": n, "mean": mean, "m2": m2, "min": min(a["min"], b["min"]), "max": max(a["max"], b["max"])} | counts


def _refuse_unless_finite(name: str, moments: Json) -> None:
    if not moments["n"]:
        raise DataError(f"column '{name}' has no value in the training part ({moments['num_nulls']:,} nulls, {moments['num_nans']:,} NaN)")
    if moments["num_infinite"]:
        raise DataError(f"column '{name}' has {moments['num_infinite']:,} infinite values in the training part, expected finite numbers")
    if not math.isfinite(moments["mean"]) or not math.isfinite(moments["m2"]):
        raise DataError(f"column '{name}' has values up to {max(-moments['min'], moments['max']):g}: too large to find their variance")


def _scale(name: str, moments: Json) -> Json:
    _refuse_unless_finite(name, moments)
    std = math.sqrt(moments["m2"] / moments["n"])
    constant = moments["min"] == moments["max"] or std == 0.0
    counts = {key: moments[key] for key in ("n", "num_nulls", "num_nans")}
    return {"mean": moments["mean"], "scale": 1.0 if constant else std, "constant": constant} | counts


def _mean(name: str, moments: Json) -> float:
    _refuse_unless_finite(name, moments)
    return moments["mean"]


def _standardized(array: pa.Array, mean: float, scale: float) -> pa.Array:
    import numpy as np

    values, nulls = _values(array)
    # Subtract, divide and round are exactly rounded by IEEE 754, one row or many. What lies under a null may overflow.
    with np.errstate(all="ignore"):
        out = ((values - mean) / scale).astype(np.float32)
    return pa.array(out, mask=nulls, from_pandas=False)


def _filled(array: pa.Array, value: float | int | str | bool, keep: bool) -> pa.Array:
    type = value_type(array.type)
    if not keep and not pa.types.is_floating(type):
        type = pa.float64()
    array = array if array.type == type else array.cast(type)
    scalar = pa.scalar(value, type)
    if array.null_count:
        array = pc.fill_null(array, scalar)
    return pc.if_else(pc.is_nan(array), scalar, array) if pa.types.is_floating(type) else array


def _distinct(name: str, array: pa.Array) -> Json:
    """Sorted distinct values and their counts, as base64 of little-endian float64 and int64."""
    import numpy as np

    values, missing = _seen(array)
    distinct, counts = np.unique(values, return_counts=True)
    return _packed(name, distinct, counts) | missing


def _merge_distinct(name: str, states: Sequence[Json]) -> Json:
    import numpy as np

    pairs = [_unpacked(state) for state in states]
    distinct, place = np.unique(np.concatenate([values for values, _ in pairs]), return_inverse=True)
    counts = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(counts, place, np.concatenate([counts for _, counts in pairs]))
    missing = {key: sum(state[key] for state in states) for key in ("num_nulls", "num_nans")}
    return _packed(name, distinct, counts) | missing


def _median(name: str, state: Json) -> float:
    import numpy as np

    values, counts = _unpacked(state)
    if not len(values):
        raise DataError(f"column '{name}' has no value in the training part ({state['num_nulls']:,} nulls, {state['num_nans']:,} NaN)")
    upto = np.cumsum(counts)
    n = int(upto[-1])
    low, high = (float(values[np.searchsorted(upto, k, side="right")]) for k in ((n - 1) // 2, n // 2))
    if not math.isfinite(low) or not math.isfinite(high):
        raise DataError(f"column '{name}' has an infinite median in the training part")
    return low if low == high else low / 2 + high / 2


def _packed(name: str, values: np.ndarray, counts: np.ndarray) -> Json:
    if len(values) > NUM_DISTINCT:
        raise DataError(
            f"column '{name}' has more than {NUM_DISTINCT:,} distinct values, too many for an exact median: use with_: mean, "
            "or round the column first"
        )
    packed = {"values": values.astype("<f8"), "counts": counts.astype("<i8")}
    return {key: base64.b64encode(array.tobytes()).decode("ascii") for key, array in packed.items()}


def _unpacked(state: Json) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    return np.frombuffer(base64.b64decode(state["values"]), "<f8"), np.frombuffer(base64.b64decode(state["counts"]), "<i8")
