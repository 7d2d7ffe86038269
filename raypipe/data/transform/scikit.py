"""Scikit-learn's transformers whose fitted state is plain arrays, as entries of a chain: learnt from merged states, applied by raypipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import nearest
from raypipe.data.names import column_problems
from raypipe.data.transform import curves, numbers
from raypipe.data.transform.bounding import bin_of
from raypipe.data.transform.entry import Frame, Row, replace_types, require_type
from raypipe.data.types import is_number

SETTINGS: dict[str, dict[str, Json]] = {
    "MinMaxScaler": {"feature_range": [0.0, 1.0]},
    "MaxAbsScaler": {},
    "PowerTransformer": {"method": "yeo-johnson", "standardize": True},
    "QuantileTransformer": {"n_quantiles": 1000, "output_distribution": "uniform"},
    "KBinsDiscretizer": {"n_bins": 5, "strategy": "quantile"},
}
"""The transformers that there are, and the settings of each, by scikit-learn's names and with its defaults."""
CHOICES = {
    "method": ("yeo-johnson", "box-cox"),
    "output_distribution": ("uniform", "normal"),
    "strategy": ("quantile", "uniform"),
}


@dataclass(frozen=True)
class ScikitLearn:
    """One of scikit-learn's transformers of single columns, in place: MinMaxScaler, MaxAbsScaler, PowerTransformer, QuantileTransformer,
    KBinsDiscretizer.

    What it learns is scikit-learn's to rounding, from all rows of the training part in one pass, and kept as plain numbers; scikit-learn
    is not called, and nothing is unpickled. Null and NaN are left out of the fit and stay, as float32; KBinsDiscretizer gives the number of
    the bin as int32 (its `encode: ordinal`), -1 where the value is missing. Values outside of what was seen: MinMaxScaler and MaxAbsScaler
    leave their range, QuantileTransformer and KBinsDiscretizer give the first or last. PowerTransformer looks for its exponent from
    -5 to 5. PowerTransformer and QuantileTransformer compute value by value with Python's own functions, for many rows as for one: the
    same bits, at up to a microsecond a value; on another machine's C library the last bit may differ.

    PCA and others that mix columns are not among them. Quantiles and powers are learnt as RobustScale learns its quantiles.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Numeric or bool columns."""
    transformer: str
    """Its name in scikit-learn."""
    settings: dict[str, Json] = field(default_factory=dict)
    """Its settings by scikit-learn's names: `feature_range`; `method`, `standardize`; `n_quantiles`, `output_distribution`; `n_bins`,
    `strategy` (quantile or uniform)."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns)
        if self.transformer not in SETTINGS:
            return [*found, f"transformer '{self.transformer}' is not one that raypipe applies.{nearest(str(self.transformer), SETTINGS)}"]
        if not isinstance(self.settings, Mapping):
            return [*found, f"settings is {self.settings!r}, expected a mapping"]
        known = SETTINGS[self.transformer]
        unknown = [f"'{n}' is no setting of {self.transformer}.{nearest(n, known)}" for n in self.settings if n not in known]
        return found + unknown + [text for n in known if (text := _wrong(n, self._settings()[n]))]

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_number, "a number")
        return replace_types(schema, dict.fromkeys(self.columns, pa.int32() if self._bins() else pa.float32()))

    def partial(self, frame: Frame) -> Json:
        learn = numbers.moments if self._of_moments() else numbers.distinct
        return {name: learn(frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        if not self._of_moments():
            return {name: numbers.merge_distinct([state[name] for state in states]) for name in self.columns}
        merged = states[0]
        for state in states[1:]:
            merged = {name: numbers.merge_moments(merged[name], state[name]) for name in self.columns}
        return merged

    def fit(self, state: Json) -> Json:
        """For each column its numbers, by name."""
        learn: dict[str, Callable[[str, Json, Json], Json]] = {
            "MinMaxScaler": curves.min_max,
            "MaxAbsScaler": curves.max_abs,
            "PowerTransformer": curves.power,
            "QuantileTransformer": curves.quantile_curve,
            "KBinsDiscretizer": curves.edges,
        }
        return {name: learn[self.transformer](name, state[name], self._settings()) for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return [n for name in self.columns for n in numbers.rounding_notes(name, fitted[name].get("bits", numbers.FRACTION_BITS))]

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return frame | {name: self._applied(frame[name], fitted[name]) for name in self.columns}

    def _applied(self, array: pa.Array, learnt: Json) -> pa.Array:
        if self._bins():
            return pa.array(numbers.bins(array, learnt["edges"]))
        return numbers.curved(array, self._curve(learnt), by_value=self.transformer in ("PowerTransformer", "QuantileTransformer"))

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        if self._bins():
            return lambda row: {name: bin_of(row[name], learnt["edges"]) for name, learnt in fitted.items()}
        found = {name: self._curve(fitted[name]) for name in self.columns}
        return lambda row: {name: numbers.curved_one(row[name], curve) for name, curve in found.items()}

    def _curve(self, learnt: Json) -> Callable[[Any], Any]:
        """From a value to a value; of the scalers also from an array to an array: the same two roundings."""
        if self.transformer == "PowerTransformer":
            exponent, mean, scale, method = learnt["exponent"], learnt["mean"], learnt["scale"], self._settings()["method"]
            return lambda value: (curves.power_of(value, exponent, method) - mean) / scale
        if self.transformer == "QuantileTransformer":
            normal = self._settings()["output_distribution"] == "normal"
            return curves.quantile_of(learnt["quantiles"], learnt["shares"], normal)
        scale, shift = learnt["scale"], learnt["shift"]
        return lambda value: value * scale + shift

    def _settings(self) -> dict[str, Any]:
        return SETTINGS[self.transformer] | dict(self.settings)

    def _bins(self) -> bool:
        return self.transformer == "KBinsDiscretizer"

    def _of_moments(self) -> bool:
        return self.transformer in ("MinMaxScaler", "MaxAbsScaler") or (self._bins() and self._settings()["strategy"] == "uniform")


def _wrong(name: str, value: Any) -> str | None:
    if name in CHOICES:
        return None if value in CHOICES[name] else f"{name} is {value!r}, expected {' or '.join(CHOICES[name])}"
    if name == "standardize":
        return None if isinstance(value, bool) else f"standardize is {value!r}, expected true or false"
    if name == "feature_range":
        good = isinstance(value, list | tuple) and len(value) == 2 and all(map(_finite, value)) and value[0] < value[1]
        return None if good else f"feature_range is {value!r}, expected two numbers in order, such as [0, 1]"
    good = isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= 100_000
    return None if good else f"{name} is {value!r}, expected 2 to 100,000"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
