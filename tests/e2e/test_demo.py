"""The demo, end to end: from raw files to an answered request, and nothing left behind."""

from __future__ import annotations

import json
import re

from tests.e2e.conftest import Demo

STEPS = ["source", "weather", "validate", "split", "labelled", "joined", "transform", "train", "evaluate", "gate", "register"]


def test_it_shows_every_step_and_an_answer(demo_project: Demo):
    for step in (*STEPS, "infra_validate", "deploy"):
        assert re.search(rf"^  {step} +RUN ", demo_project.output, re.MULTILINE), demo_project.output
    answer = json.loads(demo_project.output.partition("== its answer")[2].rpartition("}")[0] + "}")
    assert answer["predictions"][0]["class"] in ("on time", "late")
    assert 0 < answer["predictions"][0]["probability"] < 1
    assert answer["model"]["name"] == "flights"
    assert answer["model"]["version"] == 1


def test_no_process_is_left_behind(demo_project: Demo):
    assert demo_project.left_behind == ()


def test_no_chatter_of_libraries(demo_project: Demo):
    assert not re.search(r"INFO|WARNING|Traceback|DeprecationWarning|pid=", demo_project.output), demo_project.output


def test_an_unchanged_run_does_nothing(demo_project: Demo, raypipe):
    done = raypipe("run", "-cd", "examples/flights/conf", "-cn", "flights", "--json", cwd=demo_project.root)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert {name: step["state"] for name, step in steps.items()} == dict.fromkeys(steps, "HIT")
    assert {step["standing"] for step in steps.values()} <= {None, "in place", "recorded"}
    assert steps["deploy"]["standing"] == "recorded"
