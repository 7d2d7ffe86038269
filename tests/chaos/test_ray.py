"""A pipeline with training, in the driver's process and in a worker apart by turns, on a Ray whose calls fail at random, whose workers, the
training's among them, are killed, and whose driver is killed in the middle of it: what comes of it is what comes of a run left in peace.

RAYPIPE_CHAOS=long kills 50 times.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import select

from raypipe.core import schema
from raypipe.core.artifact import Model, Table
from raypipe.data.table import read
from raypipe.pipeline.plan import open_scene
from tests.chaos import form

NUM_KILLS = form.amount(50, 2)
NUM_FILES, NUM_ROWS = 8, 100
BOUND_S = 300
"""Within which each run ends, one way or the other, on a busy machine too."""
FAULTS = '{"*":{"num_failures":-1,"req_failure_prob":3,"resp_failure_prob":3,"in_flight_failure_prob":3}}'
"""Percents of all calls between Ray's processes: lost on the way there, on the way back, or done and not told."""

CONF = """
defaults: [pipeline, {model: mlp}, _self_]
name: churn
source: {path: parts}
contract:
  _target_: raypipe.Contract
  columns: {id: {type: int64, unique: true}, x: {type: float64}, left: {type: bool}}
label: left
split: {by: hash, key: id, validation: 0.2, test: 0.2}
transform:
  table: slow
  inputs: {_target_: raypipe.Select, columns: [x]}
  scale: {_target_: raypipe.Standardize, columns: [x]}
train: {epochs: 400, early_stopping: null}
infra_validate: null
deploy: null
steps:
  slow: {_target_: raypipe.MapBatches, table: split, function: {_target_: slowly.slowly}}
"""
FUNCTION = """
import time

import pyarrow as pa


def slowly(rows: pa.Table) -> pa.Table:
    time.sleep(0.2)
    return rows
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return made(tmp_path / "churn")


def made(folder: Path) -> Path:
    (folder / "conf").mkdir(parents=True)
    (folder / "parts").mkdir()
    (folder / "conf" / "churn.yaml").write_text(CONF)
    (folder / "slowly.py").write_text(FUNCTION)
    for number in range(NUM_FILES):
        rows = range(number * NUM_ROWS, (number + 1) * NUM_ROWS)
        text = "".join(f"{n},{(n * 37 % 100) / 100},{'true' if n * 37 % 100 > 50 else 'false'}\n" for n in rows)
        (folder / "parts" / f"{number}.csv").write_text("id,x,left\n" + text)
    return folder


class Driver:
    """`raypipe run` as a user starts it."""

    def __init__(self, folder: Path, *overrides: str, **environ: str):
        self.output = folder / f"output-{len(list(folder.glob('output-*')))}"
        with self.output.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "raypipe", "run", "-cd", "conf", "-cn", "churn", *overrides],
                cwd=folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONFAULTHANDLER": "0"} | environ,
            )

    def workers(self, kind: str = "") -> list[int]:
        """Ray's processes that tasks and actors run in."""
        return [pid for pid in _below(self.process.pid) if _command(pid).startswith(f"ray::{kind}")]

    def until(self, condition: Callable[[], bool]) -> None:
        """Waits for it, or for the end of the run."""
        deadline = time.monotonic() + BOUND_S
        while self.process.poll() is None and not condition():
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)

    def end(self) -> int:
        self.until(lambda: False)
        return self.process.returncode


def _below(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                yield int(child)
                yield from _below(int(child))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def kill(pid: int) -> bool:
    """Whether it was there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


Killed = Iterator[str]
"""What was killed, each time that something was."""


def workers(driver: Driver, folder: Path, chance: random.Random) -> Killed:
    """While the run lasts, one of those that are there now and then."""
    for _ in range(2):
        driver.until(lambda: bool(driver.workers()))
        time.sleep(chance.uniform(0, 1.5))
        if (there := driver.workers()) and kill(chance.choice(there)):
            yield "workers"


def training_worker(driver: Driver, folder: Path, chance: random.Random) -> Killed:
    """Anywhere between its start and its end, which is four seconds later on a quiet machine."""
    driver.until(lambda: bool(driver.workers("RayTrainWorker")))
    time.sleep(chance.uniform(0, 5))
    if any(map(kill, driver.workers("RayTrainWorker"))):
        yield "training workers"


def driver_in_training(driver: Driver, folder: Path, chance: random.Random) -> Killed:
    """Once it has a checkpoint more."""
    checkpoints = folder / ".raypipe" / "store" / "checkpoints"
    before = set(checkpoints.glob("*/*/*"))
    driver.until(lambda: not before.issuperset(checkpoints.glob("*/*/*")))
    time.sleep(chance.uniform(0, 1))
    if _kill_driver(driver):
        yield "drivers in training"


def both(driver: Driver, folder: Path, chance: random.Random) -> Killed:
    yield from training_worker(driver, folder, chance)
    yield from driver_in_training(driver, folder, chance)


def driver_at_random(driver: Driver, folder: Path, chance: random.Random) -> Killed:
    driver.until(lambda: "source" in driver.output.read_text())
    time.sleep(chance.uniform(0, 8))
    if _kill_driver(driver):
        yield "drivers"


HARMS = (
    (0, driver_at_random),
    (1, both),
    (0, workers),
    (1, driver_in_training),
    (1, training_worker),
    (0, driver_in_training),
    (1, workers),
)
"""Where it trains, and who is killed."""


def _kill_driver(driver: Driver) -> bool:
    alive = driver.process.poll() is None
    driver.process.kill()
    driver.process.wait()
    return alive


@pytest.mark.skipif(not form.LONG, reason="a minute with two kills: RAYPIPE_CHAOS=long runs it, with fifty")
def test_a_run_on_a_failing_ray_ends_with_a_reason_and_the_next_one_goes_on(project: Path):
    chance, killed, codes = form.chance(11), Counter[str](), Counter[int]()
    expected = left_in_peace(project.parent / "peace")
    for number in range(NUM_KILLS * 2):
        if killed.total() >= NUM_KILLS:
            break
        apart, harm = HARMS[number % len(HARMS)]
        driver = Driver(project, f"train.num_workers={apart}", **({"RAY_testing_rpc_failure": FAULTS} if number % 2 else {}))
        killed.update(harm(driver, project, chance))
        code = driver.end()
        codes[code] += 1
        told = driver.output.read_text()
        assert code in (0, 1, -signal.SIGKILL), told
        assert "Traceback" not in told
        print(f"{number}: apart {apart}, {dict(killed)}, exit {code}", *re.findall("raypipe: .*", told), flush=True)
        if code == 0:
            assert verify(project) == expected
            project = made(project.parent / f"again-{number}" / "churn")
    last = Driver(project)
    assert last.end() == 0, last.output.read_text()
    assert verify(project) == expected
    print(f"{dict(killed)}, exit codes {dict(codes)}")
    assert killed.total() >= NUM_KILLS


@pytest.mark.skipif(not form.LONG, reason="two minutes, most of them a lease's time to live: RAYPIPE_CHAOS=long runs it")
def test_a_driver_stopped_past_its_lease_is_fenced_and_the_training_worker_that_it_left_harms_nobody(project: Path):
    expected = left_in_peace(project.parent / "peace", "train.epochs=4000")
    zombie = Driver(project, "train.epochs=4000", "train.num_workers=1")
    zombie.until(lambda: any((project / ".raypipe" / "store" / "checkpoints").glob("*/*/000*")))
    zombie.process.send_signal(signal.SIGSTOP)
    try:
        (left,) = zombie.workers("RayTrainWorker")
        successor = Driver(project, "train.epochs=4000", "train.num_workers=1")
        assert successor.end() == 0, successor.output.read_text()
        print(successor.output.read_text())
    finally:
        zombie.process.send_signal(signal.SIGCONT)
    assert zombie.end() == 75
    assert "its lease" in zombie.output.read_text()  # that it lost, or that it could not renew, whichever it sees first
    assert not _command(left)
    assert verify(project) == expected


def left_in_peace(folder: Path, *overrides: str) -> dict[str, str]:
    (driver := Driver(made(folder / "churn"), *overrides)).end()
    assert driver.process.returncode == 0, driver.output.read_text()
    return verify(folder / "churn")


def verify(folder: Path) -> dict[str, str]:
    """Every step was finished once, in whichever run, and no row was lost or doubled. Step -> the digest of its table or model."""
    scene = open_scene(folder)
    with scene.ledger.reading() as connection:
        artifacts = connection.execute(select(schema.artifacts)).all()
        held = connection.execute(select(schema.leases.c.key).where(schema.leases.c.released_at.is_(None))).all()
    assert not held
    assert {step: n for step, n in Counter(row.step for row in artifacts).items() if n > 1} == {}
    digests = {}
    for row in artifacts:
        artifact = scene.ledger.artifact(row.id)
        assert artifact is not None
        assert all(map(scene.store.holds, artifact.files))
        if isinstance(artifact, (Table, Model)):
            digests[row.step] = artifact.digest
        if isinstance(artifact, Table):
            rows: pa.Table = read(scene.ledger, scene.store, artifact)
            assert rows.num_rows == NUM_FILES * NUM_ROWS, row.step
    scene.ledger.close()
    return digests
