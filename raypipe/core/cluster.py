"""Where Ray runs: on this machine for the run, on a cluster that is there already, or nowhere."""

from __future__ import annotations

import ipaddress
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raypipe.core.errors import ClusterError, Problem

ATTEMPTS = 3
"""Ray gives its own processes 30 s to come up, which a busy machine passes now and then."""

LEAST_CPUS = 4
"""Logical CPUs of a local cluster: on two, a training that holds one and a Ray Data job behind it wait for each other."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    # Workers are kept between jobs: starting them took most of a short Ray Data job (2 to 12 s against 0.5).
    "RAY_num_workers_soft_limit": "16",
    # An engine in a worker computes with one thread: the tasks are what runs side by side.
    "POLARS_MAX_THREADS": "1",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
}


@dataclass(frozen=True)
class Local:
    """Ray on this machine, on loopback, started when the first step needs it and ended with the run."""

    num_cpus: int | None = None
    """Logical CPUs; null: one a core, at least 4."""


@dataclass(frozen=True)
class Attach:
    """A Ray cluster that is running already; it goes on when the run has ended."""

    address: str
    """HOST:PORT of its head, or ray://HOST:PORT."""


@dataclass(frozen=True)
class Debug:
    """No Ray: everything in this process, one thing after another, where a debugger works."""


Cluster = Local | Attach | Debug


@dataclass(frozen=True)
class Session:
    """A connection that steps work with."""

    inline: bool
    """True where there is no Ray."""


@contextmanager
def connect(cluster: Cluster, project_path: Path) -> Iterator[Session]:
    """Starts or joins Ray. Raises ClusterError where that fails, in one line."""
    if isinstance(cluster, Debug):
        yield Session(inline=True)
        return
    import ray

    if ray.is_initialized():
        yield Session(inline=False)
        return
    os.environ.update({k: v for k, v in _QUIET.items() if k not in os.environ})
    if isinstance(cluster, Local):
        _start(cluster)
    else:
        _attach(cluster)
    try:
        yield Session(inline=False)
    finally:
        ray.shutdown()


def check_reach(cluster: Cluster, ledger_url: str, store_root: str) -> list[Problem]:
    """A cluster on other machines cannot reach a ledger or a store that lies on this one's disk."""
    if not isinstance(cluster, Attach) or _is_loopback(cluster.address):
        return []
    problems = []
    if ledger_url.startswith("sqlite"):
        what = f"{cluster.address} is another machine, but the ledger is a local file ({ledger_url.removeprefix('sqlite:///')}). Set RAYPIPE_LEDGER to a PostgreSQL URL."
        problems.append(Problem("cluster.address", what))
    if "://" not in store_root:
        what = f"{cluster.address} is another machine, but the store is a local folder ({store_root}). Set RAYPIPE_STORE to an object store, s3://..."
        problems.append(Problem("cluster.address", what))
    return problems


def _start(cluster: Local) -> None:
    import ray

    num_cpus = cluster.num_cpus or max(LEAST_CPUS, os.cpu_count() or 1)
    for left in reversed(range(ATTEMPTS)):
        try:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _node_ip_address="127.0.0.1",
            )
            return
        except Exception as error:
            ray.shutdown()
            if not left:
                raise ClusterError(f"Ray did not start in {ATTEMPTS} attempts: {_first_line(error)}") from error
            time.sleep(2)


def _attach(cluster: Attach) -> None:
    import ray

    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise ClusterError(f"cluster.address: cannot join Ray at {cluster.address}: {_first_line(error)}") from error


def _is_loopback(address: str) -> bool:
    host = address.removeprefix("ray://").rpartition(":")[0].strip("[]")
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
