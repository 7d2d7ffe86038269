"""What a tracker tells the world, and what it must not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raypipe.core.tracker import NoTracker, Wandb

CANARY = "RAYPIPE-CANARY-7f3a9c"

RUN = f"""
import sys
from raypipe.core.tracker import Wandb
assert "wandb" not in sys.modules
tracker = Wandb("flights", folder="here")
tracker.start("run-1", {{"source": {{"url": "${{oc.env:DB_PASSWORD}}", "written": "user:{CANARY}@host"}}, "lr": 0.1}})
for step in range(3):
    tracker.log({{"loss": 1.0 / (step + 1)}}, step)
tracker.finish("DONE")
"""


def test_wandb_without_a_key_writes_offline_and_no_secret_lands_there(tmp_path: Path):
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DB_PASSWORD": CANARY, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", RUN, f"source.password={CANARY}"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
    written = [path for path in (tmp_path / "here").rglob("*") if path.is_file()]
    run = next(path for path in written if path.suffix == ".wandb").read_bytes()
    assert b"${oc.env:DB_PASSWORD}" in run
    assert b"loss" in run
    assert [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(("key", "mode", "expected"), [("", "auto", "offline"), ("k", "auto", "online"), ("k", "offline", "offline")])
def test_the_mode_follows_the_key_unless_it_is_set(monkeypatch: pytest.MonkeyPatch, key: str, mode, expected: str):
    monkeypatch.setenv("WANDB_API_KEY", key)
    assert Wandb("flights", mode)._mode() == expected


def test_no_tracker_takes_everything():
    tracker = NoTracker()
    tracker.start("run-1", {"a": 1})
    tracker.log({"loss": 0.1}, 0)
    tracker.finish("DONE")
