from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.cli.terminal import Terminal
from raypipe.pipeline.node import Node, Pipeline
from raypipe.pipeline.options import StepEvent


def test_a_plan_is_a_line_a_step_with_its_cause(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plan", "train.seed=1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[4].split() == ["train", "RUN", "seed", "default", "->", "1", "(override", "train.seed=1)"]


def test_a_plan_with_nothing_to_do_says_so(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plan"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing to do"


def test_a_run_ends_with_its_name_and_how_it_ended(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("run 20")
    assert " done in " in last


def test_a_line_that_goes_into_a_pipe_is_not_broken(capsys: pytest.CaptureFixture[str]):
    words = " ".join(["step 'train' of run x (process 7 on far-away) holds 2 CPUs;"] * 9)
    Terminal(Pipeline.of("p", {"a": Node("t")})).on_event(StepEvent("a", "waiting", "BLOCKED", words))
    assert capsys.readouterr().out == f"  a  {words}\n"
