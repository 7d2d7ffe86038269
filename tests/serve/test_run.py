"""An endpoint in Ray that follows the desired state: updates under load, failures that change nothing, and an end that leaves nothing."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raypipe.bundle.bundle import load
from raypipe.core.errors import LedgerError
from raypipe.core.store import Store
from raypipe.serve.client import Client, EndpointError
from raypipe.serve.deploy import HOST, Application, NotServing, deploy, free_port, remove, wait
from raypipe.serve.desired import Desired, Limits
from raypipe.serve.probe import probe
from raypipe.serve.run import Stop, serve
from tests.serve.conftest import flights, write_version

GOOD = {"distance": 1000.0, "wind": None, "hour": 5}


class Serving:
    """`serve` at work: what it is told to want, and what it said."""

    def __init__(self, root: Path):
        self.port, self.root, self.said = free_port(), root, list[str]()
        self.wanted: Desired | None = None
        self.broken: Exception | None = None
        self.stop = Stop()
        self._thread = threading.Thread(target=self.run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def read(self) -> Desired | None:
        if self.broken:
            raise self.broken
        return self.wanted

    def run(self) -> int:
        return serve(self.read, port=self.port, report=self.said.append, poll_s=0.1, ready_s=60, stop_=self.stop)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def want(self, desired: Desired | None, says: str) -> None:
        """Sets the desired state and waits for the line that `serve` says of it."""
        seen = len(self.said)
        self.wanted = desired
        self.until(lambda: any(says in line for line in self.said[seen:]))

    def until(self, come: Callable[[], bool], within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while not come():
            assert time.monotonic() < deadline, self.said
            time.sleep(0.05)

    def version(self) -> int:
        with Client(self.url, "flights") as client:
            return client.predict([GOOD]).model["version"]


@pytest.fixture(scope="module")
def serving(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    serving = Serving(tmp_path_factory.mktemp("run") / "store")
    serving.start()
    serving.want(write_version(serving.root, 1, limits=Limits(body_wait_s=1.0)), "serving flights version 1 at")
    yield serving
    serving.end()


class Load:
    """A client a thread that asks without a pause and keeps what it was answered."""

    def __init__(self, url: str, num_threads: int = 2):
        self.url, self.versions, self.failures = url, list[int](), list[str]()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(num_threads)]

    def _ask(self) -> None:
        with Client(self.url, "flights") as client:
            while not self._end.wait(0.02):
                try:
                    self.versions.append(client.predict([GOOD]).model["version"])
                except EndpointError as error:
                    self.failures.append(str(error))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        time.sleep(0.3)
        self._end.set()
        for thread in self._threads:
            thread.join(10)


def test_predictions_through_serve_are_the_bundles_own(serving: Serving):
    assert serving.wanted is not None
    rows = flights(300, seed=2)
    expected = load(Store(str(serving.root)), serving.wanted.model).predict(rows)
    with Client(serving.url, "flights") as client:
        answer = client.predict(rows)
    assert [p["probability"] for p in answer.predictions] == pytest.approx(expected["probability"].to_pylist(), rel=1e-5)
    assert [p["class"] for p in answer.predictions] == expected["prediction"].to_pylist()


def test_only_loopback_is_listened_on(serving: Serving):
    import psutil  # pyright: ignore[reportMissingModuleSource]

    listening = [tuple(c.laddr) for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert {address for address in listening if serving.port in address} == {(HOST, serving.port)}


def test_slow_bodies_do_not_hold_up_a_good_request(serving: Serving):
    head = b"POST /v1/models/flights:predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n[{"
    slow = [socket.create_connection((HOST, serving.port)) for _ in range(30)]
    for connection in slow:
        connection.settimeout(20)
        connection.sendall(head)
    started = time.monotonic()
    assert serving.version() == 1
    assert time.monotonic() - started < 1.0
    assert all(connection.recv(20).startswith(b"HTTP/1.1 408") for connection in slow)
    for connection in slow:
        connection.close()


def test_an_update_under_load_fails_no_request_and_keeps_the_process(serving: Serving):
    with Client(serving.url, "flights") as client:
        before = client.ready()["replica"]
        with Load(serving.url) as load:
            serving.want(write_version(serving.root, 2), "serving flights version 2 at")
        assert load.failures == []
        assert set(load.versions) == {1, 2}
        assert client.ready()["replica"] == before


def test_a_version_that_does_not_load_leaves_the_old_one_serving(serving: Serving):
    wanted = write_version(serving.root, 3)
    os.truncate(serving.root / "models" / "3" / "model.txt", 100)
    with Load(serving.url) as load:
        serving.want(wanted, "flights version 3 could not be loaded: models/3/model.txt")
    assert serving.said[-1].endswith("version 2 goes on serving")
    assert load.failures == []
    assert set(load.versions) == {2}
    assert serving.version() == 2


def test_a_desired_state_that_cannot_be_read_changes_nothing(serving: Serving):
    serving.broken = LedgerError("the ledger is locked")
    serving.until(lambda: "the desired state cannot be read: the ledger is locked; version 2 goes on serving" in serving.said)
    assert serving.version() == 2
    serving.broken = None


def test_a_version_that_cannot_be_placed_is_given_up(serving: Serving):
    assert serving.wanted is not None
    application = Application("too-large", serving.url, "/too-large")
    large = dataclasses.replace(serving.wanted, num_cpus=1_000, limits=Limits(body_wait_s=0.1))
    deploy(application, large)
    with pytest.raises(NotServing, match=r"does not serve after 1 s: 0 of 1 replicas .* reserves 1000 CPU; the cluster has 4"):
        wait(application, large, 1)
    remove(application)


def test_a_candidate_is_probed_beside_it(serving: Serving):
    candidate = write_version(serving.root, 4)
    rows = flights(60, seed=9)
    expected = load(Store(str(serving.root)), candidate.model).predict(rows)
    findings = probe(candidate, rows, expected, latency_budget_ms=5_000, num_timed=10, num_bad=30)
    assert findings.passed, findings.reasons
    assert serving.version() == 2

    from ray import serve as ray_serve

    assert list(ray_serve.status().applications) == ["raypipe-flights"]


def test_nothing_wanted_removes_the_application(serving: Serving):
    serving.want(None, "flights is not to be served any more")
    with pytest.raises(EndpointError, match="404"):
        serving.version()


def test_a_signal_answers_what_is_at_hand_and_leaves_nothing(serving: Serving):
    """Runs in the main thread, where signals arrive; it takes the place of the endpoint that the tests before it used."""
    import psutil  # pyright: ignore[reportMissingModuleSource]

    serving.end()
    second = Serving(serving.root)
    second.wanted = write_version(serving.root, 6)
    answers: list[bytes] = []

    def ask_then_end() -> None:
        second.until(lambda: bool(second.said))
        body = b'[{"distance": 1000, "hour": 5}]'
        head = (
            f"POST /v1/models/flights:predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((HOST, second.port), timeout=20) as connection:
            connection.sendall(head.encode() + body[:5])
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.7)
            connection.sendall(body[5:])
            answers.append(connection.recv(2_000))

    asker = threading.Thread(target=ask_then_end, daemon=True)
    handler = signal.getsignal(signal.SIGTERM)
    asker.start()
    assert second.run() == signal.SIGTERM
    asker.join(20)
    assert answers[0].startswith(b"HTTP/1.1 200")
    assert signal.getsignal(signal.SIGTERM) is handler
    names = [p.name() for p in psutil.Process().children(recursive=True)]
    assert not [name for name in names if "Serve" in name or "Proxy" in name]
