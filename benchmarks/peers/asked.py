"""Answers what the benchmark asks of a program that stays: a graph's shape, its number of steps and a folder, a line of JSON each."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

Run = Callable[[str, int, str], int]
"""Makes a `chain` of so many steps, which count from 0, or a `fan`, whose steps add 0, 1, 2 ... to the nothing that one step before them
makes. What was made in the same folder before may be taken from there. Returns what the last step came to."""


def answer(run: Run) -> None:
    """Until there is nothing more to ask. What the program prints otherwise goes where errors go."""
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    with os.fdopen(os.dup(1), "w") as told:
        os.dup2(2, 1)
        for line in sys.stdin:
            shape, number, folder = json.loads(line)
            began, before = time.perf_counter(), _ended_cpu_s()
            value = run(shape, number, folder)
            said = {"seconds": time.perf_counter() - began, "value": value, "ended_cpu_s": _ended_cpu_s() - before}
            print(json.dumps(said), file=told, flush=True)


def _ended_cpu_s() -> float:
    """Of processes that were started and have ended: nobody else can tell it any more."""
    used = os.times()
    return used.children_user + used.children_system
