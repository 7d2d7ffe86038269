"""The server under the ledger is restarted while drivers, a run and an ingest are at work: they wait for it, and go on.

RAYPIPE_CHAOS=long restarts it ten times each.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raypipe.core.ledger import Ledger
from raypipe.core.store import Store
from tests.chaos import form, ingester, test_protocol, test_runs
from tests.chaos.test_ingest import World, content, digest
from tests.kafka import MockKafka

ROOT = Path(__file__).parents[2]
MODES = ("immediate", "fast") * form.amount(5, 1)

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("own_url", ["postgres"], indirect=True)]


def patiently(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_drivers_go_on_when_the_server_is_back(own_url: str, postgres_server: Any, store: Store):
    ledger = Ledger.open(own_url, "chaos")
    num_steps = 30 * len(MODES)
    command = [*test_protocol.DRIVER, own_url, store.root, "steps", str(num_steps)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for number, mode in enumerate(MODES):
        last = [f"step-{5 + number * 25}"]
        patiently(lambda last=last: ledger.find_all(last), "no driver made anything")
        postgres_server.restart(mode)
    outputs = [process.communicate(timeout=300) for process in running]
    assert [errors for _, errors in outputs] == ["", ""]
    # A server that is away for longer than it is waited for, on a busy machine, ends them with one line.
    ended = [output.splitlines()[-1] for process, (output, _) in zip(running, outputs, strict=True) if process.returncode]
    assert all(line.startswith("Ledger") for line in ended), ended
    test_protocol.finish(ledger, store, num_steps)
    test_protocol.verify(ledger, store, num_steps)
    ledger.close()


def test_a_run_ends_well_or_with_one_line_and_the_next_one_goes_on(
    own_url: str, postgres_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAYPIPE_LEDGER", own_url)
    monkeypatch.setenv("CHAOS_PAUSE_S", "0.4")
    log = tmp_path / "log"
    log.touch()
    command = [sys.executable, "-m", "tests.chaos.runner", str(tmp_path)]
    runner = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert runner.stdin
    print(file=runner.stdin, flush=True)
    for number, mode in enumerate(MODES):
        patiently(lambda number=number: log.read_text().count("begins") > 2 + 4 * number or " run " in log.read_text(), "no step began")
        postgres_server.restart(mode)
    print(file=runner.stdin, flush=True)
    assert runner.communicate(timeout=300)[1] == ""
    ended = [line.split(" ", 1)[1] for line in log.read_text().splitlines() if " run " in line]
    assert ended[-1] == "run done "
    assert all(line == "run done " or line.startswith("run failed ledger ") for line in ended), ended
    test_runs.verify(tmp_path)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    kafka = MockKafka()
    yield World(tmp_path, kafka)
    kafka.close()


def test_an_ingest_takes_every_record_once(own_url: str, postgres_server: Any, world: World, tmp_path: Path):
    where = (tmp_path, own_url, str(tmp_path / "store"))
    scene = ingester.scene(*where)
    command = [sys.executable, "-m", "tests.chaos.ingester", str(tmp_path), own_url, where[2], world.kafka.servers]
    forker = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert forker.stdin
    assert forker.stdout
    print("files", file=forker.stdin, flush=True)
    pids = forker.stdout.readline().split()[1:]
    for mode in MODES:
        for _ in range(3):
            world.feed("files")
        num_taken = taken(scene)
        patiently(lambda num_taken=num_taken: taken(scene) > num_taken, "nothing was taken")
        world.feed("files")
        postgres_server.restart(mode)
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    said = forker.communicate(timeout=60)[0].splitlines()
    assert [line for line in said if line != "dead" and "ledger postgresql" not in line] == []
    ingester.finish("files", scene, world.kafka.servers)
    assert digest(sorted(content(scene, "files"))) == digest(sorted(world.fed["files"]))
    scene.ledger.close()


def taken(scene: Any) -> int:
    with scene.ledger.reading() as connection:
        from raypipe.data.lake.snapshot import snapshots

        return len(snapshots(connection, scene.ledger.project, "files.source"))
