"""The figures against scikit-learn's, ties, one class and tiny sets included, however the rows were cut into fragments."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.evaluate import metrics
from raypipe.evaluate.figure import HIGHER_IS_BETTER
from raypipe.evaluate.metrics import Scores


def scored(num_rows: int, seed: int = 0, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores that go with them a little; with `levels`, only so many distinct scores."""
    rng = np.random.default_rng(seed)
    label = rng.random(num_rows) < 0.25
    probability = np.clip(rng.beta(2, 5, num_rows) + 0.1 * label, 0, 1)
    return label, np.round(probability * levels) / levels if levels else probability


def reference(label: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, float]:
    from sklearn import metrics as sk

    said = probability >= threshold
    return {
        "auc": sk.roc_auc_score(label, probability),
        "average_precision": sk.average_precision_score(label, probability),
        "log_loss": sk.log_loss(label, probability, labels=[0, 1]),
        "brier": sk.brier_score_loss(label, probability),
        "accuracy": sk.accuracy_score(label, said),
        "precision": sk.precision_score(label, said),
        "recall": sk.recall_score(label, said),
        "f1": sk.f1_score(label, said),
        "base_rate": label.mean(),
    }


@pytest.mark.parametrize(("num_rows", "levels"), [(20_000, None), (20_000, 10), (20_000, 1), (7, None), (7, 3)])
def test_figures_are_those_of_scikit_learn(num_rows: int, levels: int | None):
    label, probability = scored(num_rows, levels=levels)
    label[:2] = [True, False]
    figures = Scores.partial(label, probability).figures(0.3)
    expected = reference(label, probability, 0.3)
    assert {name: figures[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    assert figures["rows"] == num_rows
    assert set(HIGHER_IS_BETTER) <= set(figures)


def test_certain_and_wrong_costs_a_finite_log_loss():
    from sklearn import metrics as sk

    label, probability = np.array([True, False, True]), np.array([0.0, 1.0, 1.0])
    assert Scores.partial(label, probability).figures()["log_loss"] == pytest.approx(sk.log_loss(label, probability))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 1 / 3, 1.0])), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
def test_fragments_merge_to_the_same_figures_to_the_last_bit(rows: list[tuple[bool, float]], cuts: list[int]):
    label, probability = np.array([r[0] for r in rows], dtype=bool), np.array([r[1] for r in rows], dtype=float)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [Scores.partial(label[a:b], probability[a:b]) for a, b in pairwise(edges)]
    assert Scores.merge(parts).figures() == Scores.merge(parts[::-1]).figures() == Scores.partial(label, probability).figures()


def test_one_class_only_gives_no_auc_and_says_why():
    figures = Scores.partial(np.zeros(12, bool), np.linspace(0, 0.4, 12)).figures()
    assert figures["auc"] is None
    assert figures["average_precision"] is None
    assert figures["reasons"]["auc"] == "all 12 rows are negative"
    assert figures["reasons"]["precision"] == "no row of 12 reaches the threshold"
    assert figures["reasons"]["f1"] == "all 12 rows are negative"
    assert figures["brier"] == pytest.approx(np.mean(np.linspace(0, 0.4, 12) ** 2))
    assert "all 3 rows are positive" in Scores.partial(np.ones(3), np.ones(3)).figures()["reasons"]["auc"]


def test_no_rows_give_no_figures_and_no_warning():
    figures = Scores.merge([]).figures()
    assert figures["rows"] == 0
    assert {name for name in HIGHER_IS_BETTER if figures[name] is None} == set(HIGHER_IS_BETTER) - {"rows"}
    assert set(figures["reasons"].values()) == {"no rows"}


def test_calibration_bins_hold_every_row_once():
    label, probability = np.array([0, 1, 1, 0, 1]), np.array([0.0, 0.1, 0.19, 0.95, 1.0])
    figures = Scores.partial(label, probability).figures()
    rows = {(b["from"], b["to"]): b for b in figures["calibration"] if b["rows"]}
    assert [b["rows"] for b in rows.values()] == [1, 2, 2]
    assert rows[0.9, 1.0] == {"from": 0.9, "to": 1.0, "rows": 2, "mean_probability": pytest.approx(0.975), "positive_rate": 0.5}
    assert figures["expected_calibration_error"] == pytest.approx((1 * 0 + 2 * abs(0.145 - 1) + 2 * abs(0.975 - 0.5)) / 5)


def test_beyond_the_bound_the_state_is_small_and_the_error_is_stated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "MAX_DISTINCT", 5_000)
    monkeypatch.setattr(metrics, "GRID", 2.0**-6)
    label, probability = scored(20_000)
    parts = [Scores.partial(label[i : i + 4_000], probability[i : i + 4_000]) for i in range(0, 20_000, 4_000)]
    assert not parts[0].on_grid
    merged = Scores.merge(parts)
    assert merged.on_grid
    assert len(merged.scores) < 5_000
    figures, exact = merged.figures(), reference(label, probability, 0.5)
    assert merged.rows.sum() == 20_000
    for name, error in figures["errors"].items():
        assert abs(figures[name] - exact[name]) <= error, name
        assert error < 0.02, name
    for one, other in [(Scores.merge(parts[::-1]), merged), (Scores.partial(label, probability), merged)]:
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.positives, other.positives)


def test_exact_figures_state_no_error():
    assert "errors" not in Scores.partial(*scored(100)).figures()


@pytest.mark.parametrize(
    ("label", "probability", "message"),
    [
        ([1.0, float("nan")], [0.1, 0.2], "1 labels are neither 0 nor 1"),
        ([0, 2], [0.1, 0.2], r"neither 0 nor 1: \[2\]"),
        ([True, None], [0.1, 0.2], "labels of type object"),
        ([0, 1], [0.1, float("nan")], r"1 of 2 scores are no probabilities: \[nan\]"),
        ([0, 1], [0.1, 1.5], "no probabilities"),
        ([0, 1], [0.1], "one each a row"),
    ],
)
def test_what_is_no_label_or_no_probability_is_refused(label: list, probability: list, message: str):
    with pytest.raises(DataError, match=message):
        Scores.partial(np.array(label), np.array(probability))
