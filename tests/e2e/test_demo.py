"""The demo, end to end: from raw files to an answered request, and nothing left behind."""

from __future__ import annotations

import json
import re

from tests.e2e.conftest import Demo

STEPS = ["source", "weather", "validate", "split", "labelled", "joined", "transform", "train", "evaluate", "gate", "register"]


def test_it_shows_every_step_and_an_answer(demo_project: Demo):
    for step in (*STEPS, "infra_validate", "deploy"):
        assert re.search(rf"^  {step} +RUN ", demo_project.output, re.MULTILINE), demo_project.output
    found = re.search(r"^\$ curl .*\n((?s:.*?)^\})$", demo_project.output, re.MULTILINE)
    assert found, demo_project.output
    answer = json.loads(found[1])
    (prediction,) = answer["predictions"]
    assert prediction["class"] in ("on time", "late")
    assert 0 < prediction["probability"] < 1
    assert (answer["model"]["name"], answer["model"]["version"]) == ("flights", 1)
    assert answer["model"]["run"]
    assert answer["model"]["snapshot"] > 0


def test_no_process_is_left_behind(demo_project: Demo):
    assert demo_project.left_behind == ()


def test_no_chatter_of_libraries(demo_project: Demo):
    assert not re.search(r"INFO|WARNING|Traceback|DeprecationWarning|pid=", demo_project.output), demo_project.output
