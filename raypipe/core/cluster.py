"""The Ray cluster that a run works on: started here, attached to by its address, or none at all."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raypipe.core import head
from raypipe.core.errors import ClusterError, Problem
from raypipe.core.placement import cluster_resources
from raypipe.core.store import is_remote, reason
from raypipe.core.wording import first_line

log = logging.getLogger("raypipe.ray")
"""Where Ray's own lines go: not to the terminal, unless somebody sets a level."""


@dataclass(frozen=True)
class Local:
    """This machine: the warm head that `raypipe cluster up` started, or else a Ray of this run's own, gone when the run ends."""

    num_cpus: int | None = None
    """Logical CPUs; by default the machine's, but at least four. A warm head with another number is not used."""
    object_store_bytes: int | None = None
    """Memory for what passes between tasks; by default Ray's choice, 30 % of the machine's."""


@dataclass(frozen=True)
class Attach:
    """A running cluster."""

    address: str = "auto"
    """HOST:PORT of its head, or `auto`: the one that RAY_ADDRESS names, or that runs on this machine."""
    max_cpus: float | None = None
    """CPUs that the cluster grows to where it scales by itself; null: those that it has."""
    max_gpus: float | None = None
    """GPUs, likewise."""


@dataclass(frozen=True)
class Debug:
    """No Ray: everything in this process, one thing after another, where a debugger sees it."""


Cluster = Local | Attach | Debug


@dataclass(frozen=True)
class Session:
    """The cluster while a run is connected to it."""

    inline: bool
    """True under `Debug`: there is no Ray."""
    num_cpus: float = 1
    num_nodes: int = 1
    address: str = ""
    head: str = ""
    """The head node's id: of two clusters at the same address, such as 127.0.0.1 on two machines, each has another."""
    started: bool = False
    """Whether this run started it, and stops it at its end."""


# Two training workers of one CPU each that read a lazy Dataset hold two CPUs, and the reading waits for a third for ever.
# On a two-core machine a first map costs as much with four as with two (2.3 and 2.8 CPU-s), and later ones 0.3.
# Ray starts that many workers by itself; asking for more of it, or for none, changed nothing.
MIN_CPUS = 4

ATTEMPTS = 3
"""Ray's own limit of 30 s for its start cannot be set, and a busy machine passes it."""

QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}

NO_CODE = [".raypipe/", ".git/", ".venv/", "data/", "*.parquet", "*.csv"]
"""What of a project's folder is not sent to the workers of other machines."""


@contextlib.contextmanager
def connect(cluster: Cluster, project_path: Path, say: Callable[[str], None] | None = None, *, warm: bool = True) -> Iterator[Session]:
    """The cluster for the length of the block; the project's folder is importable here and on the workers. ClusterError in one line.

    A Ray that this process is connected to already, as in a notebook, is used and left as it is. `say` gets a word about a second try,
    and why a warm head is not used; `warm=False` does not look for one.
    """
    if str(project_path) not in sys.path:
        sys.path.insert(0, str(project_path))
    if isinstance(cluster, Debug):
        yield Session(inline=True)
        return
    _settle_environment(cluster)
    import ray

    started, tell = not ray.is_initialized(), say or (lambda text: print(text, file=sys.stderr))
    if started:
        _quieten()
    with contextlib.ExitStack() as stack:
        if started and isinstance(cluster, Local):
            stack.enter_context(_local(cluster, project_path, head.find() if warm else None, tell))
        elif started and isinstance(cluster, Attach):
            stack.callback(ray.shutdown)
            stack.enter_context(_attached(cluster, project_path))
        yield _session(started)


@contextlib.contextmanager
def hold(cluster: Local, jobs_port: int) -> Iterator[Session]:
    """A Ray on loopback that others attach to, with its dashboard and the Jobs API; it ends with the block or with this process."""
    _settle_environment(cluster)
    import ray

    _quieten()
    extra: dict[str, Any] = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": jobs_port}
    temporary = tempfile.mkdtemp(prefix="raypipe-ray-")
    try:
        with _loopback(), head.free_agent_port():
            ray.init(
                address="local",
                num_cpus=_num_cpus(cluster),
                object_store_memory=cluster.object_store_bytes,
                _temp_dir=temporary,
                **extra,
                **QUIET,
            )
        session = _session(True)
        _name_for_jobs(session.address, temporary)
        yield session
    finally:
        ray.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


def _name_for_jobs(address: str, temporary: str) -> None:
    """Ray gives a job's driver the address that its temporary folder names, which `ray start` alone writes; where it names none, the
    address of any Ray that runs on the machine."""
    from ray._private import utils

    utils.write_ray_address(address, temporary)


def totals(cluster: Cluster, session: Session) -> tuple[str, dict[str, float]]:
    """What is shared, in words, and how much of each resource there is. The CPUs of a Ray of one's own are the cores below it: its logical
    ones are more, and two runs have each their own."""
    if isinstance(cluster, Debug) or session.inline:
        return "this process", {}
    found = {name: float(amount) for name, amount in cluster_resources().items() if not name.startswith("node:")}
    if isinstance(cluster, Local):
        return "this machine", {**found, "CPU": float(cluster.num_cpus or num_cores())}
    for name, most in (("CPU", cluster.max_cpus), ("GPU", cluster.max_gpus)):
        found[name] = max(found.get(name, 0.0), most or 0.0)
    return f"the cluster at {session.address}", found


def check_reach(cluster: Cluster, ledger_url: str, store_root: str) -> list[Problem]:
    """A cluster of other machines cannot reach a ledger or a store that lies on this one's disk."""
    if not isinstance(cluster, Attach):
        return []
    address = _address(cluster)
    if address.startswith("ray://"):
        return [Problem("cluster.address", f"{address}: Ray Client is not supported; give HOST:PORT, from a machine of the cluster")]
    return [] if _is_loopback(address) else local_places(f"the cluster at {address}", ledger_url, store_root)


def local_places(what: str, ledger_url: str, store_root: str) -> list[Problem]:
    """A ledger and a store that only this machine reaches. Asked again after attaching, where `num_nodes` is above one."""
    problems = []
    if ledger_url.startswith("sqlite"):
        place = ledger_url.removeprefix("sqlite:///")
        hint = "Set RAYPIPE_LEDGER to postgresql+psycopg://HOST/DATABASE."
        problems.append(Problem("ledger", f"{place} is a file on this machine, and {what} has others. {hint}"))
    if not is_remote(store_root):
        hint = "Set RAYPIPE_STORE to an object store, such as s3://BUCKET/PREFIX."
        problems.append(Problem("store", f"{store_root} is a folder on this machine, and {what} has others. {hint}"))
    return problems


def _settle_environment(cluster: Local | Attach) -> None:
    """What Ray reads from the environment when it is imported or starts. What the user has set stays."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
        "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    }
    if isinstance(cluster, Local):
        # Ray ends idle workers beyond the number of CPUs after a second; with room for more, a second groupby took 0.3 s instead of 5.4.
        settings["RAY_num_workers_soft_limit"] = str(max(16, 2 * _num_cpus(cluster)))
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def _num_cpus(cluster: Local) -> int:
    return cluster.num_cpus or max(MIN_CPUS, num_cores())


def nodes() -> dict[str, tuple[str, str]]:
    """Each node that Ray knows -> its address, and what it was lost by; empty of one that is there or left as it was to."""
    import ray

    unexpected = 2  # NodeDeathInfo.Reason.UNEXPECTED_TERMINATION
    return {
        node["NodeID"]: (
            node["NodeManagerAddress"],
            "" if node["Alive"] or node["DeathReason"] != unexpected else node["DeathReasonMessage"] or "it ended",
        )
        for node in ray.nodes()
    }


def num_cores() -> int:
    """The cores that this process may use, a container's quota included."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))


@contextlib.contextmanager
def _local(cluster: Local, project_path: Path, warm: head.Head | None, say: Callable[[str], None]) -> Iterator[None]:
    """Attached to the warm head where it is there and fits; else `say` is told why it does not, and a Ray of this run's own is started."""
    import ray

    why = warm.unfit(cluster.num_cpus, cluster.object_store_bytes) if warm else ""
    with contextlib.ExitStack() as stack:
        if warm and not why:
            stack.enter_context(warm.authorized())
            stack.callback(ray.shutdown)
            why = _joined(warm, project_path)
        if warm and why:
            say(f"the warm head at {warm.address} is not used: {why}. `raypipe cluster down` ends it.")
            stack.close()
        if warm is None or why:
            stack.callback(ray.shutdown)
            _start_local(cluster, project_path, say)
        yield


def _joined(warm: head.Head, project_path: Path) -> str:
    """Why that did not work; empty where it did."""
    import ray

    try:
        _answers(warm.address)
        with _loopback():
            ray.init(address=warm.address, job_config=_search_path(project_path), **QUIET)
    except Exception as error:
        return first_line(error)
    return ""


def _start_local(cluster: Local, project_path: Path, say: Callable[[str], None]) -> None:
    import ray

    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _loopback():
                _init_local(cluster, project_path)
            return
        except Exception as error:
            ray.shutdown()
            if attempt == ATTEMPTS or "timed out" not in str(error):
                raise ClusterError(f"Ray did not start on this machine: {first_line(error)}") from error
            say(f"Ray did not start within its own 30 s; trying again ({attempt + 1} of {ATTEMPTS})")
            time.sleep(attempt)


def _init_local(cluster: Local, project_path: Path) -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=_num_cpus(cluster),
        object_store_memory=cluster.object_store_bytes,
        include_dashboard=False,
        job_config=_search_path(project_path),
        **QUIET,
    )


@contextlib.contextmanager
def _attached(cluster: Attach, project_path: Path) -> Iterator[None]:
    """The warm head by its address is what `cluster=local` would have found: its token is at hand."""
    address = _address(cluster)
    warm = head.find()
    if warm is None or address not in ("auto", warm.address):
        _attach(address, project_path)
        yield
        return
    with warm.authorized():
        if why := _joined(warm, project_path):
            raise ClusterError(f"cluster at {warm.address}: no answer: {why}")
        yield


def _address(cluster: Attach) -> str:
    return os.environ.get("RAY_ADDRESS", "auto") if cluster.address == "auto" else cluster.address


def _attach(address: str, project_path: Path) -> None:
    """A cluster of other machines gets a copy of the project's code; one on this machine reads it where it lies, and keeps its workers."""
    import ray

    options: dict[str, Any] = {"job_config": _search_path(project_path)}
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:  # a submitted job: the project's folder travelled with it
        options = {}
    elif not _is_loopback(address):
        options = {"runtime_env": {"working_dir": str(project_path), "excludes": NO_CODE}}
    _answers(address)
    try:
        ray.init(address=address, **options, **QUIET)
    except Exception as error:
        ray.shutdown()
        raise ClusterError(f"cluster at {address}: no answer: {first_line(error)}") from error


def _answers(address: str) -> None:
    """Asked before Ray is: it ends the whole process where nothing listens at the address."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise ClusterError(f"cluster at {address}: no answer: {reason(error)}") from None


def _search_path(project_path: Path) -> Any:
    """The project's folder on the workers' import path. No runtime_env: that starts workers of its own (1.7 s a run against 1.0)."""
    import ray.job_config

    return ray.job_config.JobConfig(_py_driver_sys_path=[str(project_path)])


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Ray on 127.0.0.1 alone. It turns that address into the machine's own and listens everywhere, but for this switch of its macOS build.

    The driver must read it as its children do, and only while it starts: a cluster that it attaches to later may have other machines.
    The children also get one thread for Polars: tasks are what runs side by side, and a driver's own Polars keeps its threads.
    """
    from ray._private import ray_constants

    names = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "POLARS_MAX_THREADS": "1"}
    before, constant = {name: os.environ.get(name) for name in names}, ray_constants.ENABLE_RAY_CLUSTER
    os.environ.update(names)
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = constant
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0] or address
    return host in ("", "auto", "local", "localhost", "::1", "[::1]") or host.startswith("127.")


def _quieten() -> None:
    """What Ray prints of its workers goes to the log `raypipe.ray`, and of its own lines only errors are shown: its files have all."""
    from ray._private import worker
    from ray._private.log import PlainRayHandler

    def emit(data: dict[str, Any], ignore_prefix: bool = False) -> None:
        for line in data["lines"]:
            log.info("%s: %s", data.get("pid"), line)

    def errors_only(self: logging.Handler, record: logging.LogRecord) -> Any:
        return record.levelno >= logging.ERROR and logging.Handler.filter(self, record)

    worker.print_to_stdstream = emit
    PlainRayHandler.filter = errors_only


def _session(started: bool) -> Session:
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    cpus = sum(node["Resources"].get("CPU", 0) for node in nodes)
    head = next((node["NodeID"] for node in nodes if "node:__internal_head__" in node["Resources"]), "")
    return Session(False, cpus, len(nodes), ray.get_runtime_context().gcs_address, head, started)
