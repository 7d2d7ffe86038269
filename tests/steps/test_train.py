"""Where a training begins: at its own checkpoint, at that of one with fewer epochs, or at the beginning."""

from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.pipeline.plan import open_scene

BOOSTER = ["cluster=debug", "model=booster", "model.num_threads=1", "model.rounds_per_epoch=2"]


def resumed_from(project: Path) -> str | None:
    ledger = open_scene(project).ledger
    train = next(step for step in ledger.steps(ledger.runs(1)[0].id) if step.step == "train")
    artifact = ledger.artifact(train.artifact or "")
    assert artifact is not None
    return artifact.figures["resumed_from"]


def test_more_epochs_go_on_from_fewer_and_other_settings_do_not(churn: Path):
    assert main(["run", *BOOSTER, "train.epochs=1"]) == 0
    assert main(["run", *BOOSTER, "train.epochs=3"]) == 0
    assert resumed_from(churn) == "epoch 1 of 1"
    assert main(["run", *BOOSTER, "train.epochs=3", "model.num_leaves=7"]) == 0
    assert resumed_from(churn) is None


def test_a_training_that_is_asked_for_anew_begins_at_the_beginning(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", *BOOSTER, "train.epochs=1"]) == 0
    assert main(["run", *BOOSTER, "train.epochs=2"]) == 0
    capsys.readouterr()
    assert main(["run", *BOOSTER, "train.epochs=2", "--force", "train"]) == 0
    assert resumed_from(churn) is None
    assert "epoch 1:" in capsys.readouterr().out


def test_where_it_trains_is_no_part_of_what_it_is_and_more_workers_than_one_are_refused(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plan", "train.num_workers=1"]) == 0
    (train,) = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.split()[:1] == ["train"]]
    assert train == "HIT"
    assert main(["check", "train.num_workers=2"]) == 2
    assert "train.num_workers: found 2, expected 0 or 1: the feed has one worker for now." in capsys.readouterr().err
