"""How far one distribution of a column lies from another one, the reference, over counts in the same bins."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import DataError

if TYPE_CHECKING:
    import numpy as np

NUM_BINS = 10
EMPTY_SHARE = 1e-4
"""What PSI takes for the share of a bin that has less: with nothing in it the sum would be infinite."""


def psi(reference: Sequence[int] | np.ndarray, other: Sequence[int] | np.ndarray) -> float:
    """The population stability index: sum over bins of (q - p) * ln(q / p), p and q being the shares of the reference and of the other,
    each at least 0.0001. 0 where they are alike; without a bound; the same both ways.

    It is Jeffreys' divergence, KL(p || q) + KL(q || p): H. Jeffreys, "An invariant form for the prior probability in estimation problems",
    1946. As an index of stability: N. Siddiqi, "Credit Risk Scorecards", 2006, who calls less than 0.1 no change and more than 0.25 a
    large one. Of two samples of n and m rows over B bins of one distribution it is about (B - 1) * (1/n + 1/m): B. Yurdakul, "Statistical
    properties of population stability index", 2018.
    """
    import numpy as np

    p, q = (np.maximum(share, EMPTY_SHARE) for share in _shares(reference, other))
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(reference: Sequence[int] | np.ndarray, other: Sequence[int] | np.ndarray) -> float:
    """The Jensen-Shannon divergence in bits: (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, KL(p || m) the sum of p * log2(p / m) over
    the bins where p is not 0. From 0, alike, to 1, no bin in common; the same both ways.

    J. Lin, "Divergence measures based on the Shannon entropy", 1991. Its square root is a metric, and what others (SciPy) call the
    Jensen-Shannon distance; there in nats, which are ln 2 of these bits.
    """
    import numpy as np

    p, q = _shares(reference, other)
    m = (p + q) / 2

    def against_m(share: np.ndarray) -> float:
        some = share > 0
        return float(np.sum(share[some] * np.log2(share[some] / m[some])))

    return min(1.0, max(0.0, (against_m(p) + against_m(q)) / 2))


def l_infinity(reference: Sequence[int] | np.ndarray, other: Sequence[int] | np.ndarray) -> float:
    """The greatest difference of the two shares of one bin, 0 to 1: Chebyshev's distance of the shares.

    As E. Breck, N. Polyzotis, S. Roy, S. E. Whang and M. Zinkevich, "Data validation for machine learning", 2019, take it for values of a
    category: it tells which one moved, and does not grow with their number.
    """
    import numpy as np

    p, q = _shares(reference, other)
    return float(np.max(np.abs(p - q)))


def quantile_edges(values: Any, counts: Any = None, num_bins: int = NUM_BINS) -> np.ndarray:
    """The inner edges of bins that hold about equal shares of the reference: of its sorted values x the k-th edge is the least with
    F(x) >= k / num_bins, k from 1 to num_bins - 1, F the share of values that are not above x; an edge that comes twice stands once.

    `counts`: how often each value stands for one. NaN is left out. DataError where there is no value.
    """
    import numpy as np

    found = np.asarray(values)
    weights = np.ones(len(found), dtype=np.int64) if counts is None else np.asarray(counts, dtype=np.int64)
    present = (found == found) & (weights > 0)
    found, weights = found[present], weights[present]
    if not len(found):
        raise DataError("a reference without a value has no quantiles to make bins of")
    order = np.argsort(found, kind="stable")
    ends = np.cumsum(weights[order])
    # Whole numbers: F(x) >= k / B where B * count >= k * total.
    places = np.searchsorted(ends * num_bins, ends[-1] * np.arange(1, num_bins), side="left")
    return np.unique(found[order][places])


def bin_counts(values: Any, edges: np.ndarray, counts: Any = None) -> np.ndarray:
    """int64 [len(edges) + 2]: how many values are in each bin, and last how many are NaN. Bin i holds edge[i-1] < x <= edge[i], the first
    all up to the first edge, the one before the last all above the last edge. What is counted of two pieces adds up to that of both."""
    import numpy as np

    found = np.asarray(values)
    bins = np.where(found == found, np.searchsorted(edges, found, side="left"), len(edges) + 1)
    weights = None if counts is None else np.asarray(counts, dtype=np.int64)
    return np.bincount(bins, weights=weights, minlength=len(edges) + 2).astype(np.int64)


def aligned(reference: Mapping[Hashable, int], other: Mapping[Hashable, int]) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """Of counts by value: the values of either, those of the reference first, and the counts of both in that order; 0 where it has none."""
    import numpy as np

    values = list(dict.fromkeys([*reference, *other]))
    p, q = (np.array([side.get(value, 0) for value in values], dtype=np.int64) for side in (reference, other))
    return values, p, q


def _shares(reference: Any, other: Any) -> tuple[np.ndarray, np.ndarray]:
    """The counts as shares. DataError where they are not of the same bins, are negative, or one has no rows."""
    import numpy as np

    p, q = np.asarray(reference, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if p.shape != q.shape or p.ndim != 1:
        raise DataError(f"counts of {p.size} and of {q.size} bins: a distance is between counts in the same bins")
    for name, counts in (("reference", p), ("other", q)):
        if not (counts >= 0).all() or not counts.sum():
            raise DataError(f"the {name} counts are {'negative' if (counts < 0).any() else 'all zero'}: there is no distribution in them")
    return p / p.sum(), q / q.sum()
