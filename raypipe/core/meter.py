"""What work costs: CPU and GPU time, peak memory, bytes read and written; of a task in a process of its own, or of steps that share one."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class Cost:
    """What was spent."""

    cpu_s: float = 0.0
    """Seconds of CPU, of all threads."""
    gpu_s: float = 0.0
    """Seconds for which GPUs were held, times their number."""
    peak_bytes: int = 0
    """The largest process, resident, at its largest."""
    read_bytes: int = 0
    """Through system calls, whether from a disk or from the cache before it; 0 where the system does not tell (macOS)."""
    written_bytes: int = 0
    """The same of what was written."""

    def __add__(self, other: Cost) -> Cost:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Cost(**sums | {"peak_bytes": max(self.peak_bytes, other.peak_bytes)})


@dataclass
class Meter:
    """Adds up what one piece of work costs, in this process and in those that it starts."""

    cost: Cost = Cost()
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, cost: Cost) -> None:
        with self._lock:
            self.cost += cost


_current: ContextVar[Meter | None] = ContextVar("raypipe_meter", default=None)


def add(cost: Cost) -> None:
    """To the work that this thread does, if it is measured: what a task in another process said that it cost."""
    if meter := _current.get():
        meter.add(cost)


@contextlib.contextmanager
def measured() -> Iterator[Meter]:
    """Measures the block. What several blocks spend at once in one process is shared among them equally: nobody can tell it apart."""
    meter = Meter()
    _process.enter(meter)
    before = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(before)
        _process.leave(meter)


@contextlib.contextmanager
def task() -> Iterator[Meter]:
    """Measures the block in a process that does nothing else meanwhile, such as Ray's for a task."""
    meter = Meter()
    _reset_peak()
    before = _counters()
    try:
        yield meter
    finally:
        meter.add(_spent(before, _counters(), 1))


@dataclass(frozen=True)
class _Counters:
    cpu_s: float
    read_bytes: int
    written_bytes: int


class _Process:
    """The blocks that are measured in this process at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._meters: list[Meter] = []
        self._before = _Counters(0, 0, 0)

    def enter(self, meter: Meter) -> None:
        with self._lock:
            self._share()
            self._meters.append(meter)
            if len(self._meters) == 1:
                _reset_peak()

    def leave(self, meter: Meter) -> None:
        with self._lock:
            self._share()
            self._meters = [other for other in self._meters if other is not meter]

    def _share(self) -> None:
        now = _counters()
        for meter in self._meters:
            meter.add(_spent(self._before, now, len(self._meters)))
        self._before = now


def _spent(before: _Counters, now: _Counters, shared_by: int) -> Cost:
    return Cost(
        cpu_s=(now.cpu_s - before.cpu_s) / shared_by,
        peak_bytes=_peak(),
        read_bytes=(now.read_bytes - before.read_bytes) // shared_by,
        written_bytes=(now.written_bytes - before.written_bytes) // shared_by,
    )


def _counters() -> _Counters:
    try:
        with open("/proc/self/io", encoding="ascii") as stream:
            told = dict(line.strip().split(": ") for line in stream)
    except OSError:
        told = {}
    return _Counters(time.process_time(), int(told.get("rchar", 0)), int(told.get("wchar", 0)))


def _reset_peak() -> None:
    """Linux then counts the peak anew; elsewhere it stays that of the process's whole life."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
        stream.write("5")


def _peak() -> int:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
            return next((int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM:")), 0)
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)


_process = _Process()
