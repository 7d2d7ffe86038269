"""What is said of a column's numbers, times or lengths, all of it from the sorted values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from raypipe.data.ascending import ascending, starts_of
from raypipe.data.statistics.moments import Moments
from raypipe.data.statistics.ranks import Ranks

if TYPE_CHECKING:
    import numpy as np

COUNTED_RANGE = 65_536
"""Whole numbers that lie so near to each other are counted, 2 ns a value, rather than sorted, 6 ns."""


@dataclass(frozen=True)
class Numbers:
    """All counts are exact, and so are least and greatest value; moments but for rounding; ranks say their error.

    Times, dates and durations are whole numbers of their unit, decimals of their last digit.
    """

    ranks: Ranks
    moments: Moments = Moments()
    """Of the finite ones."""
    num_nans: int = 0
    num_infinite: int = 0
    num_zeros: int = 0
    num_negative: int = 0
    """Minus infinity among them."""
    min: int | float | None = None
    """Infinities among them, NaN not."""
    max: int | float | None = None

    @property
    def n(self) -> int:
        """Nulls and NaN are not among them."""
        return self.ranks.n

    @classmethod
    def of(cls, grouped: Grouped) -> Numbers:
        import numpy as np

        values, counts = grouped.values, grouped.counts
        ends = grouped.ends
        if not len(values):
            return cls(Ranks.of(values, counts, ends), num_nans=grouped.num_nans)

        def upto(value: float, side: str) -> int:
            place = int(np.searchsorted(values, np.array(value, values.dtype), side=side))  # type: ignore[call-overload]
            return int(ends[place - 1]) if place else 0

        num_negative = upto(0, "left") if values[0] < 0 else 0
        low, high = values[0].item(), values[-1].item()
        made = cls(Ranks.of(values, counts, ends), Moments(), grouped.num_nans, 0, upto(0, "right") - num_negative, num_negative, low, high)
        if values.dtype.kind != "f" or (np.isfinite(low) and np.isfinite(high)):
            return replace(made, moments=_moments(grouped))
        finite = slice(int(np.isneginf(low)), len(values) - int(np.isposinf(high)))
        within = Grouped(values[finite], counts[finite])
        return replace(made, moments=_moments(within), num_infinite=int(ends[-1] - within.counts.sum()))

    @classmethod
    def merged(cls, parts: Sequence[Numbers]) -> Numbers:
        if len(parts) == 1:
            return parts[0]
        return cls(
            Ranks.merged([p.ranks for p in parts]),
            Moments.merged(p.moments for p in parts),
            sum(p.num_nans for p in parts),
            sum(p.num_infinite for p in parts),
            sum(p.num_zeros for p in parts),
            sum(p.num_negative for p in parts),
            min((p.min for p in parts if p.min is not None), default=None),
            max((p.max for p in parts if p.max is not None), default=None),
        )

    def rank_error(self) -> float:
        """How far the rank of a quantile may be off, as a share of the values; 0: it is exact."""
        return self.ranks.error / self.n if self.n else 0.0


@dataclass(frozen=True)
class Grouped:
    """A column's numbers, each once."""

    values: np.ndarray
    """Ascending, of the column's own width; NaN is not among them."""
    counts: np.ndarray
    """int64."""
    num_nans: int = 0

    @cached_property
    def is_once(self) -> bool:
        """Whether no value comes twice."""
        return bool(len(self.counts)) and int(self.counts.max()) == 1

    @cached_property
    def ends(self) -> np.ndarray:
        """int64 [values]: how many are at most each."""
        import numpy as np

        return np.arange(1, len(self.counts) + 1) if self.is_once else np.cumsum(self.counts)


def grouped(values: np.ndarray, weights: np.ndarray | None = None) -> Grouped:
    """Of numbers in any order; `weights`: how often each stands for one, at least once. What is given is not changed."""
    import numpy as np

    if not len(values):
        return Grouped(values, np.zeros(0, np.int64))
    if values.dtype.kind in "iu" and (found := _counted(values, weights)) is not None:
        return found
    if weights is not None:
        return _weighted(values, weights)
    ordered = ascending(values)
    if ordered.dtype.kind == "f":
        ordered += 0.0  # -0.0 becomes 0.0
    num_nans = len(ordered) - int(np.searchsorted(ordered, np.nan)) if values.dtype.kind == "f" else 0
    ordered = ordered[: len(ordered) - num_nans]
    if not len(ordered):
        return Grouped(ordered, np.zeros(0, np.int64), num_nans)
    if (ordered[1:] != ordered[:-1]).all():
        return Grouped(ordered, np.broadcast_to(np.ones(1, np.int64), len(ordered)), num_nans)
    starts = starts_of(ordered)
    return Grouped(ordered[starts], np.diff(starts, append=len(ordered)), num_nans)


def _counted(values: np.ndarray, weights: np.ndarray | None) -> Grouped | None:
    import numpy as np

    low, high = values.min(), values.max()
    if int(high) - int(low) >= COUNTED_RANGE:
        return None
    # In 64 bits: the distance of two int8 is no int8.
    wide = np.uint64 if values.dtype.kind == "u" else np.int64
    counts = np.bincount((values.astype(wide, copy=False) - wide(low)).astype(np.int64), weights)
    places = np.flatnonzero(counts)
    return Grouped((places.astype(wide) + wide(low)).astype(values.dtype), counts[places].astype(np.int64))


def _weighted(values: np.ndarray, weights: np.ndarray) -> Grouped:
    import numpy as np

    missing = values != values
    found, places = np.unique(values[~missing] + 0, return_inverse=True)
    counts = np.zeros(len(found), np.int64)
    np.add.at(counts, places, weights[~missing])
    return Grouped(found, counts, int(weights[missing].sum()))


def _moments(grouped: Grouped) -> Moments:
    return Moments.of(grouped.values, None if grouped.is_once else grouped.counts)
