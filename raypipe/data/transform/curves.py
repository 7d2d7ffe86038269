"""Scikit-learn's transformers of one column as plain numbers: how each is learnt from merged states, and its curve, value by value."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.transform import numbers

if TYPE_CHECKING:
    import numpy as np

Curve = Callable[[float], float]

LAMBDAS = (-5.0, 5.0)
"""Where the exponent of a power transform is looked for."""
_TAIL = 1e-7
"""Shares nearer to 0 and 1 than this are put there before they become normal scores, as in scikit-learn: 5.2 deviations."""


def min_max(name: str, moments: Json, settings: Json) -> Json:
    """`x * scale + shift`: the least and largest value onto the range."""
    low, high = _span(name, moments)
    bottom, top = settings["feature_range"]
    scale = _finite(name, high - low, (top - bottom) / ((high - low) or 1.0))
    return {"scale": scale, "shift": bottom - low * scale}


def max_abs(name: str, moments: Json, settings: Json) -> Json:
    largest = max(map(abs, _span(name, moments)))
    return {"scale": _finite(name, largest, 1.0 / (largest or 1.0)), "shift": 0.0}


def quantile_curve(name: str, state: Json, settings: Json) -> Json:
    """The quantiles at evenly spaced shares, as many as there are rows at most."""
    num_rows = int(numbers.counted(state)[1].sum())
    count = max(2, min(settings["n_quantiles"], num_rows))
    shares = [place / (count - 1) for place in range(count)]
    return {"quantiles": numbers.quantiles(name, state, shares), "shares": shares, "bits": state["bits"]}


def edges(name: str, state: Json, settings: Json) -> Json:
    """The edges between bins, of one size (`quantile`) or of one width (`uniform`); equal edges are one."""
    count = settings["n_bins"]
    if settings["strategy"] == "quantile":
        least, *found, _ = numbers.quantiles(name, state, [place / count for place in range(count + 1)])
        return {"edges": sorted({edge for edge in found if edge > least}), "bits": state["bits"]}
    low, high = _span(name, state)
    return {"edges": sorted({low + (high - low) * (place / count) for place in range(1, count)} - {low})}


def power(name: str, state: Json, settings: Json) -> Json:
    """The exponent of the largest likelihood (Yeo and Johnson, 2000; Box and Cox, 1964), then mean and deviation of what it makes."""
    import numpy as np

    values, counts = numbers.counted(state)
    if not len(values) or not np.isfinite(values).all():
        raise DataError(f"column '{name}' has no value, or infinite ones, in the training part")
    if settings["method"] == "box-cox" and values[0] <= 0:
        raise DataError(f"column '{name}' has values down to {values[0]:g}: box-cox takes positive ones only, yeo-johnson all")
    exponent = 1.0 if values[0] == values[-1] else _best_exponent(values, counts, settings["method"])
    made = np.array([power_of(v, exponent, settings["method"]) for v in values.tolist()])
    with np.errstate(all="ignore"):
        mean = float(np.average(made, weights=counts))
        deviation = math.sqrt(float(np.average(np.square(made - mean), weights=counts)))
    if not math.isfinite(deviation):
        raise DataError(f"column '{name}' has values up to {values[-1]:g}: too large for a power transform")
    standardize = settings["standardize"]
    scale = deviation if standardize and deviation else 1.0
    return {"exponent": exponent, "mean": mean if standardize else 0.0, "scale": scale, "bits": state["bits"]}


def quantile_of(quantiles: list[float], shares: list[float], normal: bool) -> Curve:
    """The share of the training part below a value, between two quantiles by a straight line; as a normal score where asked."""
    from statistics import NormalDist

    score = NormalDist().inv_cdf

    def share(value: float) -> float:
        if value <= quantiles[0] or value >= quantiles[-1]:
            return 0.0 if value <= quantiles[0] else 1.0
        left, right = bisect_left(quantiles, value), bisect_right(quantiles, value)
        if left < right:
            # Quantiles of one value: the middle of their shares, as scikit-learn has it.
            return 0.5 * (shares[left] + shares[right - 1])
        x, y = quantiles[left - 1], shares[left - 1]
        return y + (value - x) / (quantiles[left] - x) * (shares[left] - y)

    return (lambda value: score(min(max(share(value), _TAIL), 1.0 - _TAIL))) if normal else share


def power_of(value: float, exponent: float, method: str) -> float:
    """One value by the power transform; NaN where it has none (box-cox of what is not positive)."""
    if method == "box-cox":
        return _power(value, exponent) if value > 0 else math.nan
    return _power(value + 1.0, exponent) if value >= 0 else -_power(1.0 - value, 2.0 - exponent)


def _power(base: float, exponent: float) -> float:
    """`(base ** exponent - 1) / exponent`, its limit at 0, of a positive base."""
    logarithm = math.log(base)
    if exponent == 0.0:
        return logarithm
    try:
        return math.expm1(exponent * logarithm) / exponent
    except OverflowError:
        return math.inf


def _best_exponent(values: np.ndarray, counts: np.ndarray, method: str) -> float:
    import numpy as np
    from scipy.optimize import minimize_scalar

    shifted = np.abs(values) + 1.0 if method == "yeo-johnson" else values
    slope = float(np.average(np.sign(values) * np.log(shifted) if method == "yeo-johnson" else np.log(shifted), weights=counts))

    def unlikely(exponent: float) -> float:
        with np.errstate(all="ignore"):
            made = _powers(values, shifted, exponent, method)
            variance = float(np.average(np.square(made - np.average(made, weights=counts)), weights=counts))
        if not 0 < variance < math.inf:
            return 1e300
        return 0.5 * math.log(variance) - (exponent - 1.0) * slope

    found: Any = minimize_scalar(unlikely, bounds=LAMBDAS, method="bounded", options={"xatol": 1e-9})
    return float(found.x)


def _powers(values: np.ndarray, shifted: np.ndarray, exponent: float, method: str) -> np.ndarray:
    """As `power_of`, of many, for the fit alone: its last bits may differ."""
    import numpy as np

    def power(exponent: float) -> np.ndarray:
        return np.log(shifted) if exponent == 0.0 else np.expm1(exponent * np.log(shifted)) / exponent

    return power(exponent) if method == "box-cox" else np.where(values >= 0, power(exponent), -power(2.0 - exponent))


def _finite(name: str, span: float, scale: float) -> float:
    if not math.isfinite(scale):
        raise DataError(f"column '{name}' has values within {span:g}: too near to each other to scale by")
    return scale


def _span(name: str, moments: Json) -> tuple[float, float]:
    if not moments["n"]:
        raise DataError(f"column '{name}' has no value in the training part ({moments['num_nulls']:,} nulls, {moments['num_nans']:,} NaN)")
    if moments["num_infinite"]:
        raise DataError(f"column '{name}' has {moments['num_infinite']:,} infinite values in the training part, expected finite numbers")
    if not math.isfinite(moments["max"] - moments["min"]):
        raise DataError(f"column '{name}' has values from {moments['min']:g} to {moments['max']:g}: too far apart to scale by")
    return moments["min"], moments["max"]
