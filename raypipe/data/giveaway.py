"""Columns that alone give the label away: the area under the ROC curve of each by itself, by fragments whose counts add up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.distance import quantile_edges
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.map import map_fragments
from raypipe.data.shared import hashed
from raypipe.data.split import columns as rule_columns
from raypipe.data.split import part_of
from raypipe.data.types import is_number, is_text, value_type

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.artifact import Json
    from raypipe.core.store import Store

NUM_BINS = 4_096
"""A column of so many different values at most is counted value by value; one of more in so many bins."""
SAMPLED_ROWS = 65_536
"""Rows of a fragment, evenly taken, whose quantiles help to place the bins. Where they lie bears on the error, which is then exact."""
NUM_POINTS = 1_024
MANY_CLASSES = 20
STATE_BYTES = 256 << 20
"""What the counts of fragments not yet added up may take in the driver."""


@dataclass(frozen=True)
class Giveaway:
    """How well one column alone tells the label."""

    column: str
    auc: float | None
    """The greater of the two below; None where neither can be told."""
    by_order: float | None
    """Of a column with an order (numbers, times, bool): of all rows of the parts that have a value, the share of pairs of a positive and
    a negative row that the value puts in the right order, equal values half; or 1 less that share, whichever is greater."""
    error: float
    """By how much `by_order` may be off, at most: half the share of pairs that fall in one bin; 0 where each value was counted."""
    by_means: float | None
    """The same share over validation and test rows when each value (a missing one too) is scored by the mean of the label over its
    training rows, and one that is not among them by the mean of all: it tells what has no order, and is 0.5 for keys that do not come
    again. Of a column of more than 4,096 values it is that of 4,096 bins (by order, or by hash), and can only be told too low."""
    exact: bool
    """Whether each value was counted by itself."""
    positive: str
    """The label's value that was told from the others: of two the later, of more the one that is told best."""


@dataclass(frozen=True)
class Asked:
    """Which columns are looked at. It travels to tasks."""

    store: Store
    split: Json
    label: str
    columns: tuple[str, ...]

    def rows(self, fragment: Fragment) -> tuple[pa.Table, np.ndarray]:
        """Those with a label and of a part, and whether each is for training."""
        import numpy as np

        wanted = list(dict.fromkeys([*self.columns, self.label, *rule_columns(self.split)]))
        rows = read_fragment(self.store, fragment, wanted)
        parts: Any = part_of(self.split, rows)
        codes = parts.indices.to_numpy()
        taken = (codes < 3) & ~np.asarray(rows.column(self.label).is_null(nan_is_null=True))
        return rows.filter(pa.array(taken)), codes[taken] == 0


@dataclass(frozen=True)
class _Bins:
    edges: Any
    """Sorted; a bin ends with its edge. None: a hash is its own bin, modulo their number."""
    exact: bool
    ordered: bool

    def __len__(self) -> int:
        return (NUM_BINS if self.edges is None else len(self.edges)) + 2

    def places(self, values: np.ndarray, missing: np.ndarray) -> np.ndarray:
        """int64 [rows]; the last bin is of what is missing."""
        import numpy as np

        found = values % np.uint64(NUM_BINS) if self.edges is None else np.searchsorted(self.edges, values, side="left")
        return np.where(missing, len(self) - 1, found).astype(np.int64)


def can_be_told(type: pa.DataType) -> bool:
    """Whether a column of that type is looked at: numbers, times, bool, decimals, text and dictionaries of them."""
    type = value_type(type)
    return is_number(type) or is_text(type) or pa.types.is_temporal(type) or pa.types.is_decimal(type)


def giveaways(asked: Asked, fragments: Sequence[Fragment], inline: bool) -> list[Giveaway]:
    """Of each column, in the order asked for. DataError where the label has one value only, or more than 20. Reads the columns twice; the
    driver holds 64 kB for a column and a class, and as much for each of some fragments."""
    seen = _Look(set(), [])
    for piece in _chunks(fragments, len(asked.columns) * NUM_BINS * 16):
        seen = reduce(_Look.__add__, map_fragments(_See(asked), piece, inline=inline), seen)
    classes = _classes(asked.label, seen.labels)
    bins = [_bins(column) for column in seen.columns]
    counts: list[Any] = [0] * len(bins)
    for piece in _chunks(fragments, sum(map(len, bins)) * len(classes) * 16):
        for state in map_fragments(_Count(asked, tuple(bins), tuple(classes)), piece, inline=inline):
            counts = [total + more for total, more in zip(counts, state.counts, strict=True)]
    return [_told(name, classes, b, c) for name, b, c in zip(asked.columns, bins, counts, strict=True)]


def area(positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """The area under the ROC curve of rows counted in order, from low to high; what is in one place counts half. None without a pair."""
    import numpy as np

    pairs = float(positives.sum()) * float(negatives.sum())
    below = np.cumsum(negatives) - negatives
    return float(np.sum(positives * (below + negatives / 2)) / pairs) if pairs else None


@dataclass(frozen=True)
class _Seen:
    """A column's values and how often each is there; where they are many, points of its distribution."""

    points: Any
    weights: Any
    exact: bool
    ordered: bool

    def __add__(self, other: _Seen) -> _Seen:
        import numpy as np

        exact = self.exact and other.exact
        points, place = np.unique(np.concatenate([self.points, other.points]), return_inverse=True)
        weights = np.bincount(place, weights=np.concatenate([self.weights, other.weights])).astype(np.int64)
        if exact and len(points) <= NUM_BINS:
            return _Seen(points, weights, True, self.ordered)
        if not self.ordered:
            return _Seen(points[:0], weights[:0], False, False)
        if len(points) > 4 * NUM_BINS:
            total, points = weights.sum(), quantile_edges(points, weights, 2 * NUM_BINS)
            weights = np.full(len(points), max(1, total // len(points)))
        return _Seen(points, weights, False, True)


@dataclass(frozen=True)
class _Look:
    labels: set[str]
    columns: list[_Seen]

    def __add__(self, other: _Look) -> _Look:
        labels = self.labels | other.labels if len(self.labels) <= MANY_CLASSES else self.labels
        columns = [a + b for a, b in zip(self.columns, other.columns, strict=True)] if self.columns else other.columns
        return _Look(labels, columns)


@dataclass(frozen=True)
class _Counts:
    counts: list[Any]
    """A column: int64 [held or for training, bins, classes]."""


@dataclass(frozen=True)
class _See:
    """A fragment -> the label's values, and of each column its values, or points of its distribution."""

    asked: Asked

    def __call__(self, fragment: Fragment) -> _Look:
        rows, _ = self.asked.rows(fragment)
        labels = _labels(rows.column(self.asked.label)).unique().slice(0, MANY_CLASSES + 1).to_pylist()
        return _Look(set(labels), [_seen(*_values(rows.column(name))) for name in self.asked.columns])


@dataclass(frozen=True)
class _Count:
    """A fragment -> rows in each bin of each column, by class of the label and by whether they are for training."""

    asked: Asked
    bins: tuple[_Bins, ...]
    classes: tuple[str, ...]

    def __call__(self, fragment: Fragment) -> _Counts:
        import numpy as np

        rows, training = self.asked.rows(fragment)
        labels: Any = _labels(rows.column(self.asked.label))
        code = np.zeros(rows.num_rows, dtype=np.int64)
        for number, value in enumerate(self.classes):
            code[labels.to_numpy() == value] = number
        counted = []
        for name, bins in zip(self.asked.columns, self.bins, strict=True):
            values, missing, _ = _values(rows.column(name))
            cells = (training * len(bins) + bins.places(values, missing)) * len(self.classes) + code
            shape = (2, len(bins), len(self.classes))
            counted.append(np.bincount(cells, minlength=shape[0] * shape[1] * shape[2]).reshape(shape))
        return _Counts(counted)


def _labels(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(value_type(column.type)).cast(pa.string())


def _values(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, bool]:
    """The values as numbers, which of them are missing, and whether their order means something."""
    import numpy as np
    import pyarrow.compute as pc

    missing = np.asarray(column.is_null(nan_is_null=pa.types.is_floating(column.type)))
    type = value_type(column.type)
    if is_text(type):
        return hashed(column), missing, False
    plain: Any = column.cast(type)
    if pa.types.is_temporal(type):
        plain = plain.cast(pa.int32() if type.bit_width == 32 else pa.int64())
    elif pa.types.is_decimal(type) or pa.types.is_floating(type):
        plain = plain.cast(pa.float64())
    elif pa.types.is_boolean(type):
        plain = plain.cast(pa.int8())
    filled: Any = pc.fill_null(plain, pa.scalar(0, plain.type))  # type: ignore[attr-defined]
    return filled.to_numpy(), missing, True


def _seen(values: np.ndarray, missing: np.ndarray, ordered: bool) -> _Seen:
    import numpy as np

    present = values[~missing]
    sample = present[:: max(1, len(present) // SAMPLED_ROWS)]
    if len(np.unique(sample)) <= NUM_BINS:
        points, weights = np.unique(present, return_counts=True)
        if len(points) <= NUM_BINS:
            return _Seen(points, weights, True, ordered)
    places = np.linspace(0, len(sample) - 1, NUM_POINTS).astype(np.int64) if ordered else np.array([], np.int64)
    return _Seen(np.sort(sample)[places], np.full(len(places), max(1, len(present) // NUM_POINTS)), False, ordered)


def _bins(seen: _Seen) -> _Bins:
    if seen.exact:
        return _Bins(seen.points, True, seen.ordered)
    return _Bins(quantile_edges(seen.points, seen.weights, NUM_BINS) if seen.ordered else None, False, seen.ordered)


def _classes(label: str, labels: set[str]) -> list[str]:
    found = sorted(labels)
    if not 2 <= len(found) <= MANY_CLASSES:
        many = f"more than {MANY_CLASSES} values" if found[MANY_CLASSES:] else f"{len(found)} value{'s' if len(found) != 1 else ''}"
        raise DataError(
            f"label '{label}' has {many}, and columns that give it away are looked for where it has 2 to {MANY_CLASSES}: "
            "leave that out (suspects: [])."
        )
    return found


def _chunks(fragments: Sequence[Fragment], state_bytes: int) -> Iterator[Sequence[Fragment]]:
    size = max(16, STATE_BYTES // max(1, state_bytes))
    yield from (fragments[start : start + size] for start in range(0, len(fragments), size))


def _told(name: str, classes: list[str], bins: _Bins, counts: np.ndarray) -> Giveaway:
    """Of the class that is told best; two classes are told alike."""
    found = [_against_the_rest(name, classes[i], bins, counts, i) for i in (range(len(classes)) if len(classes) > 2 else [1])]
    return max(found, key=lambda one: one.auc or 0)


def _against_the_rest(name: str, positive: str, bins: _Bins, counts: np.ndarray, number: int) -> Giveaway:
    positives = counts[:, :, number]
    negatives = counts.sum(axis=2) - positives
    order, error = _by_order(bins, positives.sum(axis=0)[:-1], negatives.sum(axis=0)[:-1]) if bins.ordered else (None, 0.0)
    means = _by_means(positives, negatives)
    told = [figure for figure in (order, means) if figure is not None]
    return Giveaway(name, max(told) if told else None, order, error, means, bins.exact, positive)


def _by_order(bins: _Bins, positives: np.ndarray, negatives: np.ndarray) -> tuple[float | None, float]:
    found = area(positives, negatives)
    if found is None:
        return None, 0.0
    within = float((positives.astype(float) * negatives).sum()) / (2.0 * float(positives.sum()) * float(negatives.sum()))
    return max(found, 1 - found), 0.0 if bins.exact else within


def _by_means(positives: np.ndarray, negatives: np.ndarray) -> float | None:
    import numpy as np

    (held_p, train_p), (held_n, train_n) = positives, negatives
    rows = train_p + train_n
    if not rows.sum():
        return None
    means = np.where(rows > 0, train_p / np.maximum(rows, 1), train_p.sum() / rows.sum())
    _, place = np.unique(means, return_inverse=True)
    return area(np.bincount(place, weights=held_p), np.bincount(place, weights=held_n))
