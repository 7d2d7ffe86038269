"""Steps side by side, and what a failure or a signal does to those at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest


def test_branches_run_side_by_side_and_a_step_waits_for_all_that_it_reads(project):
    slow = project.module.Slow
    steps = {"a": slow(seconds=0.6, value=1), "b": slow(seconds=0.6, value=2), "c": project.module.Then(before="a", other="b")}
    result = project.run(steps)
    assert result.state == "done"
    assert sorted(project.log[:2]) == ["a begins", "b begins"]
    assert project.log[-1] == "c begins"
    assert list(result.steps) == ["a", "b", "c"]


def test_no_more_at_once_than_allowed(project):
    project.run({name: project.module.Slow(seconds=0.05, value=i) for i, name in enumerate("abcd")}, num_parallel=1)
    assert project.log == [f"{name} {what}" for name in "abcd" for what in ("begins", "ends")]


def test_forty_at_once_publish_each_its_own(project):
    result = project.run({f"s{i}": project.module.Slow(seconds=0.05, value=i) for i in range(40)}, num_parallel=40)
    assert result.state == "done", result.error
    assert [result[f"s{i}"].figures["value"] for i in range(40)] == list(range(40))
    assert list(result.steps) == [f"s{i}" for i in range(40)]
    assert {s.state for s in project.scene.ledger.steps(result.id)} == {"RUN"}


def both(project) -> dict:
    """A branch that fails at once, one that is at work then, and what would follow each."""
    m = project.module
    return {
        "a": m.Fails(),
        "b": m.Slow(seconds=0.5),
        "after_a": m.Slow(before="a", seconds=0.0),
        "after_b": m.Slow(before="b", seconds=0.0, value=7),
    }


def test_after_a_failure_what_runs_ends_and_nothing_new_starts(project, states):
    result = project.run(both(project))
    assert (result.state, result.exit_code) == ("failed", 1)
    assert states(result) == {"b": "RUN"}
    assert "b ends" in project.log
    assert "after_b begins" not in project.log


def test_stop_ends_what_runs(project, states):
    result = project.run(both(project), {"a": {"on_failure": "stop"}})
    assert result.exit_code == 1
    assert "failure 1" in result.error
    assert states(result) == {}
    assert "b ends" not in project.log
    recorded = {s.step: s for s in project.scene.ledger.steps(result.id)}
    assert {name: s.state for name, s in recorded.items()} == {"a": "FAILED", "b": "INTERRUPTED"}
    assert "because 'a' failed" in recorded["b"].why


def test_continue_leaves_out_only_what_reads_the_step(project, states):
    result = project.run(both(project), {"a": {"on_failure": "continue"}})
    assert (result.state, result.exit_code) == ("failed", 1)
    assert states(result) == {"a": "FAILED", "b": "RUN", "after_a": "BLOCKED", "after_b": "RUN"}
    assert "'a' failed" in result.steps["after_a"].why


def test_a_step_may_be_what_follows_a_failure_each_time_and_only_then(project, states):
    m = project.module
    steps = {"a": m.Fails(times=2), "clean": m.First(value=3)}
    for tries in (1, 2):
        result = project.run(steps, {"a": {"on_failure": "clean"}})
        assert result.state == "failed"
        assert states(result) == {"clean": "RUN"}
        assert project.log.count("clean begins") == tries
    result = project.run(steps, {"a": {"on_failure": "clean"}})
    assert states(result) == {"a": "RUN", "clean": "SKIP"}
    assert result.steps["clean"].why == "runs where 'a' fails"


def test_two_failures_are_both_recorded_and_the_first_one_counts(project):
    result = project.run({"a": project.module.Fails(), "b": project.module.Slow(seconds=0.2), "c": project.module.Fails(before="b")})
    assert "failure 1" in result.error
    steps = {"x": project.module.Fails(kind="DataError"), "y": project.module.Fails(kind="DataError")}
    result = project.run(steps, {"default": {"on_failure": "continue"}})
    assert {s.step: s.state for s in project.scene.ledger.steps(result.id)} == {"x": "FAILED", "y": "FAILED"}


SCRIPT = """
import sys
from pathlib import Path
import raypipe
from raypipe.pipeline.options import Options
from raypipe.cli.main import stopped_cleanly
sys.path.insert(0, ".")
import {module} as m
steps = {{"a": m.Slow(seconds=60, deaf={deaf}), "b": m.First(), "c": m.Slow(seconds=60, deaf={deaf}, value=1)}}
with stopped_cleanly():
    result = raypipe.run(raypipe.Pipeline("p", steps=steps, project_path=Path.cwd()))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("deaf", [False, True])
def test_a_signal_ends_the_run_its_steps_and_their_leases(project, number: signal.Signals, code: int, deaf: bool):
    script = project.folder / "go.py"
    script.write_text(SCRIPT.format(module=project.module.__name__, deaf=deaf))
    with subprocess.Popen([sys.executable, str(script)], cwd=project.folder, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while len(project.log) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "the same command goes on from there" in err
    ledger = project.scene.ledger
    (run,) = ledger.runs()
    assert (run.state, run.exit_code) == ("INTERRUPTED", code)
    assert {s.step: s.state for s in ledger.steps(run.id)} == {"a": "INTERRUPTED", "b": "RUN", "c": "INTERRUPTED"}
    with ledger.reading() as connection:
        from sqlalchemy import select

        from raypipe.core.schema import leases

        assert not connection.execute(select(leases.c.key).where(leases.c.released_at.is_(None))).all()


def test_a_signal_ends_a_step_whose_time_is_just_over_and_that_would_be_tried_again(project):
    """It is deaf and at the end of its first try: what is asked then must outlast that try."""
    script = project.folder / "go.py"
    execution = {"default": {"timeout": 0.3, "retries": 50, "backoff": 0}}
    script.write_text(
        SCRIPT.format(module=project.module.__name__, deaf=True).replace("steps=steps,", f"steps=steps, execution={execution!r},")
    )
    with subprocess.Popen([sys.executable, str(script)], cwd=project.folder, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while len(project.log) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.7)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    assert [s.state for s in project.scene.ledger.steps(project.scene.ledger.runs()[0].id) if s.step != "b"] == ["INTERRUPTED"] * 2
