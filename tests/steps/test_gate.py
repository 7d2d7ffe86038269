import json
from pathlib import Path

import pytest

from raypipe.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *overrides: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = main(["run", "--json", "cluster=debug", *overrides])
    return code, json.loads(capsys.readouterr().out)


def test_a_no_skips_what_follows_and_exits_with_3(churn: Path, capsys: pytest.CaptureFixture[str]):
    code, result = run(capsys, "gate.thresholds.auc.min=0.99")
    assert code == 3
    assert result["state"] == "refused"
    assert result["steps"]["gate"]["figures"]["passed"] is False
    assert {result["steps"][s]["state"] for s in ("register", "infra_validate", "deploy")} == {"SKIP"}


def test_a_no_stays_a_no_without_being_computed_again(churn: Path, capsys: pytest.CaptureFixture[str]):
    run(capsys, "gate.thresholds.auc.min=0.99")
    code, result = run(capsys, "gate.thresholds.auc.min=0.99")
    assert code == 3
    assert result["steps"]["gate"]["state"] == "HIT"


def test_a_candidate_that_is_worse_than_the_champion_is_refused(churn: Path, capsys: pytest.CaptureFixture[str]):
    code, result = run(capsys, "+gate.max_drop={auc: 0.0}", "model.C=0.0001")
    verdict = result["steps"]["gate"]["figures"]
    assert verdict["champion"]
    assert (code == 3) == (not verdict["passed"])
    assert any("champion" in str(r) for r in verdict["reasons"])


def test_the_verdict_that_let_the_champion_in_stands(churn: Path, capsys: pytest.CaptureFixture[str]):
    code, result = run(capsys)
    assert code == 0
    assert result["steps"]["gate"]["state"] == "HIT"
    assert result["steps"]["gate"]["figures"]["champion"] is None


def test_a_misspelt_metric(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "+gate.thresholds.acu={min: 0.5}"]) == 2
    assert "auc" in capsys.readouterr().err
