"""Mean, deviation, skewness and kurtosis of numbers, from sums about the mean that merge."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CHUNK = 8_192
"""Values that are worked on at a time: they stay in the processor's cache, and OpenBLAS, which takes all cores from 10,000 on, does not."""


@dataclass(frozen=True)
class Moments:
    """Of finite numbers: how many, their mean, and the sums of the second, third and fourth powers of their distances from it.

    In double precision: exact but for rounding, a relative 1e-12 or so; beyond a deviation of 1e75 the higher sums are infinite, and what
    is made of them is not given.
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray, counts: np.ndarray | None = None) -> Moments:
        """Of finite numbers of any width; `counts`: how often each value stands for one."""
        import numpy as np

        n = len(values) if counts is None else int(counts.sum())
        if not n:
            return cls()
        mean = _mean(values, counts, n)
        m1 = m2 = m3 = m4 = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(values), CHUNK):
                d = values[start : start + CHUNK].astype(np.float64) - mean
                weighted = d if counts is None else d * counts[start : start + CHUNK]
                squares = d * d
                m1 += float(weighted.sum())
                m2 += float(weighted @ d)
                m3 += float(weighted @ squares)
                m4 += float((weighted * d) @ squares)
        # The mean's rounding (m1 is not quite 0) taken out: the corrected two-pass algorithm.
        return cls(n, mean + m1 / n, m2 - m1 * m1 / n, m3, m4)

    @classmethod
    def merged(cls, parts: Iterable[Moments]) -> Moments:
        """P. Pébay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments", Sandia
        report SAND2008-6212, 2008, formulas 2.1, 3.1 and those for the fourth order."""
        total = cls()
        for part in parts:
            total = total + part
        return total

    def __add__(self, other: Moments) -> Moments:
        if not self.n or not other.n:
            return other if other.n else self
        a, b, n = float(self.n), float(other.n), float(self.n + other.n)
        d = other.mean - self.mean
        m2 = self.m2 + other.m2 + d * d * (a * b / n)
        m3 = self.m3 + other.m3 + d**3 * (a * b * (a - b) / n**2) + 3 * d * (a * other.m2 - b * self.m2) / n
        fourth = _power4(d) * (a * b * (a * a - a * b + b * b) / n**3)
        second = 6 * d * d * (a * a * other.m2 + b * b * self.m2) / n**2
        m4 = self.m4 + other.m4 + fourth + second + 4 * d * (a * other.m3 - b * self.m3) / n
        return Moments(self.n + other.n, self.mean + d * (b / n), m2, m3, m4)

    def variance(self) -> float | None:
        """Of the sample: the sum of squares by n - 1, as in SQL's `stddev`."""
        return _finite(self.m2 / (self.n - 1)) if self.n > 1 else None

    def deviation(self) -> float | None:
        variance = self.variance()
        return None if variance is None else math.sqrt(max(0.0, variance))

    def skewness(self) -> float | None:
        """The adjusted one, G1 of Joanes and Gill ("Comparing measures of sample skewness and kurtosis", 1998), as DuckDB's `skewness` and
        pandas' `skew`; None below three values, and where all are alike."""
        if self.n < 3 or not self._varies():
            return None
        n = self.n
        return _finite(math.sqrt(n * (n - 1)) / (n - 2) * math.sqrt(n) * self.m3 / self.m2**1.5)

    def kurtosis(self) -> float | None:
        """The excess over a normal distribution's, adjusted: G2 of the same, as DuckDB's `kurtosis` and pandas' `kurt`; None below four."""
        if self.n < 4 or not self._varies():
            return None
        n = self.n
        return _finite((n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (n * self.m4 / self.m2**2 - 3) + 6))

    def _varies(self) -> bool:
        """Whether the squares are more than what rounding leaves of equal values."""
        return math.isfinite(self.m2) and math.isfinite(self.m2**2) and self.m2 > self.n * (1e-15 * self.mean) ** 2 and self.m2**2 > 0


def _mean(values: np.ndarray, counts: np.ndarray | None, n: int) -> float:
    import numpy as np

    # NumPy's pairwise sum, of halves where the whole could leave the range of doubles.
    with np.errstate(over="ignore"):
        total = float((values if counts is None else values * counts.astype(np.float64)).sum(dtype=np.float64))
    if math.isfinite(total):
        return total / n
    scaled = values.astype(np.float64) / n
    return float((scaled if counts is None else scaled * counts).sum())


def _power4(x: float) -> float:
    return x * x * x * x


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
