"""Schedules of the commit protocol by seed: the true code passes them all, and each planted bug is caught by one.

RAYPIPE_CHAOS=long tries 10,000 schedules; RAYPIPE_SEED=N shows one again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import form
from tests.chaos.bugs import BUGS
from tests.chaos.memory import Memory
from tests.chaos.rules import Violation
from tests.chaos.simulation import simulate

SEED = os.environ.get("RAYPIPE_SEED")
SEEDS = form.share(range(10_000)) if form.LONG else range(60)
NUM_TRIES = 1_000
"""Within so many schedules each bug must be seen; most show within ten."""


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    made = Memory()
    yield made
    made.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of memory where there is some: what is synced here is synced in the simulation alone."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="raypipe-", dir=shared if os.access(shared, os.W_OK) else None) as made:
        yield Path(made).resolve()


def test_nothing_breaks_a_rule_in_any_schedule(memory: Memory, folder: Path):
    fenced = waited = 0
    for seed in [int(SEED)] if SEED else SEEDS:
        simulation = simulate(seed, folder / str(seed), memory)
        fenced += sum(process.num_fenced for process in simulation.processes)
        waited += sum(bool(process.waited) for process in simulation.processes)
    print(f"{len(SEEDS)} schedules: {fenced} times fenced, {waited} processes waited")
    assert SEED or (fenced > len(SEEDS) / 2 and waited > len(SEEDS) / 2), "nothing was in anybody's way: nothing was tried"


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str, memory: Memory, folder: Path):
    for seed in range(NUM_TRIES):
        try:
            simulate(seed, folder / str(seed), memory, BUGS[bug])
        except Violation as caught:
            print(f"{bug}: {caught}")
            return
    pytest.fail(f"{bug} passed {NUM_TRIES} schedules")
