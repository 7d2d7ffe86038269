"""The warm head's record: who may use it, and when it is seen to be dead. That it starts and is used stands in tests/e2e."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import stat
from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.core import head
from raypipe.core.errors import ClusterError
from raypipe.core.head import Head
from raypipe.core.lease import Owner


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAYPIPE_RUNTIME", str(tmp_path / "runtime"))
    return head.private_folder()


def described(**changed: object) -> Head:
    owner, versions = dataclasses.asdict(Owner.here()), (platform.python_version(), head.ray_version(), "0")
    environment = head.digests(os.environ, "salt")
    found = Head(owner, "127.0.0.1:1", "http://127.0.0.1:2", "t", "l", *versions, 4, 60, 0, environment, {"CPU": 4}, {"CPU": 4})
    return dataclasses.replace(found, **changed)


def written(runtime: Path, found: Head) -> None:
    head._write(runtime / "head.json", json.dumps(dataclasses.asdict(found)))


def test_the_record_is_this_users_alone(runtime: Path):
    written(runtime, described())
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    assert stat.S_IMODE((runtime / "head.json").stat().st_mode) == 0o600
    assert head.find() == described()


def test_a_process_that_only_has_its_number_is_not_the_head(runtime: Path):
    written(runtime, described(owner={**described().owner, "started": "1"}))
    assert head.find() is None
    assert not (runtime / "head.json").exists()
    assert head.down() is None


@pytest.mark.parametrize("text", ["", "{", "{}", '{"users": []}', "[]"])
def test_a_record_that_cannot_be_read_is_no_head(runtime: Path, text: str):
    (runtime / "head.json").write_text(text)
    assert head.find() is None


def test_a_folder_that_others_may_look_into_is_refused(runtime: Path):
    runtime.chmod(0o755)
    with pytest.raises(ClusterError, match="others may look into it"):
        head.private_folder()


def test_why_a_run_does_not_use_it(monkeypatch: pytest.MonkeyPatch):
    assert described().unfit(None, None) == ""
    assert described().unfit(4, None) == ""
    assert described(ray="2.59.0").unfit(None, None).startswith("it runs Ray 2.59.0, and this is 2.")
    assert described(python="3.12.1").unfit(None, None).startswith("it runs Python 3.12.1, and this is 3.")
    assert described().unfit(8, None) == "it has 4 CPUs, and cluster.num_cpus is 8"
    assert described().unfit(None, 1 << 30) == "cluster.object_store_bytes is set when Ray starts"
    before = described()
    monkeypatch.setenv("AWS_PROFILE", "other")
    monkeypatch.setenv("RAYPIPE_LEDGER", "read by the driver alone")
    assert before.unfit(None, None) == "its workers have not the same AWS_PROFILE in their environment"


def test_values_of_the_environment_are_not_in_the_record(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abcdef-geheim")
    assert "AWS_SECRET_ACCESS_KEY" in described().environment
    assert "geheim" not in json.dumps(dataclasses.asdict(described()))


def test_status_of_what_is_there(runtime: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["cluster", "status"]) == 0
    assert "no warm head" in capsys.readouterr().out
    written(runtime, described(users=({"pid": 7, "entrypoint": "python train.py"},)))
    assert main(["cluster"]) == 0
    out = capsys.readouterr().out
    assert "address      127.0.0.1:1" in out
    assert "used by      7  python train.py" in out
    assert main(["cluster", "status", "--json"]) == 0
    assert "environment" not in json.loads(capsys.readouterr().out)


def test_an_idle_time_that_is_none(runtime: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["cluster", "up", "--idle", "soon"]) == 2
    assert "expected a time, e.g. 90s, 30m, 8h." in capsys.readouterr().err


def test_rays_own_programs_use_nothing():
    """The agent that starts submitted jobs stays, under a name with its spare room behind it: it kept a head alive for ever."""
    said = [(1, "ray::DashboardAgent" + ' ""' * 9, False), (2, "/ray/dashboard/dashboard.py", False), (3, "python a.py", True)]
    said += [(os.getpid(), "raypipe head", False), (5, "python b.py", False)]
    jobs = [{"DriverPid": pid, "Entrypoint": entrypoint, "IsDead": dead} for pid, entrypoint, dead in said]
    assert head._users(jobs) == ({"pid": 5, "entrypoint": "python b.py"},)
