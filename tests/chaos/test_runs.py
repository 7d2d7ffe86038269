"""A run of steps side by side, killed again and again: what was finished stays so, and nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import select, text

from raypipe.core import schema
from raypipe.pipeline.plan import open_scene
from tests.chaos import form
from tests.chaos.runner import CHAINS, LENGTH

ROOT = Path(__file__).parents[2]
KILLS = 100 if form.LONG else 9
NUM_STEPS = CHAINS * LENGTH


def test_a_run_killed_with_several_steps_at_work_is_followed_by_one_that_makes_only_the_rest(tmp_path: Path):
    num_killed = 0
    for round_ in form.share(range(10)) if form.LONG else range(1):
        folder = tmp_path / str(round_)
        folder.mkdir()
        num_killed += killed_again_and_again(folder, random.Random(round_), KILLS)
        verify(folder)
    assert num_killed >= 5


def killed_again_and_again(folder: Path, chance: random.Random, kills: int) -> int:
    """Then a last run that is left alone. Returns how many were killed at work."""
    command = [sys.executable, "-m", "tests.chaos.runner", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forker:
        assert forker.stdin
        assert forker.stdout
        num_killed, log = 0, folder / "log"
        log.touch()
        while num_killed < kills and "run done" not in log.read_text():
            print(file=forker.stdin, flush=True)
            pid = forker.stdout.readline().split()[1]
            while f"{pid} begins" not in (said := log.read_text()) and f"{pid} run" not in said:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.15))
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            num_killed += forker.stdout.readline() == f"dead {-signal.SIGKILL}\n"
        print(file=forker.stdin, flush=True)
        forker.communicate(timeout=30)
    return num_killed


def verify(folder: Path) -> None:
    lines = [line.split(" ", 1)[1] for line in (folder / "log").read_text().splitlines()]
    assert lines[-1] == "run done "
    finished: set[str] = set()
    for what, _, step in (line.partition(" ") for line in lines):
        assert not (what == "begins" and step in finished), f"{step} was finished, and made again"
        if what == "RUN":
            finished.add(step)
    ended = Counter(line.split()[1] for line in lines if line.startswith("RUN "))
    assert max(ended.values()) == 1
    scene = open_scene(folder)
    with scene.ledger.reading() as connection:
        artifacts = connection.execute(select(schema.artifacts)).all()
        versions = connection.execute(select(schema.model_versions)).all()
        held = connection.execute(select(schema.leases.c.key).where(schema.leases.c.released_at.is_(None))).all()
        if scene.ledger.one_host:
            assert connection.execute(text("pragma integrity_check")).scalar_one() == "ok"
    assert not held
    assert len({row.step for row in artifacts}) == len(artifacts) == NUM_STEPS
    assert all(row.superseded_at is None for row in artifacts)
    assert sorted(row.version for row in versions) == list(range(1, NUM_STEPS + 1))
    assert {row.artifact_id: row.version for row in versions} == {row.id: row.figures["version"] for row in artifacts}
    for row in artifacts:
        artifact = scene.ledger.artifact(row.id)
        assert artifact is not None
        assert len([scene.store.read(file) for file in artifact.files]) == 1
    scene.ledger.close()
