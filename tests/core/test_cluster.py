"""Connecting to a cluster, and what a cluster of other machines is refused for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raypipe.core.cluster import Attach, Debug, Local, Session, check_reach, connect, num_cores

LEDGER, STORE = "sqlite:////p/.raypipe/ledger.db", "/p/.raypipe/store"

ATTACH = """
from pathlib import Path
from raypipe.core.cluster import Attach, connect
from raypipe.core.errors import ClusterError
try:
    with connect(Attach("127.0.0.1:1"), Path(".")):
        pass
except ClusterError as error:
    print(error)
"""

RUN = """
import sys
from pathlib import Path
from raypipe.core.cluster import Local, connect
assert "ray" not in sys.modules
with connect(Local(), Path(sys.argv[1])) as session:
    import ray, ray.data
    from theirs import triple

    def loud(row):
        print("NOISE of a worker")
        return {"x": triple(row["item"])}

    assert ray.data.from_items(list(range(10)), override_num_blocks=2).map(loud).sum("x") == 135
    assert session.started and session.num_cpus >= 4 and not session.inline
    assert session.address.startswith("127.0.0.1:")
assert not ray.is_initialized()
print("the only line")
"""


def test_a_local_cluster_is_quiet_on_loopback_and_imports_the_projects_modules(tmp_path: Path, ray_cluster: None):
    (tmp_path / "theirs.py").write_text("def triple(x):\n    return 3 * x\n")
    root = Path(__file__).parents[2]
    environ = {key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "PYTHONPATH")}
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the only line\n"
    assert done.stderr in ("", "Ray did not start within its own 30 s; trying again (2 of 3)\n")


def test_debug_is_no_ray_at_all(tmp_path: Path):
    with connect(Debug(), tmp_path) as session:
        assert session == Session(inline=True)
    assert str(tmp_path) in sys.path
    sys.path.remove(str(tmp_path))


def test_a_ray_that_is_there_already_is_used_and_left_running(tmp_path: Path, ray_cluster: None):
    import ray

    with connect(Local(), tmp_path) as session:
        assert (session.started, session.num_cpus, session.num_nodes) == (False, 4, 1)
    assert ray.is_initialized()
    sys.path.remove(str(tmp_path))


def test_a_cluster_that_does_not_answer_is_one_line():
    command = [sys.executable, "-c", ATTACH]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert done.stdout == "cluster at 127.0.0.1:1: no answer: connection refused\n", done.stderr


@pytest.mark.parametrize("cluster", [Local(), Debug(), Attach("127.0.0.1:6379"), Attach("localhost:6379"), Attach("[::1]:6379"), Attach()])
def test_a_cluster_on_this_machine_reaches_everything(cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert check_reach(cluster, LEDGER, STORE) == []


def test_a_cluster_of_other_machines_needs_a_ledger_and_a_store_that_they_share(monkeypatch: pytest.MonkeyPatch):
    problems = check_reach(Attach("10.1.2.3:6379"), LEDGER, STORE)
    assert [problem.where for problem in problems] == ["ledger", "store"]
    assert "RAYPIPE_LEDGER" in str(problems[0])
    assert "10.1.2.3:6379" in str(problems[1])
    assert check_reach(Attach("10.1.2.3:6379"), "postgresql+psycopg://h/d", "s3://bucket/p") == []
    monkeypatch.setenv("RAY_ADDRESS", "10.1.2.3:6379")
    assert len(check_reach(Attach("auto"), LEDGER, STORE)) == 2
    assert "Ray Client" in str(check_reach(Attach("ray://10.1.2.3:10001"), LEDGER, STORE)[0])


def test_the_cores_are_counted():
    assert 1 <= num_cores() <= (os.cpu_count() or 1)
