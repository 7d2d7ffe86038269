"""Profiles of a table's files: CPU against DuckDB's SUMMARIZE of the same files and against reading them, and how far the figures are off.

10 million rows of twelve columns: a rising key, floats (normal, long-tailed, with NaN and nulls, of 32 bits), a decimal, a code, a flag, a
date, a time with a zone, a text of 40 values and one of ten million. Each contender works in a process of its own, and the CPU is that of
all its threads, from when its libraries are imported.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from claim import Claim, interleaved, main, ratio, spread

WORK = Path(__file__).with_name("profile_work.py")
NUM_ROWS = 10_000_000


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder:
        num_rows = NUM_ROWS // 10 if quick else NUM_ROWS
        _work("write", folder, num_rows)
        yield from _cpu(folder, num_rows, 1 if quick else 5)
        yield from _errors(folder)


def _cpu(folder: str, num_rows: int, rounds: int) -> Iterator[Claim]:
    peaks: dict[str, float] = {}

    def contender(name: str) -> Callable[[], float]:
        def run() -> float:
            said = _work(name, folder)
            peaks[name] = max(peaks.get(name, 0.0), said["peak_mb"])
            return said["cpu_s"]

        return run

    names = ("profile", "merge", "summarize", "read")
    found = interleaved(rounds, {name: contender(name) for name in names})
    detail = spread(found, "CPU-s") + "; peak MB " + ", ".join(f"{name} {peaks[name]:.0f}" for name in names)
    rows = f"{num_rows // 1_000_000} million rows x 12 columns"
    yield Claim(f"profile of {rows} over DuckDB's SUMMARIZE", ratio(found, "profile", "summarize"), 1.0, detail=detail)
    yield Claim("over reading the columns", ratio(found, "profile", "read"), 4.0)
    yield Claim("a second profile, merged of what is kept, over the first", ratio(found, "merge", "profile"), 0.1)


def _errors(folder: str) -> Iterator[Claim]:
    """Of the merged profile, against DuckDB's exact figures of the same rows."""
    said = _work("errors", folder)
    ranks, distinct = said["ranks"], said["distinct"]
    worst = max(ranks, key=lambda one: one["off"])
    yield Claim("worst rank of a quantile, over its stated bound", worst["off"] / worst["bound"], 1.0, detail=f"{worst}")
    furthest = max(distinct, key=lambda one: abs(one["off"]))
    middle = statistics.median(abs(one["off"]) for one in distinct)
    yield Claim(
        "worst count of different values, off by",
        abs(furthest["off"]),
        said["distinct_bound"],
        "",
        detail=f"{furthest}, median {middle:.2g}",
    )
    yield Claim("exact figures that differ from DuckDB's", len(said["wrong"]), 0, "figures", detail=", ".join(said["wrong"][:5]))
    yield Claim("bytes of profiles over those of the data", said["profile_bytes"] / said["data_bytes"], 0.02)


def _work(name: str, folder: str, *more: Any) -> dict[str, Any]:
    command = [sys.executable, str(WORK), name, folder, *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main(measure))
