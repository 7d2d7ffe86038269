"""How far a column's values lie from those of a reference, told from their profiles alone: for contracts, drift, and skew in serving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

from raypipe.core.errors import DataError, nearest
from raypipe.data.distance import NUM_BINS, jensen_shannon, l_infinity, psi
from raypipe.data.statistics.column import ColumnProfile

if TYPE_CHECKING:
    import numpy as np

Measure = Literal["psi", "jensen_shannon", "l_infinity"]
MEASURES: dict[str, Callable[[Any, Any], float]] = {"psi": psi, "jensen_shannon": jensen_shannon, "l_infinity": l_infinity}
"""Definitions and sources are theirs, in raypipe/data/distance.py."""
NUM_CATEGORIES = 256
"""Values of the reference that are bins of their own."""
MISSING, OTHERS = "missing", "others"


@dataclass(frozen=True)
class Bins:
    """The rows of two columns counted in the same bins, which were made from the first one."""

    names: list[str]
    """`(-inf, 3.5]`, `JFK`, ..., then `others` (categories alone) and `missing`."""
    reference: np.ndarray
    """int64 [bins]."""
    other: np.ndarray
    error: float
    """How far the share of any one bin may be off, on either side, 0 to 1; 0 where both were counted exactly."""


def distance(reference: ColumnProfile, other: ColumnProfile, measure: Measure = "psi", num_bins: int = NUM_BINS) -> float:
    """From one column to another one, over `bins` of them.

    DataError where they are not of one kind, one has no rows, or the kind has no distribution that is kept (lists, structs).
    """
    if measure not in MEASURES:
        raise DataError(f"there is no measure {measure!r}: {', '.join(get_args(Measure))}.{nearest(measure, MEASURES)}")
    found = bins(reference, other, num_bins)
    return MEASURES[measure](found.reference, found.other)


def bins(reference: ColumnProfile, other: ColumnProfile, num_bins: int = NUM_BINS) -> Bins:
    """Numbers and times: `num_bins` bins that hold about equal shares of the reference's values, between its quantiles: bin i holds
    edge[i-1] < x <= edge[i]; edges that fall together (a frequent value) make fewer bins. Texts, binary and bool: the reference's most
    frequent values, 256 at most, one bin each, and one for all others. Last, of either, one for null and NaN."""
    _refuse(reference, other)
    if reference.numbers is not None:
        names, p, q, error = _number_bins(reference, other, num_bins)
    else:
        names, p, q, error = _category_bins(reference, other)
    return Bins([*names, MISSING], _with(p, reference.num_missing), _with(q, other.num_missing), error)


def _refuse(reference: ColumnProfile, other: ColumnProfile) -> None:
    for name, column in (("reference", reference), ("other side", other)):
        if column.numbers is None and column.top is None:
            raise DataError(
                f"column '{column.name}' is of type {column.type}: no distribution is kept of such a one, so it has no distance"
            )
        if not column.num_rows:
            raise DataError(f"column '{column.name}': the {name} has no rows, and no distance from anything")
    kinds = reference.kind, other.kind
    if kinds[0] != kinds[1] or (kinds[0] == "time" and reference.type != other.type):
        raise DataError(
            f"column '{reference.name}': the reference is {reference.type} and the other side {other.type}; compare like with like"
        )


def _number_bins(reference: ColumnProfile, other: ColumnProfile, num_bins: int) -> tuple[list[str], Any, Any, float]:
    import numpy as np

    assert reference.numbers is not None
    assert other.numbers is not None
    if reference.numbers.n:
        edges = np.unique(reference.numbers.ranks.quantiles([k / num_bins for k in range(1, num_bins)]))
    else:
        edges = np.zeros(0)
    counts = [_counts(side, edges, reference.scale) for side in (reference, other)]
    ends = ["-inf", *(f"{edge * 10.0**-reference.scale:.6g}" for edge in edges.tolist()), "inf"]
    names = [f"({low}, {high}]" for low, high in pairwise(ends)]
    error = max(2 * side.numbers.ranks.error / side.num_rows for side in (reference, other) if side.numbers)
    return names, counts[0], counts[1], error


def _counts(column: ColumnProfile, edges: np.ndarray, scale: int) -> np.ndarray:
    """Rows of each bin; edges of another scale or width are put into this column's."""
    import numpy as np

    assert column.numbers is not None
    ranks = column.numbers.ranks
    if column.scale != scale:
        edges = edges.astype(np.float64) * 10.0 ** (column.scale - scale)
    upto = ranks.at_most(edges)
    return np.diff(upto, prepend=0, append=ranks.n)


def _category_bins(reference: ColumnProfile, other: ColumnProfile) -> tuple[list[str], Any, Any, float]:
    import numpy as np

    assert reference.top is not None
    assert other.top is not None
    wanted = reference.top.hashes[:NUM_CATEGORIES]
    names = [str(value) for value in reference.top.values[:NUM_CATEGORIES]]
    p, q = (side.top.counts_of(wanted) for side in (reference, other) if side.top)
    rows = [_with(counts, max(0, side.num_values - int(counts.sum()))) for counts, side in ((p, reference), (q, other))]
    widest = [int((side.top.high - side.top.low).max(initial=side.top.rest)) / side.num_rows for side in (reference, other) if side.top]
    return [*names, OTHERS], np.asarray(rows[0]), np.asarray(rows[1]), max(widest)


def _with(counts: Sequence[int] | np.ndarray, last: int) -> np.ndarray:
    import numpy as np

    return np.append(np.asarray(counts, dtype=np.int64), last)
