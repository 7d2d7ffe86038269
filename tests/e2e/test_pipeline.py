"""The flights pipeline as a person runs it: what is done is not done again, what was half done goes on, and `plan` says so beforehand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.conftest import Demo, environment

FLIGHTS = ("-cd", "conf", "-cn", "flights")


def planned(demo: Demo, raypipe, *overrides: str) -> dict[str, tuple[str, str]]:
    done = raypipe("plan", *FLIGHTS, "--json", *overrides, cwd=demo.project)
    assert done.returncode == 0, done.stderr
    return {s["step"]: (s["state"], s["why"]) for s in json.loads(done.stdout)["steps"]}


def edit(demo: Demo, before: str, after: str) -> None:
    path = demo.project / "flights.py"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_an_unchanged_run_does_nothing_and_imports_neither_ray_nor_torch(copy_of_demo: Demo):
    command = [sys.executable, "-X", "importtime", "-m", "raypipe", "run", *FLIGHTS, "--json"]
    done = subprocess.run(command, cwd=copy_of_demo.project, env=environment(), capture_output=True, text=True, timeout=120)
    result = json.loads(done.stdout)
    assert {s["state"] for s in result["steps"].values()} == {"HIT"}
    assert result["steps"]["register"]["standing"] == "in place"
    assert result["steps"]["deploy"]["standing"] == "recorded"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert not imported & {"ray", "torch", "pandas", "polars", "lightgbm", "sklearn", "flights"}


def test_what_each_change_reruns(copy_of_demo: Demo, raypipe):
    epochs = planned(copy_of_demo, raypipe, "train.epochs=6")
    why = "epochs default -> 6 (override train.epochs=6); goes on from a training of fewer epochs: epoch 5 of 5"
    assert epochs["train"] == ("RESUME", why)
    assert {epochs[s][0] for s in ("source", "weather", "validate", "split", "labelled", "joined", "transform")} == {"HIT"}
    replicas = planned(copy_of_demo, raypipe, "deploy.num_replicas=2")
    assert [s for s, (state, _) in replicas.items() if state != "HIT"] == ["deploy"]


def test_a_comment_reruns_nothing_and_a_helper_reruns_from_the_transform_on(copy_of_demo: Demo, raypipe):
    edit(copy_of_demo, "def minute_of_day", "# Told by the local clock.\ndef minute_of_day")
    assert {state for state, _ in planned(copy_of_demo, raypipe).values()} == {"HIT"}
    edit(copy_of_demo, "pc.multiply(pc.hour(local), 60)", "pc.multiply(pc.hour(local), 61)")
    changed = next(line for line in (copy_of_demo.project / "flights.py").read_text().splitlines() if "pc.hour(local), 61)" in line)
    found = planned(copy_of_demo, raypipe)
    line = 1 + (copy_of_demo.project / "flights.py").read_text().splitlines().index(changed)
    assert found["transform"] == ("RUN", f"flights.minute_of_day changed (line {line})")
    assert {found[s][0] for s in ("source", "weather", "validate", "split", "labelled", "joined")} == {"HIT"}
    assert found["train"][0] == "MAYBE"


def test_killed_in_the_middle_of_training_it_goes_on_from_the_last_checkpoint(copy_of_demo: Demo, raypipe):
    arguments = [*FLIGHTS, "train.epochs=12", "model.rounds_per_epoch=10", "cluster=debug", "~gate.thresholds", "~gate.max_drop"]
    command = [sys.executable, "-m", "raypipe", "run", *arguments]
    before = checkpoints(copy_of_demo)
    with subprocess.Popen(
        command, cwd=copy_of_demo.project, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 120
        while len(new := checkpoints(copy_of_demo) - before) < 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert new, "it was to be killed after a checkpoint"
    assert planned(copy_of_demo, raypipe, *arguments[4:])["train"][0] == "RESUME"
    done = raypipe("run", *arguments, "--json", cwd=copy_of_demo.project)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert steps["train"]["state"] == "RESUME"
    assert steps["train"]["figures"]["resumed_from"]
    assert steps["train"]["figures"]["epochs"] == 12
    assert {steps[s]["state"] for s in ("source", "weather", "validate", "split", "labelled", "joined", "transform")} == {"HIT"}


def checkpoints(demo: Demo) -> set[Path]:
    return {p for p in (demo.project / ".raypipe" / "store" / "checkpoints").glob("*/*/*") if (p / "manifest.json").exists()}


def test_yaml_and_python_are_one_pipeline(copy_of_demo: Demo):
    done = subprocess.run(
        [sys.executable, "pipeline.py"], cwd=copy_of_demo.project, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert " RUN" not in done.stdout
    assert "train: HIT" in done.stdout
