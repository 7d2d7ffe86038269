"""The gate's verdicts and the sentences that explain them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raypipe.core.errors import DataError
from raypipe.evaluate.gate import check, judge
from raypipe.evaluate.metrics import Scores

FIGURES = {"rows": 100, "positives": 25, "auc": 0.6812, "brier": 0.17, "precision": None, "reasons": {"precision": "no row reaches it"}}


def texts(judgement) -> list[str]:
    return [reason.text for reason in judgement.reasons]


def test_every_bound_gives_a_reason_with_figure_and_bound():
    judgement = judge(FIGURES, {"auc": {"min": 0.7}, "brier": {"max": 0.2}})
    assert not judgement.passed
    assert texts(judgement) == ["auc 0.6812 is below the minimum 0.7", "brier 0.17 is within the maximum 0.2"]
    assert [(r.figure, r.bound, r.passed) for r in judgement.reasons] == [(0.6812, 0.7, False), (0.17, 0.2, True)]
    assert judgement.text().splitlines()[0].startswith("no  auc")
    assert json.loads(json.dumps(judgement.to_json()))["reasons"][0]["metric"] == "auc"


@pytest.mark.parametrize(("bounds", "passed"), [({"min": 0.6812}, True), ({"max": 0.6812}, True), ({"min": 0.6, "max": 0.65}, False)])
def test_bounds_include_their_end(bounds: dict, passed: bool):
    assert judge(FIGURES, {"auc": bounds}).passed is passed


def test_a_figure_that_could_not_be_had_meets_no_bound():
    judgement = judge(FIGURES, {"precision": {"min": 0.0}})
    assert not judgement.passed
    assert texts(judgement) == ["precision could not be had: no row reaches it"]


def test_one_class_only_does_not_pass():
    figures = Scores.partial(np.zeros(5), np.zeros(5)).figures()
    assert texts(judge(figures, {"auc": {"min": 0.5}})) == ["auc could not be had: all 5 rows are negative"]


def test_without_a_champion_the_comparison_is_left_out_and_noted():
    judgement = judge(FIGURES, {}, max_drop={"auc": 0.0})
    assert judgement.passed
    assert judgement.note == "There is no champion yet: nothing to compare with."
    assert judge(FIGURES, {}).note == ""


@pytest.mark.parametrize(
    ("champion", "drop", "passed", "words"),
    [
        ({"auc": 0.70}, {"auc": 0.01}, False, "auc 0.6812 is 0.0188 worse than the champion's 0.7; at most 0.01 worse is allowed"),
        ({"auc": 0.70}, {"auc": 0.02}, True, "0.0188 worse than"),
        ({"auc": 0.65}, {"auc": 0.0}, True, "0.0312 better than"),
        ({"auc": 0.6812}, {"auc": 0.0}, True, "as good as"),
        ({"brier": 0.16}, {"brier": 0.005}, False, "brier 0.17 is 0.01 worse than the champion's 0.16"),
        ({"brier": 0.18}, {"brier": 0.0}, True, "0.01 better than"),
        ({"precision": 0.5}, {"precision": 0.5}, False, "precision could not be had: no row reaches it"),
        ({"auc": None, "reasons": {"auc": "one class"}}, {"auc": 0.0}, True, "auc is 0.6812; the champion's could not be had: one class"),
    ],
)
def test_against_the_champion_whichever_way_is_up(champion: dict, drop: dict, passed: bool, words: str):
    judgement = judge(FIGURES, {}, champion={"rows": 100, "positives": 25, **champion}, max_drop=drop)
    assert judgement.passed is passed
    assert words in texts(judgement)[0]


def test_a_champion_scored_on_other_rows_is_no_comparison():
    with pytest.raises(DataError, match="candidate was scored on 100 rows, 25 of them positive, the champion on 90 rows"):
        judge(FIGURES, {}, champion={"rows": 90, "positives": 25, "auc": 0.7}, max_drop={"auc": 0.1})


def test_settings_are_checked_all_at_once():
    thresholds = {"acu": {"min": 0.6}, "auc": {"minn": 0.6}, "brier": {"max": "low"}, "f1": {}, "recall": {"min": 0.9, "max": 0.1}}
    problems = [str(problem) for problem in check("gate", thresholds, {"log_los": 0.1, "auc": -1})]  # type: ignore[arg-type]
    assert problems == [
        "gate.thresholds.acu: no such figure. Did you mean 'auc'?",
        "gate.thresholds.auc.minn: a bound is min or max. Did you mean 'min'?",
        "gate.thresholds.brier.max: 'low' is no number",
        "gate.thresholds.f1: {} is no bound; write {min: 0.6}, {max: 0.2} or both",
        "gate.thresholds.recall: min 0.9 is above max 0.1: nothing can pass",
        "gate.max_drop.log_los: no such figure. Did you mean 'log_loss'?",
        "gate.max_drop.auc: -1 is no number of 0 or more",
    ]
    assert check("gate", {"auc": {"min": 0.6}, "brier": {"max": 1}}, {"auc": 0.01}) == []
