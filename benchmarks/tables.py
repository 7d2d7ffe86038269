"""Tables: five million rows written and read over Ray's own Parquet, commits that stay flat, small files, upserts, long histories."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cluster
from claim import Claim, interleaved, main, ratio, spread

WORK = Path(__file__).with_name("table_work.py")
NUM_CPUS = 4
WORKERS = {"RAY_num_workers_soft_limit": "16"}
"""As raypipe sets it where it starts Ray: idle workers are kept for the next job. Both sides have it."""


@dataclass
class Bench:
    """One folder, one warm cluster, and what each piece of work said last."""

    folder: Path
    ray: cluster.Cluster
    num_rows: int
    said: dict[str, dict[str, Any]] = field(default_factory=dict)

    def work(self, name: str, clear: str = "") -> float:
        """CPU seconds of one piece of work, in a process of its own and in the cluster."""
        if clear:
            shutil.rmtree(self.folder / clear, ignore_errors=True)
        spent = self.ray.run([sys.executable, str(WORK), name, str(self.folder), self.ray.address, str(self.num_rows)], self.folder)
        self.said[name] = json.loads(spent.output.splitlines()[-1])
        return spent.cpu_s


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder, cluster.warm(NUM_CPUS, WORKERS) as ray:
        yield from _scans(Bench(Path(folder), ray, 500_000 if quick else 5_000_000), 1 if quick else 5)


def _scans(bench: Bench, rounds: int) -> Iterator[Claim]:
    """Each side's own files, made in the task that writes them, then read back and one column summed. The first round warms up."""
    bench.work("write_raypipe"), bench.work("write_ray", "plain")
    found = interleaved(rounds, {"raypipe": lambda: bench.work("write_raypipe"), "Ray": lambda: bench.work("write_ray", "plain")})
    yield Claim("writing a table over ray.data.write_parquet", ratio(found, "raypipe", "Ray"), 1, detail=spread(found, "CPU-s"))
    found = interleaved(rounds, {"raypipe": lambda: bench.work("read_raypipe"), "Ray": lambda: bench.work("read_ray")})
    yield Claim("reading it over ray.data.read_parquet", ratio(found, "raypipe", "Ray"), 0.35, detail=spread(found, "CPU-s"))
    ours, theirs = bench.said["read_raypipe"], bench.said["read_ray"]
    yield Claim("difference of the two sums", abs(ours["sum"] - theirs["sum"]), 1e-3, "", detail=f"{ours} and {theirs}")


if __name__ == "__main__":
    sys.exit(main(measure))
