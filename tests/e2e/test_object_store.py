"""A project whose store is an object store: the life of a model, killed in the middle of its training, goes on from the checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.core.store import Store

LIFE = ("-cd", "conf", "cluster=debug", "model=booster", "model.rounds_per_epoch=5", "train.epochs=12", "~gate.thresholds")


@pytest.fixture
def store(fresh: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("RAYPIPE_STORE", f"{bucket}/churn")
    return Store.open(f"{bucket}/churn")


def test_killed_in_the_middle_of_training_it_goes_on_from_the_last_checkpoint(store: Store, capsys: pytest.CaptureFixture[str]):
    with subprocess.Popen([sys.executable, "-m", "raypipe", "run", *LIFE]) as process:
        until = time.monotonic() + 60
        while not whole(store) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    assert whole(store), "it was to be killed after a checkpoint"
    capsys.readouterr()
    assert main(["plan", *LIFE]) == 0
    assert "RESUME    goes on from epoch" in capsys.readouterr().out
    assert main(["run", *LIFE, "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert {name: step["state"] for name, step in steps.items() if step["state"] != "RUN"} == {
        **dict.fromkeys(("source", "validate", "split", "transform"), "HIT"),
        "train": "RESUME",
    }
    assert (steps["train"]["figures"]["resumed_from"][:6], steps["train"]["figures"]["epochs"]) == ("epoch ", 12)


def whole(store: Store) -> list[str]:
    return [path for path, *_ in store.files() if path.startswith("checkpoints/") and path.endswith("/manifest.json")]
