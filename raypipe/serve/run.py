"""`raypipe serve`: an endpoint that follows the desired state until it is told to stop, and then leaves nothing behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from raypipe.core.errors import ConfigError, RaypipeError
from raypipe.serve.deploy import HOST, Application, NotServing, deploy, remove, start, stop, wait
from raypipe.serve.desired import Desired, check

Wanted = Callable[[], Desired | None]
"""Reads the desired state; None where nothing is to be served."""


@dataclass
class Stop:
    """Whether to stop, and by which signal: 0 where the caller asked."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: int = 0

    def __call__(self) -> None:
        self.event.set()

    @property
    def asked(self) -> bool:
        return self.event.is_set()


def serve(
    wanted: Wanted,
    *,
    port: int,
    host: str = HOST,
    report: Callable[[str], None] = print,
    poll_s: float = 1.0,
    ready_s: float = 120.0,
    stop_: Stop | None = None,
) -> int:
    """Serves what `wanted` says on `host` and `port`, in the Ray that this process is connected to.

    Returns when SIGTERM or SIGINT came (that signal's number), or `stop_` was called (0): the requests at hand are answered,
    then the application is deleted and the Serve that was started here is shut down. Signals are heeded in the main thread only.

    Raises NotServing where the very first version does not serve within `ready_s`. A later one that does not leaves the one before
    it serving and is reported. `port` should have passed `check_port` before Ray was started.
    """
    asked = stop_ or Stop()
    address, started = start(host, port)
    with _signals(asked):
        follower = Follower(address, wanted, report, asked, ready_s)
        try:
            _check_address(address, host, port)
            while not asked.asked:
                follower.look()
                asked.event.wait(poll_s)
        finally:
            follower.leave()
            if started:
                stop()
    return asked.signal


class Follower:
    """Brings what is served to what is wanted, a look at a time."""

    def __init__(self, address: str, wanted: Wanted, report: Callable[[str], None], asked: Stop, ready_s: float):
        self.address, self.wanted, self.report, self.asked, self.ready_s = address, wanted, report, asked, ready_s
        self.serving: Desired | None = None
        """What answers now."""
        self._failed: Desired | None = None
        self._deployed: Application | None = None
        self._told = ""

    def look(self) -> None:
        """Reads the desired state once and acts where it differs. A desired state that cannot be read changes nothing."""
        try:
            wanted = self.wanted()
            if wanted is not None:
                check(wanted)
        except RaypipeError as error:
            return self._tell(f"the desired state cannot be read: {error}; {self._standing()}")
        if wanted == self.serving or (wanted is not None and wanted == self._failed):
            if wanted is None:
                self._tell("nothing to serve yet: waiting for a version to be deployed")
            return None
        if wanted is None:
            name = self.serving.name if self.serving else "the endpoint"
            self.leave()
            return self._tell(f"{name} is not to be served any more")
        return self._bring(wanted)

    def leave(self) -> None:
        """Removes the application, requests at hand answered."""
        if self._deployed is not None:
            remove(self._deployed)
        self._deployed = self.serving = self._failed = None

    def _bring(self, wanted: Desired) -> None:
        application = Application(f"raypipe-{wanted.name}", self.address)
        if self._deployed is not None and self._deployed != application:
            self.leave()
        self._deployed = application
        deploy(application, wanted)
        try:
            if wait(application, wanted, self.ready_s, lambda: not self.asked.asked):
                self.serving, self._failed = wanted, None
                self._tell(_announcement(application, wanted))
        except NotServing as error:
            if self.serving is None:
                raise
            self._failed = wanted
            # The replicas still answer with the version before; one that starts from now on must load that one too.
            deploy(application, self.serving)
            self._tell(f"{error}; {self._standing()}")

    def _standing(self) -> str:
        return f"version {self.serving.version} goes on serving" if self.serving else "nothing is served"

    def _tell(self, text: str) -> None:
        if text != self._told:
            self.report(text)
        self._told = text


def _announcement(application: Application, desired: Desired) -> str:
    replicas = "1 replica" if desired.num_replicas == 1 else f"{desired.num_replicas} replicas"
    return f"serving {desired.name} version {desired.version} at {application.url}/v1/models/{desired.name}:predict ({replicas})"


def _check_address(address: str, host: str, port: int) -> None:
    if not address.endswith(f":{port}"):
        raise ConfigError(f"Serve already runs in this Ray at {address}, not on {host}:{port}: pass that port, or stop it first.")


@contextmanager
def _signals(asked: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT ask to stop, once; a second one does what it did before. Ray sets its own handlers, so this comes after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def heed(number: int, frame: object) -> None:
        asked.signal = number
        asked.event.set()
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, heed)
    try:
        yield
    finally:
        restore()
