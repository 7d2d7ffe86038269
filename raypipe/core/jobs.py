"""Jobs on a Ray cluster, through its Jobs API: what it runs, a job submitted, followed and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raypipe.core import head
from raypipe.core.errors import ClusterError
from raypipe.core.wording import first_line

PROBE_S = 120.0
"""A cluster that scales from nothing starts a node for its first job."""
AGENT_S = 60.0
"""A head that has just started answers before it can start a job."""
POLL_S = 0.25

PROBE = """
import json, os, platform
from importlib.metadata import distributions
found = {str(d.metadata["Name"]): d.version for d in distributions()}
print("PROBE " + json.dumps({"python": platform.python_version(), "distributions": found, "variables": sorted(os.environ)}))
"""


@dataclass(frozen=True)
class There:
    """What a cluster's head has where a job's driver runs."""

    python: str
    distributions: Mapping[str, str]
    variables: tuple[str, ...]
    """Names of its environment's variables; their values are not asked for."""


@dataclass(frozen=True)
class Job:
    """A job as the cluster tells of it."""

    id: str
    state: str
    """PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED."""
    message: str
    exit_code: int | None
    entrypoint: str
    seconds: float | None

    @property
    def is_over(self) -> bool:
        return self.state in ("SUCCEEDED", "FAILED", "STOPPED")


class Jobs:
    """The Jobs API at an address, HTTP or HTTPS. A token is Ray's own: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token, and the
    warm head's for the warm head."""

    def __init__(self, address: str):
        from ray.job_submission import JobSubmissionClient

        self.address = address
        for name in ("modules.dashboard_sdk", "modules.job.sdk"):
            logging.getLogger(f"ray.dashboard.{name}").setLevel(logging.WARNING)
        with _addressed(address), _told(address):
            self._client = JobSubmissionClient(address)

    def there(self) -> There:
        """What is installed there, asked by a job that needs nothing. ClusterError where it does not answer."""
        id = self.submit(f"python -c {shlex.quote(PROBE)}", {}, {"raypipe": "versions"})
        deadline = time.monotonic() + PROBE_S
        while not (job := self.job(id)).is_over:
            if time.monotonic() > deadline:
                self.stop(id)
                raise ClusterError(
                    f"cluster at {self.address}: a first job did not run within {PROBE_S:.0f} s ({job.state}: {job.message})"
                )
            time.sleep(POLL_S)
        lines = [line for line in self.logs(id).splitlines() if line.startswith("PROBE {")]
        if not lines:
            raise ClusterError(f"cluster at {self.address}: `python` does not run there: {job.message}")
        found = json.loads(lines[-1].removeprefix("PROBE "))
        with contextlib.suppress(RuntimeError):
            self._client.delete_job(id)
        return There(found["python"], found["distributions"], tuple(found["variables"]))

    def submit(self, entrypoint: str, runtime_env: Mapping[str, Any], metadata: Mapping[str, str], parcel: bytes | None = None) -> str:
        """The id of the job, whose working directory is the parcel."""
        with tempfile.TemporaryDirectory() as folder, _told(self.address):
            environment = dict(runtime_env)
            if parcel is not None:
                file = Path(folder) / "parcel.zip"
                file.write_bytes(parcel)
                environment["working_dir"] = str(file)
            deadline = time.monotonic() + AGENT_S
            while True:
                try:
                    return self._client.submit_job(entrypoint=entrypoint, runtime_env=environment, metadata=dict(metadata))
                except RuntimeError as error:
                    if "No available agent" not in str(error) or time.monotonic() > deadline:
                        raise
                    time.sleep(POLL_S)

    def job(self, id: str) -> Job:
        with _told(self.address, id):
            found = self._client.get_job_info(id)
        seconds = (found.end_time - found.start_time) / 1000 if found.end_time and found.start_time else None
        return Job(id, found.status.value, found.message or "", found.driver_exit_code, found.entrypoint, seconds)

    def logs(self, id: str) -> str:
        with _told(self.address, id):
            return self._client.get_job_logs(id)

    def follow(self, id: str, show: Callable[[str], None]) -> Job:
        """Shows what it writes until it is over. A connection that breaks meanwhile is not the job's end."""

        async def tail() -> None:
            async for lines in self._client.tail_job_logs(id):
                show(lines)

        with contextlib.suppress(RuntimeError, OSError):
            asyncio.run(tail())
        while not (job := self.job(id)).is_over:
            time.sleep(POLL_S)
        return job

    def stop(self, id: str) -> bool:
        """Whether it ran; it is told by SIGTERM, and killed a little later."""
        with _told(self.address, id):
            return self._client.stop_job(id)


@contextlib.contextmanager
def _addressed(address: str) -> Iterator[None]:
    """Ray prefers what the environment names to what it is asked for; and the warm head has a token of its own."""
    warm, names = head.find(), ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        with warm.authorized() if warm and is_warm(address) else contextlib.nullcontext():
            yield
    finally:
        os.environ.update(before)


def is_warm(address: str) -> bool:
    """Whether it is the warm head's: the one cluster that is known to be this machine (a loopback address may be a tunnel)."""
    warm = head.find()
    return warm is not None and urllib.parse.urlsplit(address).netloc == urllib.parse.urlsplit(warm.jobs_url).netloc


@contextlib.contextmanager
def _told(address: str, job: str = "") -> Iterator[None]:
    """What Ray raises as one line."""
    try:
        yield
    except (RuntimeError, ConnectionError, ValueError, OSError) as error:
        text = str(error)
        if "401" in text or "403" in text or "uthenticat" in text:
            what = "asks for a token, or for another one: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH, a file that holds it"
        elif job and ("does not exist" in text or "404" in text):
            what = f"has no job {job}"
        else:
            what = first_line(error)
        raise ClusterError(f"cluster at {address}: {what}") from error
