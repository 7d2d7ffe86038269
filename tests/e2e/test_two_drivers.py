"""Two drivers on one cluster that believe they are on two hosts: neither sees the other's claims on its machine, and they take turns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import new_database
from tests.core.test_claims import on_another_host

CONFIG = """\
defaults: [pipeline, _self_]
name: {name}
source: null
steps:
  work: {{_target_: own.Works, name: {name}}}
execution: {{default: {{deadline: 60s}}}}
"""
OWN = """\
import time
from pathlib import Path

from raypipe import Made, Report


class Works:
    '''Takes all of the cluster, in the driver, where Ray would not make it wait; the first one until it is told to go on.'''

    def __init__(self, name: str):
        self.name = name

    def needs(self):
        return {"CPU": 4}

    def run(self, work) -> Made[Report]:
        folder = Path(work.project_path).parent
        for what in ("begins", "ends"):
            with (folder / "log").open("a") as stream:
                stream.write(f"{self.name} {what}\\n")
            while self.name == "first" and not (folder / "go").exists():
                time.sleep(0.02)
                work.alive()
        return Made(self.name)
"""


@dataclass(frozen=True)
class Driver:
    """A project, and the host that its runs are on."""

    folder: Path
    env: dict[str, str]

    @classmethod
    def of(cls, folder: Path, name: str, ledger: str) -> Driver:
        (folder / name / "conf").mkdir(parents=True)
        (folder / name / "conf" / f"{name}.yaml").write_text(CONFIG.format(name=name))
        (folder / name / "own.py").write_text(OWN)
        own = {"RAYPIPE_LEDGER": ledger, "RAYPIPE_STORE": str(folder / "store"), "RAYPIPE_RUNTIME": str(folder / f"runtime-{name}")}
        # The session's Ray listens on loopback alone, and a driver would ask for it at the machine's own address.
        return cls(folder / name, {**os.environ, **own, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"})

    def start(self, address: str) -> subprocess.Popen[str]:
        words = ["-m", "raypipe", "run", "cluster=attach", f"cluster.address={address}"]
        command = on_another_host(f"host-{self.folder.name}", sys.executable, *words)
        return subprocess.Popen(command, env=self.env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def loopback(address: str) -> str:
    return f"127.0.0.1:{address.rpartition(':')[2]}"


def began(log: Path, driver: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not log.exists():
        if driver.poll() is not None or time.monotonic() > until:
            driver.kill()
            raise AssertionError(driver.communicate()[0])
        time.sleep(0.05)


@pytest.mark.postgres
def test_steps_of_two_hosts_take_turns_and_who_holds_what_is_named(tmp_path: Path, ray_cluster: None, postgres_url: str):
    import ray

    address, ledger = loopback(ray.get_runtime_context().gcs_address), new_database(postgres_url)
    first, second = (Driver.of(tmp_path, name, ledger) for name in ("first", "second"))
    with first.start(address) as one:
        began(tmp_path / "log", one)
        with second.start(address) as other:
            assert other.stdout
            lines = []
            for line in other.stdout:
                lines.append(line)
                if "waits for" in line:
                    break
            (tmp_path / "go").touch()
            said, told = one.communicate(timeout=100)[0], "".join(lines) + other.communicate(timeout=100)[0]
    assert (one.returncode, other.returncode) == (0, 0), said + told
    assert (tmp_path / "log").read_text().split("\n")[:4] == ["first begins", "first ends", "second begins", "second ends"]
    assert "waits for 4 CPUs of the cluster at" in told
    assert "step 'work' of run" in told
    assert f"(process {one.pid} on host-first) holds 4 CPUs" in told


@pytest.mark.postgres
@pytest.mark.skipif(os.environ.get("RAYPIPE_CHAOS") != "long", reason="a lease lasts half a minute: RAYPIPE_CHAOS=long waits for its end")
def test_what_a_killed_driver_held_is_free_once_it_is_silent(tmp_path: Path, ray_cluster: None, postgres_url: str):
    import ray

    address, ledger = loopback(ray.get_runtime_context().gcs_address), new_database(postgres_url)
    first, second = (Driver.of(tmp_path, name, ledger) for name in ("first", "second"))
    with first.start(address) as one:
        began(tmp_path / "log", one)
        one.send_signal(signal.SIGKILL)
    with second.start(address) as other:
        told = other.communicate(timeout=100)[0]
    assert other.returncode == 0, told
    assert f"(process {one.pid} on host-first) holds 4 CPUs" in told
