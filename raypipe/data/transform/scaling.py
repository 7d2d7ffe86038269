"""Fitted transforms of numbers that bring columns to one scale: by moments, by quartiles, within bounds, into bins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
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
        learnt = [(name, fitted[name]["mean"], fitted[name]["scale"]) for name in self.columns]
        return lambda row: {name: numbers.standardized_one(row[name], mean, scale) for name, mean, scale in learnt}
