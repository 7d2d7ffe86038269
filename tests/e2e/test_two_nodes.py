"""Two machines, as two network namespaces with a Ray node in each: the same rows as on one, also where one is cut off in mid-run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.cli.main import main
from raypipe.core.ledger import Ledger
from raypipe.data.table import names
from raypipe.pipeline.plan import open_scene
from tests import shop
from tests.conftest import new_database
from tests.core.test_claims import on_another_host

ROOT = Path(__file__).parents[2]
HEAD, OTHER = "10.77.0.1", "10.77.0.2"
PORT, STORE_PORT = 6399, 5599
NUM_FILES, NUM_ROWS = 8, 3_000

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(os.environ.get("RAYPIPE_CHAOS") != "long", reason="two nodes take a minute each time: RAYPIPE_CHAOS=long runs them"),
]

STEPS = """
split: {by: hash, key: id, validation: 0.2, test: 0.2}
steps:
  labelled: {_target_: raypipe.Label, column: large, sql: amount > 10}
label: large
transform:
  table: labelled
  inputs: {_target_: raypipe.Select, columns: [amount, kind]}
  seen: {_target_: own.seen}
  scale: {_target_: raypipe.Standardize, columns: [amount]}
  kinds: {_target_: raypipe.OneHot, columns: [kind]}
"""
MAP = """
steps:
  fits: {_target_: raypipe.Map, function: {_target_: own.fit}, items: [0, 1, 2, 3, 4, 5, 6, 7], inputs: {rows: source}, chunk_items: 1}
"""
TURN = """
steps:
  turn: {_target_: own.Turn}
execution: {default: {deadline: 100s}}
"""
OWN = """\
import os
import time
from pathlib import Path

import polars as pl
import pyarrow as pa

from raypipe import Made, Report


def fit(n: int, rows: pl.DataFrame) -> dict:
    seen(pa.table({}))
    return {"sum": rows.filter(pl.col("id") % 8 == n)["amount"].sum(), "node": len(rows)}


class Turn:
    def needs(self):
        return {"CPU": 2}

    def run(self, work) -> Made[Report]:
        log = Path(os.environ["TURNS"])
        for what in ("begins", "ends"):
            with log.open("a") as stream:
                stream.write(f"{os.uname().nodename} {what}\\n")
            time.sleep(float(os.environ["SEEN_FOR"]) if what == "begins" else 0)
        return Made(os.uname().nodename)


def seen(table: pa.Table) -> pa.Table:
    folder = os.environ.get("SEEN_ON")
    if folder:
        Path(folder).touch()
        time.sleep(float(os.environ["SEEN_FOR"]))
    return table
"""


@dataclass(frozen=True)
class Net:
    """A switch and two machines on it."""

    name: str

    def inside(self, machine: str, *command: str) -> list[str]:
        return ["ip", "netns", "exec", f"{self.name}{machine}", *command]


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def network() -> Iterator[Net]:
    """Skips where this process may make none."""
    net = Net(f"rp{uuid.uuid4().hex[:6]}")
    with ExitStack() as stack:
        try:
            for machine in ("s", "a", "b"):
                ip("netns", "add", net.name + machine)
                stack.callback(ip, "netns", "del", net.name + machine)
                stack.callback(kill_all, net.name + machine)
            _wire(net)
        except OSError as error:
            pytest.skip(f"no network namespaces here: {error}")
        yield net


def _wire(net: Net) -> None:
    switch = f"{net.name}s"
    ip("-n", switch, "link", "add", "br0", "type", "bridge")
    ip("-n", switch, "link", "set", "br0", "up")
    for machine, address in (("a", HEAD), ("b", OTHER)):
        own = net.name + machine
        ip("-n", switch, "link", "add", f"p{machine}", "type", "veth", "peer", "name", "eth0", "netns", own)
        ip("-n", switch, "link", "set", f"p{machine}", "master", "br0")
        ip("-n", switch, "link", "set", f"p{machine}", "up")
        ip("-n", own, "addr", "add", f"{address}/24", "dev", "eth0")
        ip("-n", own, "link", "set", "eth0", "up")
        ip("-n", own, "link", "set", "lo", "up")


@contextmanager
def process(*command: str, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        started = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent)
        try:
            yield started
        finally:
            started.kill()
            started.wait()


def kill_all(namespace: str) -> None:
    """Whatever runs on that machine: a node's own end takes twenty seconds."""
    found = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    for pid in map(int, found.stdout.split()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return written(tmp_path / "shop", STEPS, "pipeline, {model: booster}")


def written(folder: Path, steps: str, defaults: str = "pipeline") -> Path:
    shop.write(folder, "{path: data}", steps, OWN, defaults)
    (folder / "data").mkdir()
    for number in range(NUM_FILES):
        first = number * NUM_ROWS
        ids = range(first, first + NUM_ROWS)
        rows = pa.table(
            {"id": pa.array(ids, pa.int64()), "amount": [(n * 7919 % 3001) / 100 for n in ids], "kind": ["abc"[n % 3] for n in ids]}
        )
        pq.write_table(rows, folder / "data" / f"{number}.parquet", write_page_checksum=True)
    return folder


def environment(folder: Path, machine: str, seen_s: float = 0.2) -> dict[str, str]:
    token = "5" * 64
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_TMPDIR": str(folder / "ray"), "PYTHONPATH": str(ROOT)}
    store = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_ENDPOINT_URL": f"http://{HEAD}:{STORE_PORT}",
        "AWS_REGION": "us-east-1",
    }
    seen = {"SEEN_ON": str(folder / f"seen-on-{machine}"), "SEEN_FOR": str(seen_s)}
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {**inherited, **own, **store, **seen, "RAY_USAGE_STATS_ENABLED": "0"}


@contextmanager
def cluster(net: Net, folder: Path, seen_s: float = 0.2) -> Iterator[None]:
    """A head with a CPU on one machine, a worker node with one on the other, and an object store for both."""
    ray = str(Path(sys.executable).parent / "ray")
    moto = [sys.executable, "-m", "moto.server", "-H", HEAD, "-p", str(STORE_PORT)]
    common = ["--num-cpus=1", "--object-store-memory=100000000", "--block"]
    head = [ray, "start", "--head", f"--node-ip-address={HEAD}", f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={folder}/ray"]
    worker = [ray, "start", f"--address={HEAD}:{PORT}", f"--node-ip-address={OTHER}"]
    with ExitStack() as stack:
        for machine, name, command in (("a", "store", moto), ("a", "head", [*head, *common])):
            run = net.inside(machine, *command)
            stack.enter_context(process(*run, env=environment(folder, machine, seen_s), log=folder / f"{name}.log"))
        _answers(net, PORT, folder / "head.log")
        _answers(net, STORE_PORT, folder / "store.log")
        run = net.inside("b", *worker, *common)
        stack.enter_context(process(*run, env=environment(folder, "b", seen_s), log=folder / "worker.log"))
        yield


def _answers(net: Net, port: int, log: Path) -> None:
    asked = net.inside("a", sys.executable, "-c", f"import socket; socket.create_connection(('{HEAD}', {port}), 1).close()")
    for _ in range(120):
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.25)
    raise AssertionError(f"nothing listens on {port}: {log.read_text()}")


DRIVER = """\
import sys, time
import pyarrow.fs
import ray
from raypipe.cli.main import main

pyarrow.fs.S3FileSystem(endpoint_override={endpoint!r}, scheme="http", allow_bucket_creation=True).create_dir("shop")
ray.init(address={address!r}, log_to_driver=False)
while len([n for n in ray.nodes() if n["Alive"]]) < {nodes}:
    time.sleep(0.2)
ray.shutdown()
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a short path: Ray's sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="rp", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_two_nodes_make_the_same_rows_as_one(project: Path, place: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    assert main(["run", "cluster=debug"]) == 0
    alone = content(open_scene().ledger)
    ledger = new_database(postgres_url)
    with network() as net, cluster(net, place):
        # Named, since Ray would find whatever other one runs on the real machine: processes are not hidden from each other here.
        here = driver_environment(place, str(place / "ledger.db")) | {
            "RAYPIPE_STORE": str(place / "store"),
            "RAY_ADDRESS": f"{HEAD}:{PORT}",
        }
        refused = driven(net, project, here, "cluster=attach")
        assert refused.returncode == 2, refused.stderr
        assert "is a folder on this machine, and the cluster at 10.77.0.1:6399 has others" in refused.stderr
        words = ("cluster=attach", f"cluster.address={HEAD}:{PORT}", "train.num_workers=1")
        done = driven(net, project, driver_environment(place, ledger), *words)
        assert done.returncode == 0, done.stderr + (place / "worker.log").read_text()
        assert {path.name for path in place.glob("seen-on-*")} >= {"seen-on-a", "seen-on-b"}
        assert "epoch 5: " in done.stdout, "a worker trains, with its checkpoints in the object store"
    opened = Ledger.open(ledger, "shop")
    assert content(opened) == alone
    opened.close()


def cut_off(net: Net, project: Path, env: dict[str, str], *words: str, place: Path, after_s: float = 0) -> subprocess.CompletedProcess[str]:
    """A driver's run, the link of whose other node is cut once something runs there; it ends done, or failed with a word."""
    with ThreadPoolExecutor() as pool:
        running = pool.submit(driven, net, project, env, *words)
        while not (place / "seen-on-b").exists() and not running.done():
            time.sleep(0.05)
        time.sleep(after_s)
        ip("-n", f"{net.name}s", "link", "set", "pb", "down")
        done = running.result()
    print(done.returncode, done.stdout, done.stderr)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_node_cut_off_in_mid_run(project: Path, place: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    """The run ends done, or failed with a reason; the same command then ends done with the rows of one machine."""
    monkeypatch.chdir(project)
    assert main(["run", "cluster=debug"]) == 0
    alone = content(open_scene().ledger)
    ledger = new_database(postgres_url)
    with network() as net, cluster(net, place, seen_s=2):
        env, words = (
            driver_environment(place, ledger),
            ["cluster=attach", f"cluster.address={HEAD}:{PORT}", "+execution.default.timeout=90s"],
        )
        done = cut_off(net, project, env, *words, place=place)
        if done.returncode:
            assert "transform" in done.stderr
            assert f"node {OTHER} is lost: health check failed" in done.stdout
            done = driven(net, project, env, *words, nodes=1)
            assert done.returncode == 0, done.stderr
    opened = Ledger.open(ledger, "shop")
    assert content(opened) == alone
    opened.close()


def test_a_map_on_two_nodes(tmp_path: Path, place: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    """The rows of one machine, its items dealt to both; one node cut off in the middle, what was handed in is not run again."""
    project = written(tmp_path / "shop", MAP)
    monkeypatch.chdir(project)
    assert main(["run", "cluster=debug"]) == 0
    alone = content(open_scene().ledger)
    words = ["cluster=attach", f"cluster.address={HEAD}:{PORT}", "+execution.default.timeout=90s"]
    with network() as net, cluster(net, place, seen_s=1):
        env = driver_environment(place, new_database(postgres_url))
        done = driven(net, project, env, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert {path.name for path in place.glob("seen-on-*")} == {"seen-on-a", "seen-on-b"}
        assert made_of(env) == alone
        env = driver_environment(place, new_database(postgres_url))
        (place / "seen-on-b").unlink()
        done = cut_off(net, project, env, *words, place=place, after_s=1.5)  # the first items are handed in by then
        if done.returncode:
            done = driven(net, project, env, *words, nodes=1)
            assert done.returncode == 0, done.stderr
            assert "8 items: 8 run" not in done.stdout
        assert made_of(env) == alone


def test_drivers_on_two_machines_take_turns(tmp_path: Path, place: Path, postgres_url: str):
    """Each takes the whole cluster for a while: one waits, and names the other with its machine."""
    ledger = new_database(postgres_url)
    with network() as net, cluster(net, place), ExitStack() as stack:
        drivers = {}
        for machine in ("a", "b"):
            env = driver_environment(place, ledger) | {"TURNS": str(place / "turns"), "SEEN_FOR": "5"}
            env |= {"RAYPIPE_RUNTIME": str(place / f"runtime-{machine}"), "SEEN_ON": ""}
            # Another project each: the same step would be made by one of them for both.
            words = ["cluster=attach", f"cluster.address={HEAD}:{PORT}", "--only", "turn"]
            command = net.inside(machine, *on_another_host(f"machine-{machine}", *driver_command(*words)))
            folder = written(tmp_path / machine / f"shop-{machine}", TURN)
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            drivers[machine] = stack.enter_context(subprocess.Popen(command, env=env, cwd=folder, **pipes))
        told = {machine: driver.communicate(timeout=180)[0] for machine, driver in drivers.items()}
        assert [driver.returncode for driver in drivers.values()] == [0, 0], told
    turns = (place / "turns").read_text().split()
    assert turns[1::2] == ["begins", "ends", "begins", "ends"]
    assert turns[0] == turns[2] != turns[4] == turns[6], "in one order"
    second = told[turns[4].removeprefix("machine-")]
    assert f"on {turns[0]}) holds 2 CPUs" in second


def made_of(env: Mapping[str, str]) -> dict[str, tuple[str, int, int]]:
    opened = Ledger.open(env["RAYPIPE_LEDGER"], "shop")
    try:
        return content(opened)
    finally:
        opened.close()


def driver_environment(place: Path, ledger: str) -> dict[str, str]:
    return environment(place, "driver") | {"RAYPIPE_LEDGER": ledger, "RAYPIPE_STORE": "s3://shop/store"}


def driven(net: Net, project: Path, env: dict[str, str], *words: str, nodes: int = 2) -> subprocess.CompletedProcess[str]:
    """`raypipe run` on the first machine, once that many nodes are there."""
    run = net.inside("a", *driver_command(*words, nodes=nodes))
    return subprocess.run(run, env=env, cwd=project, capture_output=True, text=True, timeout=180, check=False)


def driver_command(*words: str, nodes: int = 2) -> list[str]:
    driver = DRIVER.format(endpoint=f"{HEAD}:{STORE_PORT}", address=f"{HEAD}:{PORT}", nodes=nodes)
    return [sys.executable, "-c", driver, "run", *words]


def content(ledger: Ledger) -> dict[str, tuple[str, int, int]]:
    """Table -> the digest of its rows, file by file in their order, how many rows and how many files."""
    return {name: (found.chain, found.num_rows, found.num_files) for name, found in names(ledger).items()}
