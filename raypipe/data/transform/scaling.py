"""Fitted transforms of numbers that bring columns to one scale: by mean and deviation, or by median and quartiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.names import column_problems
from raypipe.data.transform import numbers
from raypipe.data.transform.entry import Frame, Row, replace_types, require_type
from raypipe.data.types import is_number


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

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_number, "a number")
        return replace_types(schema, dict.fromkeys(self.columns, pa.float32()))

    def partial(self, frame: Frame) -> Json:
        return {name: numbers.moments(frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        merged = states[0]
        for state in states[1:]:
            merged = {name: numbers.merge_moments(merged[name], state[name]) for name in self.columns}
        return merged

    def fit(self, state: Json) -> Json:
        """For each column `mean`, `scale`, and how many values, nulls and NaNs were seen."""
        return {name: numbers.scale(name, state[name]) for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return [f"column '{name}' is always {fitted[name]['mean']:g}: its scale is 1" for name in self.columns if fitted[name]["constant"]]

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return frame | {name: numbers.standardized(frame[name], fitted[name]["mean"], fitted[name]["scale"]) for name in self.columns}

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        return numbers.standardizing([(name, fitted[name]["mean"], fitted[name]["scale"]) for name in self.columns])


@dataclass(frozen=True)
class RobustScale:
    """`(x - median) / (upper - lower quartile)` of the training part, as float32, in place: what a few wild values do not shift.

    Nulls and NaNs are left out of the fit and stay; infinite values are counted, and are infinite afterwards. Where the quartiles are
    one value the scale is 1. Quantiles are exact up to 4 million distinct values (between two by a straight line, as NumPy's and
    scikit-learn's RobustScaler); beyond to a relative 2^-10 at worst, about 1e-6 as a rule, and a note says which.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Numeric or bool columns."""

    def problems(self) -> list[str]:
        return column_problems(self.columns)

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_number, "a number")
        return replace_types(schema, dict.fromkeys(self.columns, pa.float32()))

    def partial(self, frame: Frame) -> Json:
        return {name: numbers.distinct(frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        return {name: numbers.merge_distinct([state[name] for state in states]) for name in self.columns}

    def fit(self, state: Json) -> Json:
        """For each column `median`, `scale`, whether the quartiles are one value, and the bits that its values kept."""
        return {name: self._scale(name, state[name]) for name in self.columns}

    def _scale(self, name: str, state: Json) -> Json:
        lower, median, upper = numbers.quantiles(name, state, [0.25, 0.5, 0.75])
        scale = upper - lower
        if not math.isfinite(scale):
            raise DataError(f"column '{name}' has quartiles {lower:g} and {upper:g}: too far apart to scale by")
        return {"median": median, "scale": scale or 1.0, "constant": not scale, "bits": state["bits"]}

    def notes(self, fitted: Json) -> list[str]:
        flat = [f"column '{name}' has both quartiles at one value: its scale is 1" for name in self.columns if fitted[name]["constant"]]
        return flat + [note for name in self.columns for note in numbers.rounding_notes(name, fitted[name]["bits"])]

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return frame | {name: numbers.standardized(frame[name], fitted[name]["median"], fitted[name]["scale"]) for name in self.columns}

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        return numbers.standardizing([(name, fitted[name]["median"], fitted[name]["scale"]) for name in self.columns])
