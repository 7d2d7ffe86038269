"""The warm head: a Ray on this machine's loopback that outlives a run, is used by every run, and ends when none has for a while."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import platform
import re
import secrets
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from raypipe.core.errors import ClusterError
from raypipe.core.lease import Owner

START_S = 120.0
"""Ray's own start may take three times 30 s on a busy machine."""
STOP_S = 20.0
POLL_S = 2.0
"""How often the head looks who uses it."""

NOISE = re.compile(
    r"_$|(OLD)?PWD$|SHLVL|TERM|COLORTERM|COLUMNS|LINES|LOGNAME$|USER$|MAIL$|HOSTNAME$|SSH_|TMUX|STY$|WINDOW|DISPLAY|WAYLAND|XDG_|DBUS_|VSCODE|"
    r"GIT_|PS\d|PROMPT|LS_COLORS|HIST|LESS|PAGER|MANPAGER|EDITOR|VISUAL|VIRTUAL_ENV|CONDA|INVOCATION_ID|JOURNAL|SYSTEMD|PYTEST|RAY_|PATH$|"
    r"HYDRA_|RAYPIPE_(LEDGER|STORE|RUNTIME)$|POLARS_MAX_THREADS$|COVERAGE|NO_COLOR"
)
"""Variables in which a shell differs from the next one, and those that only a driver reads."""


@dataclass(frozen=True)
class Head:
    """What is written of a warm head, for the runs of the same user."""

    owner: Mapping[str, Any]
    """The process that holds it: with it all of Ray's end."""
    address: str
    """HOST:PORT that runs attach to."""
    jobs_url: str
    """The dashboard and the Jobs API."""
    token_path: str
    """The file of the token that each of its ports asks for."""
    log_path: str
    python: str
    ray: str
    raypipe: str
    num_cpus: int
    idle_s: float
    """It ends when nobody has used it for so long."""
    started_at: float
    environment: Mapping[str, str]
    """Digests of the variables that its workers have: Ray hands a worker the head's environment, not the driver's."""
    resources: Mapping[str, float]
    free: Mapping[str, float]
    users: tuple[Mapping[str, Any], ...] = ()
    """`pid` and `entrypoint` of those attached."""
    used_at: float = 0.0
    """When somebody last did."""

    def is_dead(self) -> bool:
        return Owner(**self.owner).is_dead(Owner.here(), one_host=True)

    @contextlib.contextmanager
    def authorized(self) -> Iterator[None]:
        """Ray's token in this process is the head's for the length of the block."""
        names = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": self.token_path}
        before = {name: os.environ.get(name) for name in (*names, "RAY_AUTH_TOKEN")}
        os.environ.pop("RAY_AUTH_TOKEN", None)
        os.environ.update(names)
        _reread_token()
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
            _reread_token()

    def unfit(self, num_cpus: int | None, object_store_bytes: int | None) -> str:
        """Why a run with these settings does not use it; empty where it does."""
        here = {"Python": (self.python, platform.python_version()), "Ray": (self.ray, ray_version())}
        for name, (theirs, ours) in here.items():
            if theirs != ours:
                return f"it runs {name} {theirs}, and this is {ours}"
        if num_cpus is not None and num_cpus != self.num_cpus:
            return f"it has {self.num_cpus} CPUs, and cluster.num_cpus is {num_cpus}"
        if object_store_bytes is not None:
            return "cluster.object_store_bytes is set when Ray starts"
        now = digests(os.environ, self.environment.get("", ""))
        names = sorted(name for name in {*now, *self.environment} if now.get(name) != self.environment.get(name))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"its workers have not the same {', '.join(names[:3])}{more} in their environment" if names else ""


@contextlib.contextmanager
def free_agent_port() -> Iterator[None]:
    """The agent that starts jobs listens on one fixed port, which any other Ray of this machine may have; no job starts then."""
    import ray._private.parameter

    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    private: Any = ray._private.parameter
    before = private.RayParams
    private.RayParams = functools.partial(before, dashboard_agent_listen_port=port)
    try:
        yield
    finally:
        private.RayParams = before


def _reread_token() -> None:
    """Ray keeps both where it has read them once."""
    from ray import _raylet

    raylet: Any = _raylet
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


def find() -> Head | None:
    """The live one of this user. A record whose process has ended, or was given its number after a restart, is taken away."""
    path = _folder() / "head.json"
    try:
        fields = json.loads(path.read_text())
        head = Head(**{**fields, "users": tuple(fields["users"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if head.is_dead():
        path.unlink(missing_ok=True)
        return None
    return head


def up(num_cpus: int | None, jobs_port: int, idle_s: float) -> tuple[Head, bool]:
    """The warm head, and whether it was started now. ClusterError with the end of its log where it does not start."""
    if head := find():
        return head, False
    folder = private_folder()
    log_path = folder / "head.log"
    settings = json.dumps({"num_cpus": num_cpus, "jobs_port": jobs_port, "idle_s": idle_s})
    with _opened(log_path) as log:
        command = [sys.executable, "-m", "raypipe.core.head", settings]
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder, env=_environ(folder)
        )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if head := find():
            return head, True
        if child.poll() is not None:
            raise ClusterError(f"the head did not start: {_last_line(log_path)}; its log is {log_path}")
        time.sleep(0.1)
    child.terminate()
    raise ClusterError(f"the head did not start within {START_S:.0f} s; its log is {log_path}")


def down() -> Head | None:
    """Ends what `up` started, and nothing else; None where there is none."""
    head = find()
    if head is None:
        return None
    pid = head.owner["pid"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_S
        while time.monotonic() < deadline:
            if head.is_dead():
                (_folder() / "head.json").unlink(missing_ok=True)
                return head
            time.sleep(0.05)
    raise ClusterError(f"the head, process {pid}, does not end")


def private_folder() -> Path:
    """Of this user alone: made where it is not there, refused where somebody else could have made it."""
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ClusterError(f"{folder}: belongs to another user, or others may look into it. Remove it, or set RAYPIPE_RUNTIME.")
    return folder


def digests(environ: Mapping[str, str], salt: str) -> dict[str, str]:
    """Variable -> what tells its value from another one, and the salt under the empty name: a value itself is written nowhere."""
    found = {name: hashlib.sha256(f"{salt}{value}".encode()).hexdigest()[:12] for name, value in environ.items() if not NOISE.match(name)}
    return {"": salt, **found}


def ray_version() -> str:
    from importlib.metadata import version

    return version("ray")


def hold(num_cpus: int | None, jobs_port: int, idle_s: float) -> None:
    """What the head's own process does: holds Ray, writes who uses it, and ends when nobody has for `idle_s`, or when it is told to."""
    from raypipe.core import cluster

    folder = private_folder()
    environment = digests(os.environ, secrets.token_hex(8))
    signal.signal(signal.SIGTERM, _stop)
    with _only_one(folder), cluster.hold(cluster.Local(num_cpus), jobs_port) as session:
        signal.signal(signal.SIGTERM, _stop)  # Ray has put its own in its place
        head = _described(session.address, int(session.num_cpus), idle_s, environment, folder)
        try:
            while True:
                head = _looked(head)
                if not head.users and time.time() - head.used_at >= idle_s:
                    return
                _write(folder / "head.json", json.dumps(dataclasses.asdict(head)))
                time.sleep(min(POLL_S, idle_s / 4))
        finally:
            (folder / "head.json").unlink(missing_ok=True)


def _described(address: str, num_cpus: int, idle_s: float, environment: Mapping[str, str], folder: Path) -> Head:
    import ray
    from ray._private import worker

    from raypipe import __version__

    owner = dataclasses.asdict(Owner.here())
    node: Any = worker.global_worker.node
    url = f"http://{node.address_info['webui_url']}"
    paths = str(folder / "token"), str(folder / "head.log")
    versions = platform.python_version(), ray.__version__, __version__
    now = time.time()
    return Head(owner, address, url, *paths, *versions, num_cpus, idle_s, now, environment, {}, {}, (), now)


def _looked(head: Head) -> Head:
    """Who is attached, as Ray's own table of jobs has it: a driver that was killed is no longer."""
    import ray
    from ray._private import state

    users = _users(state.state.job_table())
    used_at = time.time() if users else max(head.used_at, *(job["EndTime"] / 1000 for job in state.state.job_table()))
    shares = ({name: n for name, n in found.items() if ":" not in name} for found in (ray.cluster_resources(), ray.available_resources()))
    resources, free = shares
    return dataclasses.replace(head, users=users, used_at=used_at, resources=resources, free=free)


def _users(jobs: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Those that are alive, but for this process and Ray's own: its dashboard, and the agent of it that starts submitted jobs and stays."""
    alive = [(job["DriverPid"], job["Entrypoint"]) for job in jobs if not job["IsDead"] and job["DriverPid"] != os.getpid()]
    return tuple({"pid": pid, "entrypoint": entrypoint} for pid, entrypoint in alive if "dashboard" not in entrypoint.lower())


def _stop(number: int, frame: object) -> None:
    raise SystemExit(0)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two `up` at once: the second one's head ends, and both find the first."""
    with _opened(folder / "head.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError("another head of this user starts or runs") from None
        yield


def _environ(folder: Path) -> dict[str, str]:
    """The head's: each of its ports asks for a token of its own, and `python` is this one for the jobs that it is given."""
    token = folder / "token"
    if not token.exists():
        _write(token, secrets.token_hex(32))
    inherited = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "RAY_AUTH_TOKEN")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return inherited | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PATH": path}


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and readable by this user alone."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with _opened(new) as file:
        file.write(text)
    new.replace(path)


def _opened(path: Path) -> IO[str]:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")


def _folder() -> Path:
    if own := os.environ.get("RAYPIPE_RUNTIME"):
        return Path(own)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "raypipe"
    return Path(tempfile.gettempdir()) / f"raypipe-{os.getuid()}"


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "its process ended without a word"


if __name__ == "__main__":
    hold(**json.loads(sys.argv[1]))
