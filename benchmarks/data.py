"""One fused pass over 10 and 40 million rows: filter, derive, contract, standardise, write; against Polars, DuckDB and naive Ray Data."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cluster
import data_work
import memory
from claim import Claim, interleaved, main, ratio, spread

WORK = Path(__file__).with_name("data_work.py")
NUM_CPUS = 4
WORKERS = {"RAY_num_workers_soft_limit": "16"}
"""As raypipe sets it where it starts Ray: idle workers are kept for the next job. Both sides have it."""
PEERS = ("polars", "polars_streaming", "duckdb")


@dataclass
class Bench:
    """A warm cluster, data in a folder, and what each contender needed."""

    ray: cluster.Cluster
    folder: Path
    cpu_s: dict[str, list[float]] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    said: dict[str, dict[str, Any]] = field(default_factory=dict)

    def wall_s(self, name: str) -> float:
        """Of one contender, in a process of its own, from the moment it is ready: interpreter, imports and Ray's workers stand."""
        command = [sys.executable, str(WORK), name, str(self.folder), self.ray.address]
        with memory.peak(self.ray) as peak:
            spent = self.ray.run_warm(command, self.folder)
        self.said[name] = json.loads(spent.output.splitlines()[-1])
        self.cpu_s.setdefault(name, []).append(spent.cpu_s)
        self.peak_mb[name] = max(self.peak_mb.get(name, 0), peak[0])
        return spent.wall_s

    def race(self, names: tuple[str, ...], rounds: int) -> dict[str, list[float]]:
        found = interleaved(rounds, {name: lambda name=name: self.wall_s(name) for name in names})
        agreed = {name: said["rows"] for name, said in self.said.items() if said["rows"] >= 0}
        assert len(set(agreed.values())) == 1, f"the contenders do not agree: {agreed}"
        return found

    def told(self, found: dict[str, list[float]]) -> str:
        cpu = ", ".join(f"{name} {statistics.median(self.cpu_s[name]):.3g}" for name in found)
        return f"{spread(found, 's')}; CPU-s: {cpu}"


def measure(quick: bool) -> Iterator[Claim]:
    with cluster.warm(NUM_CPUS, WORKERS) as ray:
        small = yield from _claims(ray, 2 if quick else 20, 2.5, 1 if quick else 5, naive=True)
        if not quick:
            large = yield from _claims(ray, 80, 1.8, 3, naive=False)
            detail = f"{large:.0f} MB at 40 and {small:.0f} MB at 10 million rows, all processes, Ray's own included"
            # Allocators do not give back what they had at a peak, and which tasks meet is chance.
            yield Claim("peak memory at 40 million rows over that at 10", large / small, 1.1, detail=detail)


def _claims(ray: cluster.Cluster, num_files: int, bound: float, rounds: int, naive: bool) -> Iterator[Claim]:
    """Returns raypipe's peak memory in MB."""
    rows = f"{num_files * data_work.FILE_ROWS / 1e6:g} million rows"
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(ray, Path(folder))
        data_work.generate(bench.folder, num_files)
        (bench.folder / "warm").mkdir()
        data_work.generate(bench.folder / "warm", data_work.WARM_FILES, data_work.WARM_ROWS)
        found = bench.race(("raypipe", *PEERS), rounds)
        fastest = min(PEERS, key=lambda name: statistics.median(found[name]))
        yield Claim(
            f"{rows} over the faster of Polars and DuckDB ({fastest})", ratio(found, "raypipe", fastest), bound, detail=bench.told(found)
        )
        if naive:
            found = bench.race(("raypipe", "ray_data"), min(rounds, 3))
            yield Claim(
                f"{rows}: naive Ray Data over raypipe", ratio(found, "ray_data", "raypipe"), 4, at_least=True, detail=bench.told(found)
            )
        peaks = ", ".join(f"{name} {mb:.0f} MB" for name, mb in bench.peak_mb.items())
        print(f"# {rows}, peak memory of all processes (Ray's own, idle workers included): {peaks}", flush=True)
        return bench.peak_mb["raypipe"]


if __name__ == "__main__":
    sys.exit(main(measure))
