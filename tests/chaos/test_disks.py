"""Disks whose power is cut, and disks that are full: what was acknowledged is whole, and the same command goes on.

RAYPIPE_CHAOS=long cuts the power 40 times.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raypipe.core.ledger import Ledger
from raypipe.core.store import Store
from tests.chaos import form, test_runs
from tests.chaos.mounts import Disk, powered, small
from tests.chaos.test_protocol import DRIVER, finish, verify

ROOT = Path(__file__).parents[2]
NUM_CUTS = form.amount(40, 2)


def cut_at_work(disk: Disk, num_steps: int, *options: str) -> list[str]:
    """Drivers make steps until the power is cut; what they acknowledged."""
    command = [*DRIVER, f"sqlite:///{disk.path}/ledger.db", str(disk.path / "store"), "steps", "100000", *options]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert driver.stdout
    said = [driver.stdout.readline() for _ in range(num_steps)]
    disk.cut_power()
    driver.kill()
    said += driver.communicate()[0].splitlines()
    disk.come_back()
    return [line.split()[1] for line in said if line.startswith("made ")]


def test_what_was_acknowledged_is_whole_after_a_power_cut(tmp_path: Path):
    with powered(tmp_path) as disk:
        made: list[str] = []
        for cut in range(NUM_CUTS):
            made += cut_at_work(disk, 5 + cut % 7)
            ledger, store = Ledger.open(f"sqlite:///{disk.path}/ledger.db", "chaos"), Store.open(disk.path / "store")
            there = ledger.find_all([f"step-{number}" for number in range(len(made) + NUM_CUTS)])
            assert set(made) <= there.keys()
            finish(ledger, store, len(there) + 1)
            made = list({*made, *there, f"step-{len(there)}"})
            verify(ledger, store, len(made))
            ledger.close()


def test_the_power_cut_can_fail_without_full_synchronisation_commits_are_lost(tmp_path: Path):
    with powered(tmp_path) as disk:
        made = cut_at_work(disk, 8, "relaxed")
        ledger = Ledger.open(f"sqlite:///{disk.path}/ledger.db", "chaos")
        assert set(made) - ledger.find_all(made).keys()
        ledger.close()


@pytest.mark.parametrize("what", ["store", "ledger"])
def test_a_run_on_a_full_disk_says_so_and_goes_on_once_there_is_room(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "project"
    folder.mkdir()
    with small(tmp_path, {"store": "300k", "ledger": "900k"}[what]) as disk:
        monkeypatch.setenv(f"RAYPIPE_{what.upper()}", str(disk.path / what))
        (folder / "log").touch()
        first = run_once(folder)
        assert first.startswith("run failed ")
        assert {"store": "no space left on device", "ledger": "database or disk is full"}[what] in first
        assert first.endswith("Free some space: what was done so far is kept, and the run goes on from there.")
        disk.grow("20m")
        assert run_once(folder) == "run done "
        test_runs.verify(folder)


def run_once(folder: Path) -> str:
    """What the run came to, as its log says; nothing else may be said, least of all a traceback."""
    command = [sys.executable, "-m", "tests.chaos.runner", str(folder)]
    done = subprocess.run(command, cwd=ROOT, input="\n", capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    return next(text for line in (folder / "log").read_text().splitlines()[::-1] if (text := line.split(" ", 1)[1]).startswith("run "))
