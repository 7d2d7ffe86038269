"""Figures of a binary classifier from states that merge: each fragment is scored on its own, and the figures are those of all rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.evaluate.figure import HIGHER_IS_BETTER

MAX_DISTINCT = 1_000_000
"""Up to so many distinct scores every figure is exact; beyond, scores are moved to a grid of log-odds. 24 MB of state."""

GRID = 2.0**-14
"""Step of that grid in log-odds. It moves no row's log loss by more than half a step (3.1e-5), nor its squared error."""

NUM_BINS = 10
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Scores:
    """How often each distinct score was given, and how often rightly: all that the figures need, whatever the order of the rows."""

    scores: np.ndarray
    """float64, rising, distinct."""
    positives: np.ndarray
    """int64: rows with that score whose label is true."""
    rows: np.ndarray
    """int64: rows with that score."""
    on_grid: bool = False
    """True once there were more than MAX_DISTINCT scores."""

    @classmethod
    def partial(cls, label: np.ndarray, probability: np.ndarray) -> Scores:
        """The state of one fragment: `label` of booleans or 0 and 1, `probability` of the positive class in 0 to 1."""
        label, probability = np.asarray(label), np.asarray(probability, dtype=np.float64)
        _check(label, probability)
        scores, places = np.unique(probability, return_inverse=True)
        positives = np.bincount(places, weights=label.astype(np.float64), minlength=len(scores)).astype(np.int64)
        rows = np.bincount(places, minlength=len(scores)).astype(np.int64)
        return _bounded(cls(scores, positives, rows))

    @classmethod
    def merge(cls, states: Iterable[Scores]) -> Scores:
        """The state of all rows; the order of `states` makes no difference, not in the last bit either."""
        merged, waiting = cls(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)), list[Scores]()
        for state in states:
            waiting.append(state)
            # Sorting at each state would cost the square of their number, sorting once the memory of all.
            if sum(len(each.scores) for each in waiting) > MAX_DISTINCT:
                merged, waiting = _joined([merged, *waiting]), []
        return _joined([merged, *waiting])

    def figures(self, threshold: float = 0.5) -> dict[str, Json]:
        """Every figure of HIGHER_IS_BETTER, with `positives`, `threshold`, `calibration` and `reasons`.

        A figure that cannot be had is None, and `reasons` says why by its name. `errors` bounds what the grid may have done
        (decisions and calibration can misplace the rows of a grid cell that holds the threshold or an edge); absent where all is exact.
        """
        num_rows, num_positives = int(self.rows.sum()), int(self.positives.sum())
        figures: dict[str, Json] = {"rows": num_rows, "positives": num_positives, "threshold": float(threshold)}
        figures["base_rate"] = num_positives / num_rows if num_rows else None
        figures |= {"auc": _auc(self), "average_precision": _average_precision(self)}
        figures |= {"log_loss": _log_loss(self), "brier": _brier(self)}
        figures |= _decisions(self, threshold)
        bins = _calibration(self)
        figures["expected_calibration_error"] = _calibration_error(bins) if num_rows else None
        figures["calibration"] = bins
        figures["reasons"] = {name: _why_not(name, num_rows, num_positives) for name in HIGHER_IS_BETTER if figures[name] is None}
        return figures | ({"errors": _errors(self)} if self.on_grid else {})


def _check(label: np.ndarray, probability: np.ndarray) -> None:
    """DataError where a label is null or neither 0 nor 1, or a probability is not one."""
    if label.shape != probability.shape or label.ndim != 1:
        raise DataError(f"evaluate: labels of shape {label.shape} against probabilities of shape {probability.shape}: one each a row")
    if label.dtype.kind not in "biuf":
        raise DataError(f"evaluate: labels of type {label.dtype}, expected 0 and 1 or booleans without nulls; drop rows without a label")
    if not (valid := np.isin(label, (0, 1))).all():
        raise DataError(f"evaluate: {int((~valid).sum())} labels are neither 0 nor 1: {label[~valid][:3].tolist()}")
    wrong = ~((probability >= 0) & (probability <= 1))
    if wrong.any():
        raise DataError(f"evaluate: {int(wrong.sum())} of {len(wrong)} scores are no probabilities: {probability[wrong][:3].tolist()}")


def _joined(states: list[Scores]) -> Scores:
    on_grid = any(state.on_grid for state in states)
    states = [_to_grid(state) for state in states] if on_grid else states
    scores, positives, rows = [np.concatenate([getattr(state, name) for state in states]) for name in ("scores", "positives", "rows")]
    return _bounded(_distinct(scores, positives, rows, on_grid))


def _distinct(scores: np.ndarray, positives: np.ndarray, rows: np.ndarray, on_grid: bool) -> Scores:
    """One entry a score, counts added."""
    order = np.argsort(scores, kind="stable")
    scores, positives, rows = scores[order], positives[order], rows[order]
    firsts = np.flatnonzero(np.diff(scores, prepend=-1.0))
    if not len(firsts):
        return Scores(scores, positives, rows, on_grid)
    return Scores(scores[firsts], np.add.reduceat(positives, firsts), np.add.reduceat(rows, firsts), on_grid)


def _bounded(state: Scores) -> Scores:
    return state if state.on_grid or len(state.scores) <= MAX_DISTINCT else _to_grid(state)


def _to_grid(state: Scores) -> Scores:
    """Every score moved to the nearest multiple of GRID in log-odds (about 1.2 million of them between EPSILON and 1 - EPSILON)."""
    if state.on_grid:
        return state
    score = np.clip(state.scores, EPSILON, 1 - EPSILON)
    log_odds = np.round(np.log(score / (1 - score)) / GRID) * GRID
    return _distinct(1 / (1 + np.exp(-log_odds)), state.positives, state.rows, True)


def _auc(state: Scores) -> float | None:
    """The share of pairs of a positive and a negative in which the positive scores higher, ties counted half
    (Hanley and McNeil 1982; as scikit-learn's `roc_auc_score`)."""
    negatives = state.rows - state.positives
    pairs = int(state.positives.sum()) * int(negatives.sum())
    if not pairs:
        return None
    below = np.cumsum(negatives) - negatives
    return float(np.sum(state.positives * (below + negatives / 2.0)) / pairs)


def _average_precision(state: Scores) -> float | None:
    """The mean over positives of the precision at their score, without interpolation
    (Manning, Raghavan and Schuetze 2008, 8.4; as scikit-learn's `average_precision_score`)."""
    total = state.positives.sum()
    if not total:
        return None
    positives, rows = state.positives[::-1], state.rows[::-1]
    precision = np.cumsum(positives) / np.cumsum(rows)
    return float(np.sum(precision * positives) / total)


def _log_loss(state: Scores) -> float | None:
    """-mean(y log p + (1 - y) log(1 - p)), with p kept EPSILON away from 0 and 1 (as scikit-learn's `log_loss`)."""
    if not len(state.scores):
        return None
    p = np.clip(state.scores, EPSILON, 1 - EPSILON)
    negatives = state.rows - state.positives
    return float(-(state.positives * np.log(p) + negatives * np.log1p(-p)).sum() / state.rows.sum())


def _brier(state: Scores) -> float | None:
    """mean((p - y)^2) (Brier 1950)."""
    if not len(state.scores):
        return None
    p, negatives = state.scores, state.rows - state.positives
    return float((state.positives * (1 - p) ** 2 + negatives * p**2).sum() / state.rows.sum())


def _decisions(state: Scores, threshold: float) -> dict[str, float | None]:
    """Accuracy, precision, recall and F1 (van Rijsbergen 1979) of the decision `score >= threshold`."""
    chosen = state.scores >= threshold
    said, right = int(state.rows[chosen].sum()), int(state.positives[chosen].sum())
    rows, positives = int(state.rows.sum()), int(state.positives.sum())
    return {
        "accuracy": (rows - positives - said + 2 * right) / rows if rows else None,
        "precision": right / said if said else None,
        "recall": right / positives if positives else None,
        "f1": 2 * right / (said + positives) if said + positives else None,
    }


def _calibration(state: Scores) -> list[dict[str, Json]]:
    """What was said and what came, in NUM_BINS bins of equal width: from (included) to (excluded, but for the last)."""
    bins = np.minimum((state.scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    said = np.bincount(bins, weights=state.scores * state.rows, minlength=NUM_BINS)
    came = np.bincount(bins, weights=state.positives, minlength=NUM_BINS)
    rows = np.bincount(bins, weights=state.rows, minlength=NUM_BINS).astype(np.int64)
    table: list[dict[str, Json]] = []
    for i, num_rows in enumerate(rows.tolist()):
        row: dict[str, Json] = {"from": i / NUM_BINS, "to": (i + 1) / NUM_BINS, "rows": num_rows}
        row |= {"mean_probability": float(said[i]) / num_rows, "positive_rate": float(came[i]) / num_rows} if num_rows else {}
        table.append(row)
    return table


def _calibration_error(bins: list[dict[str, Json]]) -> float:
    """The mean over rows of |what was said - what came| in their bin (Naeini, Cooper and Hauskrecht 2015)."""
    filled = [row for row in bins if row["rows"]]
    total = sum(row["rows"] for row in filled)
    return sum(row["rows"] * abs(row["mean_probability"] - row["positive_rate"]) for row in filled) / total


def _why_not(name: str, num_rows: int, num_positives: int) -> str:
    if not num_rows:
        return "no rows"
    if name == "precision":
        return f"no row of {num_rows} reaches the threshold"
    return f"all {num_rows} rows are {'positive' if num_positives else 'negative'}"


def _errors(state: Scores) -> dict[str, float]:
    """How far the figures can be from those of the unmoved scores: rows that share a place on the grid may stand in any order there."""
    positives, rows = state.positives[::-1].astype(np.float64), state.rows[::-1].astype(np.float64)
    negatives, total = rows - positives, positives.sum()
    auc = 0.5 * (positives * negatives).sum() / max(total * negatives.sum(), 1.0)
    hits, misses = np.cumsum(positives), np.cumsum(negatives)
    best = hits / np.maximum(hits + misses - negatives, 1.0)
    worst = (hits - positives + 1) / (hits - positives + 1 + misses)
    precision = hits / (hits + misses)
    furthest = np.maximum(best - precision, precision - np.minimum(worst, precision))
    average_precision = (positives * furthest).sum() / max(total, 1.0)
    return {"auc": float(auc), "average_precision": float(average_precision), "log_loss": GRID / 2, "brier": GRID / 2}
