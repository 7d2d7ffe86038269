"""What work costs, alone, side by side, and in another process."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raypipe.core import meter
from raypipe.core.meter import Cost, measured


def burn(seconds: float) -> None:
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        sum(range(1000))


def test_cpu_and_bytes_of_a_block(tmp_path: Path):
    with measured() as found:
        burn(0.1)
        (tmp_path / "x").write_bytes(b"x" * 3_000_000)
        (tmp_path / "x").read_bytes()
    assert found.cost.cpu_s >= 0.1
    if sys.platform == "linux":
        assert 3_000_000 <= found.cost.written_bytes < 4_000_000
        assert found.cost.read_bytes >= 3_000_000


def test_the_peak_is_that_of_the_block():
    with measured() as large:
        bytearray(200 << 20)
    with measured() as small:
        burn(0.01)
    assert large.cost.peak_bytes > 200 << 20
    if sys.platform == "linux":
        assert small.cost.peak_bytes < large.cost.peak_bytes - (150 << 20)


def test_what_runs_side_by_side_adds_up_to_the_whole():
    barrier = threading.Barrier(2)

    def work(seconds: float) -> Cost:
        with measured() as found:
            barrier.wait()
            burn(seconds)
        return found.cost

    before = time.process_time()
    with ThreadPoolExecutor(2) as pool:
        costs = list(pool.map(work, (0.05, 0.15)))
    spent = time.process_time() - before
    assert sum(cost.cpu_s for cost in costs) == pytest.approx(spent, abs=0.03)
    assert costs[1].cpu_s > costs[0].cpu_s


def test_what_tasks_said_is_added_to_the_work_of_the_thread_that_heard_it():
    with measured() as outer:
        meter.add(Cost(cpu_s=100, gpu_s=2, peak_bytes=1 << 40))
    meter.add(Cost(cpu_s=5))
    assert outer.cost.cpu_s >= 100
    assert (outer.cost.gpu_s, outer.cost.peak_bytes) == (2, 1 << 40)
    assert outer.cost.cpu_s < 105


def test_a_task_in_a_process_of_its_own():
    with meter.task() as found:
        burn(0.05)
    assert 0.05 <= found.cost.cpu_s < 1
