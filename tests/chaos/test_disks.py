"""Disks whose power is cut, and disks that are full: what was acknowledged is whole, and the same command goes on.

RAYPIPE_CHAOS=long cuts the power 40 times, and fills the disk that Ray spills to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from raypipe.core import schema
from raypipe.core.artifact import Table
from raypipe.core.ledger import Ledger
from raypipe.core.store import Store
from raypipe.data.table import read
from raypipe.pipeline.plan import open_scene
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


CONF = """
defaults: [pipeline, _self_]
name: wide
source: null
cluster: {object_store_bytes: 80000000}
steps:
  rows: {_target_: raypipe.Ingest, source: {_target_: raypipe.Csv, path: parts}}
  wide: {_target_: widely.widely, rows: rows}
"""
FUNCTION = """
import numpy as np
import pyarrow as pa
import ray.data


def grown(rows: pa.Table) -> pa.Table:
    grown = [np.random.default_rng(number).bytes(100_000) for number in rows["id"].to_pylist()]
    return rows.append_column("bytes", pa.array(grown, pa.binary()))


def widely(rows: ray.data.Dataset) -> ray.data.Dataset:
    wide = rows.map_batches(grown, batch_format="pyarrow", batch_size=100).materialize()
    return wide.map_batches(lambda rows: rows.drop_columns(["bytes"]), batch_format="pyarrow")
"""
NUM_ROWS = 2_000
"""200 MB where the function holds them, in an object store of 80."""


@pytest.mark.skipif(not form.LONG, reason="a minute on a Ray of its own: RAYPIPE_CHAOS=long runs it")
@pytest.mark.parametrize("left_mb", [0, 25], ids=["which Ray sees", "which Ray meets"])
def test_a_full_disk_under_what_ray_spills_is_named_and_the_run_goes_on_once_there_is_room(left_mb: int, tmp_path: Path):
    folder = tmp_path / "wide"
    (folder / "conf").mkdir(parents=True)
    (folder / "parts").mkdir()
    (folder / "conf" / "wide.yaml").write_text(CONF)
    (folder / "widely.py").write_text(FUNCTION)
    for number in range(4):
        rows = range(number * NUM_ROWS // 4, (number + 1) * NUM_ROWS // 4)
        (folder / "parts" / f"{number}.csv").write_text("id\n" + "".join(f"{n}\n" for n in rows))
    with powered(tmp_path, 600) as disk:
        free = shutil.disk_usage(disk.path).free
        with (disk.path / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - (left_mb << 20) - 1)
        code, told = wide(folder, disk.path)
        assert code == 1, told
        assert "Traceback" not in told
        assert "ERROR" not in told
        assert told.splitlines()[-1].startswith(
            "raypipe: function widely.widely: its rows do not fit into Ray's object store (80.0 MB), and the disk that Ray moves them to "
            f"is full: {disk.path}, "
        )
        assert told.endswith("What was done so far is kept, and the run goes on from there.\n")
        assert [step for step, _ in made(folder)] == ["rows"]
        (disk.path / "ballast").unlink()
        code, told = wide(folder, disk.path)
        assert code == 0, told
        assert made(folder) == [("rows", NUM_ROWS), ("wide", NUM_ROWS)]


def wide(folder: Path, spilling: Path) -> tuple[int, str]:
    """Exit code, and what was printed."""
    environ = os.environ | {"RAY_object_spilling_directory": str(spilling)}
    command = [sys.executable, "-m", "raypipe", "run", "-cd", "conf", "-cn", "wide"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def made(folder: Path) -> list[tuple[str, int]]:
    """The steps that have an artifact, and the rows that are read from it."""
    scene = open_scene(folder)
    with scene.ledger.reading() as connection:
        ids = connection.execute(select(schema.artifacts.c.id).order_by(schema.artifacts.c.step)).scalars().all()
    artifacts = [scene.ledger.artifact(id_) for id_ in ids]
    found = [(a.step, read(scene.ledger, scene.store, a).num_rows) for a in artifacts if isinstance(a, Table)]
    scene.ledger.close()
    return found
