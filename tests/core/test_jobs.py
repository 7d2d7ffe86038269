"""A warm head, beside a Ray without a token: given jobs, asked about them, ended; a ledger on PostgreSQL, a secret that shows nowhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raypipe.core.jobs import Jobs
from raypipe.core.ledger import Ledger
from tests import shop
from tests.conftest import new_database

ROOT = Path(__file__).parents[2]
SECRET = "canary-0c1b7e52"

STEPS = """
split: null
transform: null
steps:
  seen: {_target_: own.seen, rows: source}
"""
OWN = """\
import os

import pyarrow as pa


def seen(rows: pa.Table) -> pa.Table:
    passed = os.environ.get("SHOP_API_KEY", "")
    return rows.append_column("passed", pa.array([len(passed)] * len(rows)))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = shop.write(tmp_path / "shop", "{_target_: raypipe.Csv, path: data.csv}", STEPS, OWN)
    (folder / "data.csv").write_text("id,amount\n1,5\n2,7\n3,9\n")
    return folder


@pytest.fixture
def runtime() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rp-"))
    yield folder / "runtime"
    raypipe("cluster", "down", cwd=folder, runtime=folder / "runtime")
    shutil.rmtree(folder, ignore_errors=True)


def raypipe(*words: str, cwd: Path, runtime: Path, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "RAYPIPE_"))}
    environ = {**inherited, "PYTHONPATH": str(ROOT), "RAYPIPE_RUNTIME": str(runtime), **env}
    command = [sys.executable, "-m", "raypipe", *words]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=240, check=False)


def answer(url: str, token: str | None) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def addresses(url: str) -> set[str]:
    """What three jobs are told to connect to: one of them may be told the right address by chance."""
    jobs = Jobs(url)
    ids = [jobs.submit("echo to $RAY_ADDRESS", {}, {}) for _ in range(3)]
    while not all(jobs.job(id).is_over for id in ids):
        time.sleep(0.2)
    return {line for id in ids for line in jobs.logs(id).splitlines() if line.startswith("to ")}


@pytest.mark.usefixtures("ray_cluster")
def test_a_job_on_the_warm_head(project: Path, runtime: Path, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    here: dict[str, Any] = {"cwd": project, "runtime": runtime}
    started = raypipe("cluster", "up", "--json", "--idle", "5m", **here)
    assert started.returncode == 0, started.stderr
    head = json.loads(started.stdout)
    assert answer(f"{head['jobs_url']}/api/jobs/", None)[0] == 401
    monkeypatch.setenv("RAYPIPE_RUNTIME", str(runtime))
    assert addresses(head["jobs_url"]) == {f"to {head['address']}"}, "not the session's Ray"

    shared: dict[str, Any] = {
        "RAYPIPE_LEDGER": new_database(postgres_url),
        "RAYPIPE_STORE": str(tmp_path / "store"),
        "SHOP_API_KEY": SECRET,
    }
    words = ["submit", "--address", head["jobs_url"], "--pass-env", "SHOP_API_KEY"]
    done = raypipe(*words, "--wait", **here, **shared)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "variables: RAYPIPE_LEDGER, RAYPIPE_STORE, SHOP_API_KEY" in done.stdout
    ledger = Ledger.open(shared["RAYPIPE_LEDGER"], "shop")
    assert [run.state for run in ledger.runs()] == ["DONE"]
    ledger.close()
    rows = raypipe("tables", "head", "shop.seen", "--json", **here, **shared)
    assert [row["passed"] for row in json.loads(rows.stdout)] == [len(SECRET)] * 3, "the worker that made the rows had the value"

    job = done.stdout.splitlines()[0]
    status, record = answer(f"{head['jobs_url']}/api/jobs/", Path(head["token_path"]).read_text())
    assert status == 200
    assert job in record
    assert SECRET not in record + done.stdout + done.stderr
    assert not [each for each in json.loads(record) if "pip" in (each["runtime_env"] or {})], (
        "nothing is lacking where it was submitted from"
    )
    told = raypipe("submit", "--address", head["jobs_url"], "--status", job, "--json", **here)
    assert json.loads(told.stdout)["state"] == "SUCCEEDED"

    refused = raypipe("submit", "--address", head["jobs_url"], f"source.path={SECRET}.csv", **here, **shared)
    assert refused.returncode == 2
    assert "would stand in the job's record" in refused.stderr
    ended = raypipe("cluster", "down", **here)
    assert f"the head at {head['address']} is ended." in ended.stdout
