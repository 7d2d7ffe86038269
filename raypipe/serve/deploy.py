"""An endpoint in Ray Serve: its application deployed, waited for, brought to another version, removed."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, RaypipeError
from raypipe.serve.client import Client, EndpointError
from raypipe.serve.desired import Desired
from raypipe.serve.replica import REVISION, Replica

HOST = "127.0.0.1"

POLL_S = 0.1

MAX_ONGOING = 200
"""Requests that a replica holds at once. Serve's default of 5 would let five slow bodies block it."""


ANSWER_S = 3
"""What a request at hand gets beyond the time for its body before a replica that is stopped is killed."""


class NotServing(RaypipeError):
    """A version does not answer: it could not be loaded, or its replicas could not be placed in time (exit 1)."""


@dataclass(frozen=True)
class Application:
    """One Serve application: its name there, and the prefix of its routes."""

    name: str
    address: str
    """Of Serve's proxy: `http://HOST:PORT`."""
    prefix: str = ""

    @property
    def url(self) -> str:
        return self.address + self.prefix


def check_port(host: str, port: int) -> None:
    """Raises ConfigError where something listens there already. Called before Ray starts."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OverflowError:
            raise ConfigError(f"port {port}: expected a number from 1 to 65535") from None
        except OSError as error:
            raise ConfigError(f"{host}:{port}: {error.strerror}. Stop what listens there, or pass another port.") from None


def free_port(host: str = HOST) -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def start(host: str, port: int) -> tuple[str, bool]:
    """Starts Serve in this process's Ray, with its Python proxy on `host` and `port`, where it does not run already.

    Returns the proxy's address, and whether this call started it.
    """
    from ray import serve
    from ray.serve.config import HTTPOptions

    _quiet()
    if (running := _running_address()) is not None:
        return running, False
    options = HTTPOptions(host=host, port=port, keep_alive_timeout_s=30)
    serve.start(proxy_location="HeadOnly", http_options=options, logging_config=_LOGGING)
    return _address(host, port), True


def deploy(application: Application, desired: Desired) -> None:
    """Asks for this version and returns at once. Replicas that run are kept and load it beside the one that they serve."""
    from ray import serve

    deployment = serve.deployment(serve.ingress()(Replica)).options(
        name="endpoint",
        # Without a version of its own Serve replaces every replica at each deploy, which takes 3 s; with it, 0.3 s and no restart.
        version=REVISION,
        _internal=True,
        num_replicas=desired.num_replicas,
        user_config=desired.to_json(),
        ray_actor_options={"num_cpus": desired.num_cpus},
        max_ongoing_requests=MAX_ONGOING,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=desired.limits.body_wait_s + ANSWER_S,
        health_check_period_s=2,
        logging_config=_LOGGING,
    )
    target = serve.RunTarget(deployment.bind(), application.name, application.prefix or "/", _LOGGING)
    serve.run_many([target], wait_for_applications_running=False)


def wait(application: Application, desired: Desired, within_s: float, go_on: Callable[[], bool] = lambda: True) -> bool:
    """Waits until every replica answers with this version; False where `go_on` said no meanwhile.

    Raises NotServing as soon as a replica could not load it, or when the time is over, with what is missing.
    """
    deadline, states = time.monotonic() + within_s, {}
    while time.monotonic() < deadline:
        if not go_on():
            return False
        if (state := _state(application)) and state["mark"] == desired.mark:
            if state["state"] == "failed":
                raise NotServing(f"{desired.name} version {desired.version} could not be loaded: {state['problem']}")
            states[state["replica"]] = state["state"]
        if list(states.values()).count("serving") >= desired.num_replicas:
            return True
        time.sleep(POLL_S)
    raise NotServing(_overdue(application, desired, within_s, len(states)))


def remove(application: Application) -> None:
    """Deletes the application once the requests that it has are answered."""
    from ray import serve

    serve.delete(application.name)


def stop() -> None:
    """Shuts Serve down, with every application that is left."""
    from ray import serve

    serve.shutdown()


def _state(application: Application) -> Json | None:
    # A connection of its own for each question, so that the proxy chooses a replica anew.
    with Client(application.url, "", timeout_s=5) as client:
        try:
            return client.ready()
        except EndpointError as error:
            return error.document if error.document and "mark" in error.document else None


def _overdue(application: Application, desired: Desired, within_s: float, num_seen: int) -> str:
    import ray
    from ray import serve

    status = serve.status().applications.get(application.name)
    told = " ".join(d.message for d in status.deployments.values()) if status else ""
    found = f"{num_seen} of {desired.num_replicas} replicas answered with it"
    asked = f"Each replica reserves {desired.num_cpus:g} CPU; the cluster has {ray.cluster_resources().get('CPU', 0):g}"
    free = f"of which {ray.available_resources().get('CPU', 0):g} are free"
    text = f"{desired.name} version {desired.version} does not serve after {within_s:g} s: {found}. {asked}, {free}."
    return text + (f" Serve says: {told.strip()[:300]}" if told.strip() else "")


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _running_address() -> str | None:
    """Where the proxy of a Serve that runs in this Ray listens. Serve has no public way to ask."""
    from ray.serve.context import _get_global_client

    client = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        return None
    host, port = client.http_config.host, client.http_config.port
    return _address(HOST if host in ("0.0.0.0", "::", None) else host, port)


def _quiet() -> None:
    logging.getLogger("ray.serve").setLevel(logging.WARNING)


_LOGGING: dict[str, Any] = {"log_level": "WARNING", "enable_access_log": False}
