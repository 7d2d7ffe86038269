"""A sweep as a person sees it: what points share, what is told of them, and what the best one does."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raypipe.cli.main import main
from raypipe.pipeline.plan import open_scene

BOOSTER = ["cluster=debug", "model=booster", "model.num_threads=1", "model.rounds_per_epoch=2", "train.epochs=1"]


def sweep(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["sweep", "--json", *BOOSTER, *words]) == code
    return json.loads(capsys.readouterr().out)


def made(project: Path) -> Counter[str]:
    """How often each step was made in the runs of sweeps."""
    ledger = open_scene(project).ledger
    runs = [run.id for run in ledger.runs(1000) if "." in run.id]
    return Counter(step.step for run in runs for step in ledger.steps(run) if step.state != "HIT" and step.artifact)


def test_points_that_differ_in_training_run_what_is_before_it_once(fresh: Path, capsys: pytest.CaptureFixture[str]):
    told = sweep(capsys, "model.num_leaves=range(2,22)")
    assert len(told["trials"]) == 20
    assert made(fresh) == {
        **dict.fromkeys(("source", "validate", "split", "transform"), 1),
        "train": 20,
        **dict.fromkeys(("evaluate", "gate", "register", "infra_validate", "deploy"), 1),
    }
    figures = [trial["figures"]["train.validation.auc"] for trial in told["trials"]]
    assert figures == sorted(figures, reverse=True)
    assert told["best"] == told["trials"][0]["point"]
    assert main(["models", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_run_again_finished_points_are_hits(churn: Path, capsys: pytest.CaptureFixture[str]):
    first = sweep(capsys, "model.num_leaves=3,5")
    before = made(churn)
    again = sweep(capsys, "model.num_leaves=3,5,7")
    assert {t["changes"]["model.num_leaves"]: t["state"] for t in again["trials"]} == {"3": "HIT", "5": "HIT", "7": "DONE"}
    assert made(churn)["train"] == before["train"] + 1
    assert first["sweep"] != again["sweep"]


def test_each_point_is_a_run_that_bears_the_sweeps_name_and_its_own_config(churn: Path, capsys: pytest.CaptureFixture[str]):
    told = sweep(capsys, "model.num_leaves=3,5")
    runs = {run.id: run for run in open_scene(churn).ledger.runs(10)}
    for trial in told["trials"]:
        assert trial["run"].startswith(f"{told['sweep']}.")
        assert runs[trial["run"]].config["model"]["num_leaves"] == int(trial["changes"]["model.num_leaves"])
    assert f"{told['sweep']}.best" in runs


def test_any_setting_of_the_pipeline_may_be_swept(churn: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    figures = ["--by", "evaluate.log_loss", "--figure", "evaluate.auc"]
    assert main(["sweep", "--json", "cluster=debug", "split.validation=0.2,0.3", "model=booster,logistic", *figures]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["direction"] == "min"
    assert len(told["trials"]) == 4
    assert set(told["trials"][0]["figures"]) == {"evaluate.log_loss", "evaluate.auc"}
    counts = made(churn)
    assert counts["split"] == 1  # the other one is that of the project's own run
    assert counts["evaluate"] >= 3
    assert counts["register"] <= 1


def test_a_figure_that_is_not_there_is_told_with_those_that_are(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["sweep", *BOOSTER, "train.seed=1,2", "--by", "evaluate.acc"]) == 2
    assert "There are: accuracy, auc" in capsys.readouterr().err
    assert main(["sweep", *BOOSTER, "train.seed=1,2", "--by", "evaluat.auc"]) == 2
    assert "Did you mean 'evaluate'?" in capsys.readouterr().err
    assert main(["sweep", *BOOSTER, "train.seed=1,2", "--by", "deploy.version"]) == 2
    assert "'register' changes something in the world" in capsys.readouterr().err


SUB = """
defaults: [pipeline, _self_]
name: plans
source: {path: data/customers.csv}
steps:
  parted: {_target_: raypipe.Split, table: source, by: hash, key: customer_id, validation: 0.2, test: 0.2}
  of:
    each: {months: [1, 6]}
    inputs: {split: parted}
    pipeline:
      label: left
      model: {_target_: raypipe.Booster, num_threads: 1, rounds_per_epoch: 2}
      train: {epochs: 1}
      transform: {where: "months >= {months}", inputs: {_target_: raypipe.Select, columns: [age, months, calls_per_month]}}
      evaluate: null
      gate: null
      infra_validate: null
      deploy: null
"""


def test_settings_and_figures_of_a_sub_pipeline(fresh: Path, capsys: pytest.CaptureFixture[str]):
    (fresh / "conf" / "plans.yaml").write_text(SUB)
    words = ["-cn", "plans", "cluster=debug", "--by", "of.6.train.validation.auc"]
    assert main(["sweep", "--dry-run", *words, "steps.of.pipeline.model.num_leaves=3,5"]) == 0
    out = capsys.readouterr().out
    assert "of.6.transform  the same for all  1 RUN" in out
    assert "of.6.train      2 different       2 RUN" in out
    assert main(["sweep", "--json", *words, "steps.of.pipeline.model.num_leaves=3,5"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["trials"][0]["figures"]) == {"of.6.train.validation.auc"}
    counts = made(fresh)
    assert counts["of.6.transform"] == counts["of.1.train"] == counts["of.1.register"] == 1
    assert counts["of.6.train"] == 2
    assert main(["sweep", *words, "steps.of.pipeline.model.num_leave=3,5", "steps.of.pipeline.trian.epochs=1"]) == 2
    err = capsys.readouterr().err
    assert "Booster takes no 'num_leave'. Did you mean 'num_leaves'?" in err
    assert "steps.of.pipeline.trian " in err
    assert main(["sweep", *words, "steps.of.pipeline.transform.input.columns=[age],[months]"]) == 2
    err = capsys.readouterr().err
    assert "there is no transform or setting 'input'. Did you mean 'inputs'?" in err


def test_a_point_that_fails_is_told_and_the_others_go_on(churn: Path, capsys: pytest.CaptureFixture[str]):
    told = sweep(capsys, "split.validation=0.0001,0.3")
    states = {t["changes"]["split.validation"]: t for t in told["trials"]}
    assert states["0.0001"]["state"] == "FAILED"
    assert "no row falls into validation" in states["0.0001"]["error"]
    assert states["0.3"]["state"] == "DONE"
    assert told["best"] == 2
    assert told["result"]["state"] == "done"


def test_a_failure_may_stop_the_sweep(churn: Path, capsys: pytest.CaptureFixture[str]):
    told = sweep(capsys, "split.validation=0.0001,0.3", "--stop-on-failure", code=1)
    assert [t["state"] for t in told["trials"]] == ["FAILED"]
    assert told["result"] is None


def test_points_that_cannot_be_composed_are_refused_before_anything_runs(churn: Path, capsys: pytest.CaptureFixture[str]):
    before = len(open_scene(churn).ledger.runs(100))
    assert main(["sweep", "cluster=debug", "model=booster,logistic", "model.num_leaves=3,5"]) == 2
    err = capsys.readouterr().err
    assert "Logistic takes no 'num_leaves'" in err
    assert "point 3 of 4: model=logistic model.num_leaves=3" in err
    assert main(["sweep", "cluster=debug,local", "train.seed=1"]) == 2
    assert "one cluster" in capsys.readouterr().err
    assert len(open_scene(churn).ledger.runs(100)) == before


def test_a_dry_run_says_what_is_shared_and_runs_nothing(fresh: Path, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    assert main(["sweep", "--dry-run", *BOOSTER, "model.num_leaves=3,5"]) == 0
    out = capsys.readouterr().out
    assert "2 points, compared by train.validation.auc (max)" in out
    assert "transform  the same for all  1 RUN" in out
    assert "train      2 different       2 RUN" in out
    assert "of the best point alone: evaluate, gate, register, infra_validate, deploy" in out
    assert "model.num_leaves=5  train\n" in out
    assert open_scene(fresh).ledger.runs() == []


def test_points_at_once_come_to_the_same(churn: Path, capsys: pytest.CaptureFixture[str]):
    told = sweep(capsys, "model.num_leaves=3,4,5", "--parallel", "3")
    assert sorted(t["point"] for t in told["trials"]) == [1, 2, 3]
    assert made(churn)["train"] == 3


def test_the_table_names_what_differs_and_marks_the_best(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["sweep", *BOOSTER, "model.num_leaves=3,5"]) == 0
    out = capsys.readouterr().out
    assert "best by train.validation.auc (max): model.num_leaves=" in out
    assert "version 2 is champion" in out


def test_halving_trains_the_better_points_on_from_their_checkpoints(churn: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--scheduler", "halving", "train.epochs=9", "model.num_leaves=range(2,11)"]
    told = sweep(capsys, *words)
    assert sorted(t["epochs"] for t in told["trials"]) == [1] * 6 + [3] * 2 + [9]
    assert [t["state"] for t in told["trials"]] == ["DONE"] + ["STOPPED"] * 8
    assert told["trials"][0]["point"] == told["best"]
    best = told["result"]["steps"]["train"]["figures"]
    assert best["epochs"] == 9
    assert best["resumed_from"] == "epoch 3 of 3"
    assert made(churn)["train"] == 9 + 3 + 1
    again = sweep(capsys, *words)
    assert made(churn)["train"] == 13
    assert again["best"] == told["best"]


def test_what_was_stopped_can_be_gone_on_with_by_hand(churn: Path, capsys: pytest.CaptureFixture[str]):
    told = sweep(capsys, "--scheduler", "halving", "train.epochs=3", "model.num_leaves=3,5,7")
    stopped = next(t for t in told["trials"] if t["state"] == "STOPPED")
    leaves = stopped["changes"]["model.num_leaves"]
    assert main(["plan", *BOOSTER, "train.epochs=3", f"model.num_leaves={leaves}"]) == 0
    out = capsys.readouterr().out
    assert "RESUME" in out
    assert "goes on from a training of fewer epochs: epoch 1 of 1" in out


def test_halving_needs_one_number_of_epochs(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["sweep", "cluster=debug", "model=booster", "--scheduler", "halving", "train.epochs=3,9"]) == 2
    assert "the points ask for 3, 9: give one number" in capsys.readouterr().err


def test_a_dry_run_of_halving_names_its_rungs(churn: Path, capsys: pytest.CaptureFixture[str]):
    words = ["model=booster", "train.epochs=5", "model.num_leaves=range(2,11)"]
    assert main(["sweep", "--dry-run", "cluster=debug", "--scheduler", "halving", *words]) == 0
    assert "rungs: 9 of 1 epoch, then 3 of 3 epochs, then 1 of 5 epochs" in capsys.readouterr().out


def test_killed_and_run_again_it_goes_on(churn: Path, capsys: pytest.CaptureFixture[str]):
    points = "model.num_leaves=range(2,10)"
    process = subprocess.Popen(
        [sys.executable, "-m", "raypipe", "sweep", *BOOSTER, points], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    ended = 0
    for line in process.stdout:
        ended += " DONE " in line
        if ended == 3:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    before = made(churn)["train"]
    assert 3 <= before < 8
    told = sweep(capsys, points)
    assert Counter(trial["state"] for trial in told["trials"]) == {"HIT": before, "DONE": 8 - before}
    assert made(churn)["train"] == 8
    assert made(churn)["register"] == 1


COUNTED = """
import raypipe.pipeline.connection as connection
from raypipe.cli.main import main

real, calls = connection.connect, []
connection.connect = lambda *given: (calls.append(given), real(*given))[1]
code = main(["sweep", "cluster=local", "model=booster", "train.epochs=1", "split.validation=0.25,0.3,0.35"])
print("exit code", code, "and Ray started", len(calls))
"""


@pytest.mark.e2e
def test_ray_is_started_once_for_all_points(churn: Path):
    done = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, timeout=300)
    assert "exit code 0 and Ray started 1" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count(" DONE ") == 2 * 3
