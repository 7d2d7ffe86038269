"""A stage for a candidate: a version served for as long as it is examined, under a name and a route that nobody else uses."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from raypipe.serve.deploy import HOST, Application, NotServing, deploy, free_port, remove, start, stop, wait

if TYPE_CHECKING:
    from raypipe.serve.desired import Desired

_TURN = threading.Lock()
"""Serve is one in a Ray, and who started it stops it: stages of one process take turns."""


@contextmanager
def stage(desired: Desired, *, inline: bool, within_s: float) -> Iterator[str]:
    """The URL at which the version answers. Raises NotServing where it does not within `within_s`."""
    with _inline(desired, within_s) if inline else _in_serve(desired, within_s) as url:
        yield url


@contextmanager
def _in_serve(desired: Desired, within_s: float) -> Iterator[str]:
    """One replica that reserves no CPU, so that it never waits for the steps that run beside it."""
    with _TURN:
        address, started = start(HOST, free_port())
        name = f"raypipe-probe-{uuid.uuid4().hex[:8]}"
        application = Application(name, address, f"/{name}")
        candidate = replace(desired, num_replicas=1, num_cpus=0)
        try:
            deploy(application, candidate)
            wait(application, candidate, within_s)
            yield application.url
        finally:
            remove(application)
            if started:
                stop()


@contextmanager
def _inline(desired: Desired, within_s: float) -> Iterator[str]:
    """The same application in this process, behind a server in a thread."""
    import uvicorn

    from raypipe.serve.endpoint import application
    from raypipe.serve.live import Live

    live = Live()
    live.ask(desired)
    if live.served is None:
        raise NotServing(f"{desired.name} version {desired.version} could not be loaded: {live.asked.problem}")
    listener = socket.socket()
    listener.bind((HOST, 0))
    server = uvicorn.Server(uvicorn.Config(application(live), log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, args=[[listener]], name="stage", daemon=True)
    thread.start()
    try:
        _await(server, within_s)
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def _await(server: object, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not getattr(server, "started", False):
        if time.monotonic() > deadline:
            raise NotServing(f"the server did not start within {within_s:g} s")
        time.sleep(0.005)
