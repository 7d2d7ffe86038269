"""A warm Ray of the benchmark's own, on loopback, whose CPU seconds are counted; it ends with the benchmark."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cpu

HEAD = """
import ray, sys
ray.init(address="local", num_cpus=int(sys.argv[1]), include_dashboard=False, log_to_driver=False)
print("address", ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
"""Holds the cluster until its input is closed."""


@dataclass(frozen=True)
class Cluster:
    address: str
    entry: dict[str, str]
    """The variables with which a driver finds it and is let in."""
    servers: cpu.Servers
    idle: float
    """CPU seconds a second that it uses for itself."""

    def run(self, command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> cpu.Spent:
        """The command's CPU seconds and those of the cluster from its start until half a second after its end, less the idle cluster's."""
        began, before = time.perf_counter(), self.servers.cpu_s()
        spent = cpu.run(command, cwd, {**(env or {}), **self.entry})
        time.sleep(0.5)
        used = self.servers.cpu_s() - before - self.idle * (time.perf_counter() - began)
        return cpu.Spent(spent.cpu_s + used, spent.wall_s, spent.output)

    def run_warm(self, command: list[str], cwd: Path | None = None) -> cpu.Spent:
        """What the command and the cluster use from the moment it has said `ready` and is told to go until it has answered with a line."""
        env = {**os.environ, **self.entry, cpu.MARK: self.servers.mark.decode().partition("=")[2]}
        with tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
            with process:
                _expect(process, "ready\n", command, errors)
                time.sleep(0.5)
                began, before = time.perf_counter(), self.servers.cpu_s()
                _tell(process)
                output = _expect(process, "", command, errors)
                wall_s = time.perf_counter() - began
                time.sleep(0.5)
                used = self.servers.cpu_s() - before - self.idle * (time.perf_counter() - began)
                _tell(process)
        return cpu.Spent(used, wall_s, output)


def _expect(process: subprocess.Popen[str], line: str, command: list[str], errors: IO[str]) -> str:
    """The next line, which must be `line` where one is given."""
    assert process.stdout
    found = process.stdout.readline()
    if not found or (line and found != line):
        process.kill()
        errors.seek(0)
        raise cpu.Failed(f"{' '.join(command)} broke off:\n{found}{errors.read()[-4000:]}")
    return found


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    print(file=process.stdin, flush=True)


@contextmanager
def warm(num_cpus: int, environment: dict[str, str]) -> Iterator[Cluster]:
    mark = f"cluster-{os.getpid()}"
    # Ray takes 127.0.0.1 for the machine's own address and listens everywhere, but for the first of these.
    entry = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **environment, **entry, cpu.MARK: mark}
    with cpu.Servers(mark) as servers:
        head = subprocess.Popen(
            [sys.executable, "-c", HEAD, str(num_cpus)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            yield Cluster(_address(head), entry, servers, _idle(servers.cpu_s))
        finally:
            assert head.stdin
            head.stdin.close()
            head.wait(30)


def _address(head: subprocess.Popen[str]) -> str:
    assert head.stdout
    for line in head.stdout:
        if line.startswith("address "):
            return line.split()[1]
    raise cpu.Failed("Ray did not start")


def _idle(cpu_s: Callable[[], float]) -> float:
    time.sleep(10)  # until the first workers stand
    began, before = time.perf_counter(), cpu_s()
    time.sleep(5)
    return (cpu_s() - before) / (time.perf_counter() - began)
