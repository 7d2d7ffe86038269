"""Shuffles of ten million rows (a group-by of 100,000 keys, a join with a million rows, a sort) over plain Ray Data and DuckDB in one
process. All read the same Parquet files and write Parquet; raypipe's is a table with checksums, digests and fsync."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cluster
import memory
import shuffle_work
from claim import Claim, interleaved, main, ratio, spread

WORK = Path(__file__).with_name("shuffle_work.py")
NUM_CPUS = 4
WORKERS = {"RAY_num_workers_soft_limit": "16"}
"""As raypipe sets it where it starts Ray: idle workers are kept for the next job. Both sides have it."""
WORKS = {
    "group": "group-by of {:,} rows",
    "join": "left join of {:,} rows with a tenth as many",
    "sort": "sort of {:,} rows",
}
FASTER, SLOWER = 3.0, 4.0
"""How many times raypipe's CPU seconds Ray Data takes at least, and how many times DuckDB's raypipe takes at most."""

MEMORY = 1.25
"""Times the peak memory with half of the rows: allocators keep what they had, and which tasks meet is chance."""


@dataclass
class Bench:
    """One folder, one warm cluster, and what the work took on the clock."""

    folder: Path
    ray: cluster.Cluster
    num_rows: int
    rows: dict[str, int] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    wall_s: dict[str, list[float]] = field(default_factory=dict)

    def work(self, name: str, side: str) -> float:
        """CPU seconds of one piece of work, in a process of its own and in the cluster, once all workers stand."""
        address = "-" if side == "duckdb" else self.ray.address
        with memory.peak(self.ray) as peak:
            spent = self.ray.run_warm([sys.executable, str(WORK), name, side, str(self.folder), address], self.folder)
        self.peak_mb[side] = max(self.peak_mb.get(side, 0), peak[0])
        self.rows[side] = json.loads(spent.output.splitlines()[-1])["rows"]
        self.wall_s.setdefault(side, []).append(spent.wall_s)
        return spent.cpu_s


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder, cluster.warm(NUM_CPUS, WORKERS) as ray:
        (Path(folder) / "warm").mkdir()
        shuffle_work.prepare(Path(folder) / "warm", 8_000)
        num_rows = 1_000_000 if quick else 10_000_000
        shuffle_work.prepare(Path(folder), num_rows)
        for name in WORKS:
            yield from _over(Bench(Path(folder), ray, num_rows), name, 1 if quick else 3)
        (Path(folder) / "twice").mkdir()
        (Path(folder) / "twice" / "warm").symlink_to(Path(folder) / "warm")
        shuffle_work.prepare(Path(folder) / "twice", 2 * num_rows)
        for name in WORKS:
            yield _memory(name, *(Bench(path, ray, num_rows) for path in (Path(folder), Path(folder) / "twice")))


def _memory(name: str, once: Bench, twice: Bench) -> Claim:
    """What a shuffle holds does not grow with the table: everything is dealt, and a task holds a bounded part."""
    mb = []
    for bench in (once, twice):
        bench.work(name, "dealt")
        mb.append(bench.peak_mb["dealt"])
    told = WORKS[name].format(once.num_rows)
    detail = f"{mb[0]:,.0f} MB, {mb[1]:,.0f} with twice the rows: all processes, Ray's own and idle workers included"
    return Claim(f"{told}, dealt: peak memory with twice the rows", mb[1] / mb[0], MEMORY, detail=detail)


def _over(bench: Bench, name: str, rounds: int) -> Iterator[Claim]:
    sides = ["raypipe", "ray", "duckdb", *(["dealt"] if name == "join" else [])]
    found = interleaved(rounds, {side: lambda side=side: bench.work(name, side) for side in sides})
    assert len(set(bench.rows.values())) == 1, f"{name}: the sides made {bench.rows} rows"
    told = WORKS[name].format(bench.num_rows)
    detail = f"{spread(found, 'CPU-s')}; on the clock {spread(bench.wall_s, 's')}"
    yield Claim(f"{told}: Ray Data over raypipe", ratio(found, "ray", "raypipe"), FASTER, at_least=True, detail=detail)
    yield Claim(f"{told}: raypipe over DuckDB", ratio(found, "raypipe", "duckdb"), SLOWER)
    if name == "join":
        yield Claim(f"{told}, both dealt: Ray Data over raypipe", ratio(found, "ray", "dealt"), FASTER, at_least=True)


if __name__ == "__main__":
    sys.exit(main(measure))
