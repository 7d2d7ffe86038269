"""CPU seconds, user and system, of a command with all that it starts, and of the servers that it uses.

A command's own are the kernel's: `wait4` counts it and every descendant that was waited for. A Ray cluster's processes are no
descendants of the command, and its raylet ignores SIGCHLD, so that the kernel forgets what ended workers used. They are therefore
known by a mark in their environment and read from /proc ten times a second; of a process that ends, at most the last tenth of a
second is missed, on either side of a comparison alike.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "RAYPIPE_BENCHMARK"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    cpu_s: float
    wall_s: float
    output: str


class Failed(Exception):
    """A measured command ended with an error: its figures would mean nothing."""


def run(command: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Spent:
    """Runs it to its end; raises Failed with its output where it does not exit with 0. Compiled modules are kept, as installed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    with process.stdout:
        output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(command)} exited with {process.returncode}:\n{output[-4000:]}")
    return Spent(used.ru_utime + used.ru_stime, time.perf_counter() - began, output)


class Servers:
    """The processes, living and ended, whose environment carries `RAYPIPE_BENCHMARK=mark`."""

    def __init__(self, mark: str):
        self.mark = f"{MARK}={mark}".encode()
        self._used: dict[tuple[int, int], float] = {}
        self._others: set[tuple[int, int]] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Servers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)

    def cpu_s(self) -> float:
        """What they have used since they started, those that ended included."""
        self._read()
        return sum(self._used.values())

    def living(self) -> list[int]:
        self._read()
        return [pid for pid, start in list(self._used) if _stat(pid)[:1] == (start,)]

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self._read()

    def _read(self) -> None:
        with self._lock:
            for pid in (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()):
                self._note(pid)

    def _note(self, pid: int) -> None:
        found = _stat(pid)
        if not found or (key := (pid, found[0])) in self._others:
            return
        if key in self._used or self._is_marked(pid):
            self._used[key] = found[1]
        elif time.monotonic() - found[0] * TICK_S > 1:
            self._others.add(key)  # one that is younger may not have its environment yet

    def _is_marked(self, pid: int) -> bool:
        try:
            return self.mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False


def _stat(pid: int) -> tuple[int, float] | tuple[()]:
    """Start time in clock ticks and CPU seconds of one process; empty where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ()
    return int(fields[19]), (int(fields[11]) + int(fields[12])) * TICK_S
