"""Cycles are not collected while much is made to stay, and are afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from raypipe.core.collector import uncollected


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
    code = "import atexit, gc; from raypipe.cli.main import main; main(); atexit._run_exitfuncs(); print(gc.get_freeze_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) > 1000


def test_duckdb_is_told_of_the_end():
    code = "import atexit, duckdb; from raypipe.core.collector import leave; atexit.register(leave); duckdb.sql('select 1').fetchall()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
