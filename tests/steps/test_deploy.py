import json
from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.pipeline.plan import open_scene
from raypipe.registry.endpoints import endpoint
from raypipe.registry.versions import alias, move_alias


def run(capsys: pytest.CaptureFixture[str], *overrides: str) -> dict:
    capsys.readouterr()
    assert main(["run", "--json", "cluster=debug", *overrides]) == 0
    return json.loads(capsys.readouterr().out)["steps"]


def test_the_champion_and_the_desired_state_move_together(churn: Path, capsys: pytest.CaptureFixture[str]):
    run(capsys, "model=booster")
    ledger = open_scene(churn).ledger
    champion, state = alias(ledger, "churn", "champion"), endpoint(ledger, "churn")
    assert champion is not None
    assert state is not None
    assert champion.version == state.version == 2


def test_replicas_are_redeployed_without_training(churn: Path, capsys: pytest.CaptureFixture[str]):
    steps = run(capsys, "deploy.num_replicas=2")
    assert [n for n, s in steps.items() if s["state"] == "RUN"] == ["deploy"]
    state = endpoint(open_scene(churn).ledger, "churn")
    assert state is not None
    assert state.settings["num_replicas"] == 2


def test_what_a_person_set_is_held(churn: Path, capsys: pytest.CaptureFixture[str]):
    run(capsys, "model=booster")
    ledger = open_scene(churn).ledger
    with ledger.writing() as connection:
        move_alias(connection, ledger, "churn", "champion", 1, reason="rolled back by hand")
    steps = run(capsys, "model=booster")
    assert steps["deploy"]["state"] == "HIT"
    assert steps["deploy"]["standing"] == "held"
    moved = alias(ledger, "churn", "champion")
    assert moved is not None
    assert moved.version == 1


def test_back_to_an_earlier_model_acts_again(churn: Path, capsys: pytest.CaptureFixture[str]):
    run(capsys, "model=booster")
    steps = run(capsys)
    assert steps["train"]["state"] == "HIT"
    assert steps["deploy"]["state"] == "RUN"
    moved = alias(open_scene(churn).ledger, "churn", "champion")
    assert moved is not None
    assert moved.version == 1


def test_settings_out_of_range(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "deploy.num_replicas=0"]) == 2
    assert "expected at least 1" in capsys.readouterr().err
