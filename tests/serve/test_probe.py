"""Infra validation in this process: what a good candidate gets, and what each fault is called."""

import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pytest

from raypipe.bundle.bundle import load
from raypipe.core.store import Store
from raypipe.serve.desired import Desired
from raypipe.serve.probe import Findings, probe
from tests.serve.conftest import flights

ROWS = flights(120, seed=5)


@pytest.fixture(scope="module")
def expected(desired: Desired) -> pa.Table:
    return load(Store(desired.root), desired.model).predict(ROWS)


def run(desired: Desired, expected: pa.Table, **settings) -> Findings:
    return probe(desired, ROWS, expected, **{"latency_budget_ms": 5_000, "num_bad": 10, "num_timed": 20, "inline": True, **settings})


def test_a_good_candidate_passes_every_check(desired: Desired, expected: pa.Table):
    findings = run(desired, expected, num_bad=None)
    assert findings.passed, findings.reasons
    document = json.loads(json.dumps(findings.to_json()))
    assert [check["name"] for check in document["checks"]] == [
        "serves after, s",
        "rows replayed",
        "probabilities in batches, relative difference",
        "decisions in batches, differing",
        "probabilities one by one, relative difference",
        "decisions one by one, differing",
        "latency p50, ms",
        "latency p95, ms",
        "latency p99, ms",
        "bad requests sent",
        "bad requests not refused",
    ]
    assert document["checks"][1]["figure"] == 120
    assert document["checks"][9]["figure"] > 60


def test_other_answers_are_found(desired: Desired, expected: pa.Table):
    other = expected.set_column(1, "probability", pa.array([0.9, *expected["probability"].to_pylist()[1:]]))
    other = other.set_column(0, "prediction", pa.array(["true", *other["prediction"].to_pylist()[1:]]))
    findings = run(desired, other)
    assert not findings.passed
    assert [reason.split(":")[0] for reason in findings.reasons] == [
        "probabilities in batches, relative difference",
        "decisions in batches, differing",
        "probabilities one by one, relative difference",
        "decisions one by one, differing",
    ]
    assert "row 0" in findings.reasons[0]


def test_a_decision_at_the_threshold_may_differ(desired: Desired, expected: pa.Table):
    near = expected["probability"].to_pylist()
    bundle = load(Store(desired.root), desired.model)
    flipped = ["false" if c == "true" else "true" for c in expected["prediction"].to_pylist()]
    # Every decision is turned round; only those away from the threshold count.
    findings = run(desired, expected.set_column(0, "prediction", pa.array(flipped)))
    differing = next(check for check in findings.checks if check.name == "decisions in batches, differing")
    assert differing.figure == sum(abs(p - bundle.threshold) > 1e-5 * bundle.threshold for p in near)


def test_a_budget_that_is_not_met_is_said(desired: Desired, expected: pa.Table):
    findings = run(desired, expected, latency_budget_ms=0.001)
    assert len(findings.reasons) == 1
    assert findings.reasons[0].startswith("latency p95, ms: ")
    assert findings.reasons[0].endswith("the budget is 0.001 ms")


def test_rows_that_the_endpoint_refuses_are_a_finding(desired: Desired, expected: pa.Table):
    rows = ROWS.set_column(0, "distance", pa.array([None] * len(ROWS), pa.float64()))
    findings = probe(desired, rows, expected, latency_budget_ms=5_000, inline=True)
    assert not findings.passed
    assert "answered 422: 120 fields are not what the model takes" in findings.reasons[0]


def test_no_rows_is_a_finding(desired: Desired, expected: pa.Table):
    findings = probe(desired, ROWS.slice(0, 0), expected.slice(0, 0), latency_budget_ms=5_000, inline=True)
    assert findings.reasons == ["rows replayed: there are no rows to replay"]


def test_a_bundle_that_cannot_be_loaded_is_a_finding(desired: Desired, expected: pa.Table, tmp_path: Path):
    findings = run(dataclasses.replace(desired, root=str(tmp_path)), expected)
    assert not findings.passed
    assert findings.reasons[0].startswith("serves after, s: flights version 1 could not be loaded: models/1/")
