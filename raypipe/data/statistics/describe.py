"""A profile in words and numbers, as JSON: every figure, and of those that are not exact how far off they may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Json
from raypipe.data.statistics.column import ColumnProfile
from raypipe.data.statistics.distinct import CONFIDENCE, RELATIVE_ERROR
from raypipe.data.statistics.numbers import Numbers
from raypipe.data.statistics.profile import Profile
from raypipe.data.statistics.ranks import Ranks
from raypipe.data.statistics.shown import number, spread_of, value_of
from raypipe.data.statistics.warnings import warnings_of

if TYPE_CHECKING:
    import numpy as np

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
NUM_BARS = 30
MOST_BARS = 60
"""Whole numbers that lie within so many have a bar each."""
NUM_TOP = 20
TAIL = 0.01
"""Where the middle 98 % lie in less than a quarter of the range, the histogram is of them, and says what lies on either side."""


def described(profile: Profile) -> dict[str, Json]:
    """The whole profile as JSON."""
    return {**profile.about, "rows": profile.num_rows, "columns": [describe(column) for column in profile.columns.values()]}


def describe(column: ColumnProfile) -> dict[str, Json]:
    """One column. Counts, `min` and `max` are exact; `mean`, `stddev`, `skewness` and `kurtosis` but for rounding, of finite values.

    `distinct`: `exact`, else `low` and `high`, within which it is with `confidence`. `quantiles`: each `value` is off by at most
    `rank_error` (a share of the values) in rank, and lies between `low` and `high`; that is certain. `histogram`: each count is off by at
    most `error` rows, certainly. `top`: each value is there at least `count` and at most `at_most` times, one that is not named at most
    `rest` times; certainly. Times are in UTC; spreads of times are seconds.
    """
    made: dict[str, Json] = {"name": column.name, "type": column.type, "kind": column.kind}
    made |= {"rows": column.num_rows, "nulls": column.num_nulls}
    if column.distinct is not None:
        made["distinct"] = distinct_of(column)
    if column.numbers is not None:
        made |= _numbers(column, column.numbers)
    if column.kind == "text":
        made |= {"min": column.low, "max": column.high}
    if column.lengths is not None:
        made["lengths"] = _lengths(column.lengths)
    if column.kind == "bool":
        made |= _bool(column)
    if column.top is not None:
        made["top"] = _top(column)
    if column.fields:
        made["fields"] = [describe(part) for part in column.fields]
    return made | {"warnings": warnings_of(column)}


def flat(columns: list[Json], before: str = "") -> list[Json]:
    """Columns in structs stand for themselves, `position.x`; behind a list comes what it holds, `tags[]`, marked as `of_items`."""
    made = []
    for column in columns:
        name = f"{before}{column['name']}"
        inside = column.get("fields", [])
        if column["kind"] != "list":
            made += flat(inside, f"{name}.") if inside else [{**column, "name": name}]
            continue
        made.append({**column, "name": name})
        parts = [{**part, "name": "" if part["name"] == "item" else f".{part['name']}"} for part in inside]
        made += [{**part, "of_items": True} for part in flat(parts, f"{name}[]")]
    return made


def distinct_of(column: ColumnProfile) -> dict[str, Json]:
    """Different values, null and NaN not among them."""
    assert column.distinct is not None
    count = column.distinct.count
    if column.distinct.is_exact:
        return {"value": count, "exact": True}
    low, high = count / (1 + RELATIVE_ERROR), count / (1 - RELATIVE_ERROR)
    return {
        "value": min(count, column.num_values),
        "exact": False,
        "low": int(low),
        "high": min(round(high), column.num_values),
        "confidence": CONFIDENCE,
    }


def _numbers(column: ColumnProfile, numbers: Numbers) -> dict[str, Json]:
    moments = numbers.moments
    made: dict[str, Json] = {}
    if column.kind == "number":
        made = {"nans": numbers.num_nans, "infinite": numbers.num_infinite, "zeros": numbers.num_zeros, "negative": numbers.num_negative}
    made |= {"min": value_of(column, numbers.min), "max": value_of(column, numbers.max)}
    made |= {"mean": value_of(column, moments.mean if moments.n else None), "stddev": spread_of(column, moments.deviation())}
    made |= {"skewness": moments.skewness(), "kurtosis": moments.kurtosis()}
    if not numbers.n:
        return made
    made["quantiles"] = {"rank_error": numbers.rank_error(), "values": _quantiles(column, numbers.ranks)}
    if (bars := histogram(numbers, scaled=column.kind == "time" or bool(column.scale))) is not None:
        made["histogram"] = bars.to_json(column)
    return made | ({"rounded": True} if column.is_rounded else {})


def _quantiles(column: ColumnProfile, ranks: Ranks) -> list[dict[str, Json]]:
    assert column.numbers is not None
    error = ranks.error / ranks.n
    low, middle, high = (ranks.quantiles([min(1.0, max(0.0, share + off)) for share in SHARES]) for off in (-error, 0.0, error))
    least, most = column.numbers.min, column.numbers.max
    made = []
    for share, a, x, b in zip(SHARES, low.tolist(), middle.tolist(), high.tolist(), strict=True):
        inner: dict[str, Json] = {"share": share, "value": value_of(column, x), "exact": not ranks.error}
        if ranks.error:
            # Below the first point that is kept, and above the last, only the least and greatest value are known.
            a = least if share - error <= _first_share(ranks) else a
            b = most if share + error >= 1 else b
            inner |= {"low": value_of(column, a), "high": value_of(column, b)}
        made.append(inner)
    return made


def _first_share(ranks: Ranks) -> float:
    return float(ranks.weights[0]) / ranks.n


@dataclass(frozen=True)
class Bars:
    """Rows in bins of one width."""

    edges: np.ndarray
    """float64 [bars + 1], in the numbers' own unit."""
    counts: np.ndarray
    """int64 [bars]: edge[i] < x <= edge[i + 1], the first bar with its lower edge."""
    below: int
    above: int
    error: int
    """How far one count may be off, in rows."""
    whole: bool = False
    """Whether each bar is one whole number."""

    def to_json(self, column: ColumnProfile | None = None) -> dict[str, Json]:
        """`column`: of whose values it is; None: of lengths."""
        edges: list[Json] = self.edges.tolist()
        if column is not None:
            is_time = column.kind == "time"
            edges = [value_of(column, e) if is_time else number(e * 10.0**-column.scale) for e in edges]
        return {
            "edges": edges,
            "counts": self.counts.tolist(),
            "below": self.below,
            "above": self.above,
            "error": self.error,
            "whole": self.whole,
        }


def histogram(numbers: Numbers, num_bars: int = NUM_BARS, scaled: bool = False) -> Bars | None:
    """Of the finite numbers; infinite ones are below or above. None where there is no finite one. `scaled`: decimals and
    times, which have no bar for each whole number."""
    import numpy as np

    ranks = numbers.ranks
    finite = ranks.points[np.isfinite(ranks.points)]
    if not len(finite):
        return None
    low, high = _span(numbers, finite)
    if high <= low:
        edges = np.array([low, low])
        return Bars(edges, np.array([ranks.n - numbers.num_infinite]), 0, numbers.num_infinite, 0)
    whole = ranks.points.dtype.kind in "iu" and high - low < MOST_BARS and not scaled
    if whole:
        edges = np.arange(low - 0.5, high + 1.5)  # whole numbers: a bar each
    else:
        edges = low + (high - low) * (np.arange(num_bars + 1) / num_bars)
        edges[-1] = high
    upto = ranks.at_most(edges)
    below = ranks.below(edges[0])
    upto[0] = below
    return Bars(edges, np.diff(upto), below, ranks.n - int(upto[-1]), 2 * ranks.error, whole)


def _span(numbers: Numbers, finite: Any) -> tuple[float, float]:
    least, most = numbers.min, numbers.max
    low = float(least if least is not None and abs(least) != float("inf") else finite[0])
    high = float(most if most is not None and abs(most) != float("inf") else finite[-1])
    inner = [float(x) for x in numbers.ranks.quantiles([TAIL, 1 - TAIL])]
    # Halves, since the distance of the two may be beyond what a float64 holds.
    if low <= inner[0] < inner[1] <= high and (inner[1] / 2 - inner[0] / 2) < (high / 2 - low / 2) / 4:
        return inner[0], inner[1]
    return low, high


def _lengths(lengths: Numbers) -> dict[str, Json]:
    made: dict[str, Json] = {"min": lengths.min, "mean": lengths.moments.mean if lengths.n else None, "max": lengths.max}
    if lengths.n:
        made |= {"median": lengths.ranks.quantiles([0.5]).tolist()[0], "rank_error": lengths.rank_error()}
        bars = histogram(lengths)
        assert bars is not None, "lengths are finite"
        made["histogram"] = bars.to_json()
    return made


def _bool(column: ColumnProfile) -> dict[str, Json]:
    assert column.top is not None
    counts = dict(zip(column.top.values, column.top.low.tolist(), strict=True))
    return {"true": counts.get(1, 0), "false": counts.get(0, 0)}


def _top(column: ColumnProfile) -> dict[str, Json]:
    top = column.top
    assert top is not None
    values = [
        {"value": value_of(column, value), "count": low, "at_most": high}
        for value, low, high in zip(top.values[:NUM_TOP], top.low[:NUM_TOP].tolist(), top.high[:NUM_TOP].tolist(), strict=True)
    ]
    return {"complete": top.is_complete and len(top.values) <= NUM_TOP, "rest": top.rest, "values": values}
