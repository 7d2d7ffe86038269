"""Cycles are not collected while much is made to stay, and are afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from raypipe.core.interpreter import uncollected


class Ring:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_thrown_away_in_the_block_is_collected_behind_it():
    with uncollected(), uncollected():
        assert not gc.isenabled()
        ring, _ = weakref.ref(Ring()), [[] for _ in range(5000)]
        assert ring() is not None
    assert gc.isenabled()
    gc.collect()
    assert ring() is None


def test_an_error_turns_it_on_again():
    with pytest.raises(ZeroDivisionError), uncollected():
        _ = 1 / 0
    assert gc.isenabled()


def test_a_program_ends_without_going_through_everything():
    code = "import atexit, gc; from raypipe.cli.program import program; program(); atexit._run_exitfuncs(); print(gc.get_freeze_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) > 1000


def test_duckdb_is_told_of_the_end():
    code = "import atexit, duckdb; from raypipe.core.interpreter import leave; atexit.register(leave); duckdb.sql('select 1').fetchall()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_program_with_ray_ends_at_once_and_forgets_nothing(tmp_path: Path):
    code = """
import atexit, sys, threading, time, types
sys.modules["ray"] = types.ModuleType("ray")
from raypipe.core.interpreter import end
class Last:
    def __del__(self):
        print("taken down")
last = Last()
atexit.register(lambda: print("told"))
threading.Thread(target=lambda: (time.sleep(0.2), print("waited for"))).start()
print("no newline", end=" ")
left = open("left_open", "w")
left.write("kept")
end(3)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (tmp_path / "left_open").read_text() == "kept"
    assert (done.returncode, done.stdout, done.stderr) == (3, "no newline waited for\ntold\n", "")


def test_ctrl_c_at_the_very_end_is_no_traceback():
    code = """
import atexit, os, signal, sys, threading, time, types
sys.modules["ray"] = types.ModuleType("ray")
from raypipe.core.interpreter import end
atexit.register(lambda: print("told"))
threading.Thread(target=lambda: time.sleep(5)).start()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
end(3)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=4)
    assert (done.returncode, done.stdout, done.stderr) == (130, "told\n", "")


def test_a_program_without_ray_ends_as_any_does():
    done = subprocess.run([sys.executable, "-c", "from raypipe.core.interpreter import end; print(end(3))"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "3\n")
