from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from benchmarks.cpu import MARK, Failed, Servers, run

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n"
FORGETS = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", {BURN!r}])
time.sleep(60)
"""


def test_a_command_is_counted_with_its_children():
    assert 0.3 <= run([sys.executable, "-c", PARENT]).cpu_s < 0.6


def test_a_failing_command_has_no_figure():
    with pytest.raises(Failed, match="exited with 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"])


def test_servers_are_counted_with_workers_that_ended():
    mark = f"test-{os.getpid()}"
    with Servers(mark) as servers:
        process = subprocess.Popen([sys.executable, "-c", FORGETS], env={**os.environ, MARK: mark})
        deadline = time.monotonic() + 10
        while (servers.cpu_s() < 0.25 or len(servers.living()) > 1) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.3)
        assert 0.2 <= servers.cpu_s() < 0.6
        assert servers.living() == [process.pid]
    process.wait(5)
    assert servers.living() == []
