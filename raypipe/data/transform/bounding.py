"""Fitted transforms that put a number between bounds, or into the bin between two edges."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.names import column_problems
from raypipe.data.transform import numbers
from raypipe.data.transform.entry import Frame, Row, replace_types, require_type
from raypipe.data.types import is_number


@dataclass(frozen=True)
class Clip:
    """What lies outside the bounds is put on the nearer one: bounds that are given, or quantiles of the training part.

    Null and NaN stay; an infinite value is clipped. A float column keeps its type, an integer or bool column becomes float64. Quantiles
    are as in RobustScale.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Numeric or bool columns."""
    low: float | None = None
    """The lower bound."""
    high: float | None = None
    """The upper bound."""
    quantiles: list[float] | None = None
    """Instead of bounds: the two shares of the training part, such as [0.01, 0.99], whose quantiles are the bounds of each column."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns)
        bounds = {"low": self.low, "high": self.high}
        bad = [f"{key} is {value!r}, expected a finite number" for key, value in bounds.items() if value is not None and not _finite(value)]
        if self.quantiles is not None:
            given = [key for key, value in bounds.items() if value is not None]
            return found + bad + _quantile_problems(self.quantiles) + [f"{key} and quantiles: give one of them" for key in given]
        if self.low is None and self.high is None:
            bad.append("no bound is given: expected low, high or quantiles")
        if not bad and self.low is not None and self.high is not None and self.low > self.high:
            bad.append(f"low is {self.low}, high is {self.high}: expected low below high")
        return found + bad

    def learns(self) -> bool:
        return self.quantiles is not None

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_number, "a number")
        return replace_types(schema, {name: _float_type(schema.field(name).type) for name in self.columns})

    def partial(self, frame: Frame) -> Json:
        return {name: numbers.distinct(frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        return {name: numbers.merge_distinct([state[name] for state in states]) for name in self.columns}

    def fit(self, state: Json) -> Json:
        """For each column `bounds` and the bits that its values kept."""
        shares = self.quantiles or []
        return {name: {"bounds": numbers.quantiles(name, state[name], shares), "bits": state[name]["bits"]} for name in self.columns}

    def notes(self, fitted: Json) -> list[str]:
        return [note for name in self.columns for note in numbers.rounding_notes(name, fitted[name]["bits"])]

    def _bounds(self, name: str, fitted: Json, type: pa.DataType) -> tuple[float, float]:
        """Those of the column, as its type has them."""
        low, high = fitted[name]["bounds"] if self.learns() else (self.low, self.high)
        bounds = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
        lower, upper = (pa.scalar(bound, pa.float64()).cast(_float_type(type), safe=False).as_py() for bound in bounds)
        return lower, upper

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        import numpy as np

        def clipped(name: str) -> pa.Array:
            low, high = self._bounds(name, fitted, frame[name].type)
            values, nulls = numbers.values(frame[name])
            out = np.where(values < low, low, np.where(values > high, high, values))
            with np.errstate(all="ignore"):
                return pa.array(out, mask=nulls, from_pandas=False).cast(_float_type(frame[name].type), safe=False)

        return frame | {name: clipped(name) for name in self.columns}

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        learnt = [(name, *self._bounds(name, fitted, schema.field(name).type)) for name in self.columns]

        def clipped(value: Any, low: float, high: float) -> float | None:
            return None if value is None else low if (v := float(value)) < low else high if v > high else v

        return lambda row: {name: clipped(row[name], low, high) for name, low, high in learnt}


@dataclass(frozen=True)
class QuantileBins:
    """The number of the bin, from 0, as int32, in place; the edges are quantiles of the training part, so that bins are of one size.

    A value on an edge is in the bin above it. What is below or above all that was seen is in the first or last bin. Null and NaN are -1.
    Equal edges are one: a column of few values gets fewer bins, and a note says so. Quantiles are as in RobustScale.
    """

    revision: ClassVar[int] = 1

    columns: list[str]
    """Numeric or bool columns."""
    num_bins: int = 10
    """How many bins, at least 2."""

    def problems(self) -> list[str]:
        wrong = isinstance(self.num_bins, bool) or not isinstance(self.num_bins, int) or not 2 <= self.num_bins <= 10_000
        return column_problems(self.columns) + ([f"num_bins is {self.num_bins!r}, expected 2 to 10,000"] if wrong else [])

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return self.columns

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, is_number, "a number")
        return replace_types(schema, dict.fromkeys(self.columns, pa.int32()))

    def partial(self, frame: Frame) -> Json:
        return {name: numbers.distinct(frame[name]) for name in self.columns}

    def merge(self, states: Sequence[Json]) -> Json:
        return {name: numbers.merge_distinct([state[name] for state in states]) for name in self.columns}

    def fit(self, state: Json) -> Json:
        """For each column the `edges` between its bins and the bits that its values kept."""
        return {name: {"edges": self._edges(name, state[name]), "bits": state[name]["bits"]} for name in self.columns}

    def _edges(self, name: str, state: Json) -> list[float]:
        shares = [place / self.num_bins for place in range(self.num_bins)]
        least, *edges = numbers.quantiles(name, state, shares)
        # Below an edge at the least value there is nothing.
        return sorted({edge for edge in edges if edge > least})

    def notes(self, fitted: Json) -> list[str]:
        bins = {name: len(fitted[name]["edges"]) + 1 for name in self.columns}
        few = [f"column '{name}' has {n} bins, not {self.num_bins}: it has few values" for name, n in bins.items() if n < self.num_bins]
        return few + [note for name in self.columns for note in numbers.rounding_notes(name, fitted[name]["bits"])]

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        return frame | {name: pa.array(numbers.bins(frame[name], fitted[name]["edges"])) for name in self.columns}

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        return lambda row: {name: bin_of(row[name], learnt["edges"]) for name, learnt in fitted.items()}


def bin_of(value: Any, edges: Sequence[float]) -> int:
    """`numbers.bins` of one value."""
    return -1 if value is None or value != value else bisect_right(edges, float(value))


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _float_type(type: pa.DataType) -> pa.DataType:
    return type if pa.types.is_floating(type) else pa.float64()


def _quantile_problems(shares: Any) -> list[str]:
    good = isinstance(shares, list | tuple) and len(shares) == 2 and all(map(_finite, shares)) and 0 <= shares[0] < shares[1] <= 1
    return [] if good else [f"quantiles is {shares!r}, expected two shares in order, such as [0.01, 0.99]"]
