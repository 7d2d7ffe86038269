"""What raypipe costs over a script written by hand that does the same work: from raw files to the figures of a trained model.

The work is that of examples/flights from Ingest to Evaluate on its flights repeated ten times (each copy with flight numbers of its own,
so that no file repeats another), with a booster trained in the driver's process. `by_hand/` holds the script: the same tables, checks,
digests, page checksums and fsync, without raypipe. Both run on one warm Ray, taking turns, each time into empty folders; counted is the CPU
time of the command and of the cluster meanwhile. That both did the same work is checked: as many rows, and an AUC equal to 0.002.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cluster
import cpu
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from claim import Claim, interleaved, main, ratio, spread

ROOT = Path(__file__).resolve().parents[1]
FLIGHTS = ROOT / "examples" / "flights"
BY_HAND = ROOT / "benchmarks" / "by_hand"
NUM_CPUS = 4
WORKERS = {"RAY_num_workers_soft_limit": "16"}
"""As raypipe sets it where it starts Ray: idle workers are kept for the next step. Both sides have it."""
LEFT_OUT = ["gate=null", "register=null", "infra_validate=null", "deploy=null"]


@dataclass
class Sides:
    """The two ways to do the work in one project's folder, and what came of the last run of each."""

    project: Path
    ray: cluster.Cluster
    figures: dict[str, dict[str, float]]

    def pipeline(self) -> float:
        shutil.rmtree(self.project / ".raypipe", ignore_errors=True)
        where = ["cluster=attach", f"cluster.address={self.ray.address}"]
        command = [sys.executable, "-m", "raypipe", "run", "--json", "-cd", "conf", "-cn", "flights", *where, *LEFT_OUT]
        spent = self.ray.run(command, self.project)
        steps = json.loads(spent.output[spent.output.index("{") :])["steps"]
        self._note("raypipe", steps["evaluate"]["figures"])
        return spent.cpu_s

    def by_hand(self) -> float:
        out = self.project / "by_hand"
        shutil.rmtree(out, ignore_errors=True)
        spent = self.ray.run([sys.executable, "by_hand.py", str(out), self.ray.address], self.project)
        self._note("by hand", json.loads(spent.output.splitlines()[-1]))
        return spent.cpu_s

    def _note(self, side: str, figures: dict[str, float]) -> None:
        self.figures[side] = {name: figures[name] for name in ("rows", "auc")}


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder, cluster.warm(NUM_CPUS, WORKERS) as ray:
        warm_up = Sides(prepared(Path(folder) / "once" / "flights", 1), ray, {})
        warm_up.pipeline()
        warm_up.by_hand()
        sides = warm_up if quick else Sides(prepared(Path(folder) / "repeated" / "flights", 10), ray, {})
        found = interleaved(1 if quick else 5, {"raypipe": sides.pipeline, "by hand": sides.by_hand})
        yield Claim("CPU over a script written by hand", ratio(found, "raypipe", "by hand"), 1.1, detail=spread(found, "CPU-s"))
        ours, theirs = sides.figures["raypipe"], sides.figures["by hand"]
        yield Claim("rows judged by one and not by the other", abs(ours["rows"] - theirs["rows"]), 0, "rows")
        detail = f"{ours['auc']:.4f} and {theirs['auc']:.4f}"
        yield Claim("difference of the two models' AUC", abs(ours["auc"] - theirs["auc"]), 0.002, "", detail=detail)


def prepared(project: Path, copies: int) -> Path:
    """The example with its raw files, the flights' repeated, and the script beside them."""
    shutil.copytree(FLIGHTS, project, ignore=shutil.ignore_patterns("data", ".raypipe", "__pycache__"))
    for script in BY_HAND.glob("*.py"):
        shutil.copy(script, project)
    cpu.run([sys.executable, "prepare.py"], project)
    for source in sorted((project / "data" / "flights").glob("*.parquet")):
        rows = pq.read_table(source)
        for number in range(1, copies):
            flight = pc.add(rows["flight"], pa.scalar(10_000 * number))  # type: ignore[attr-defined]
            again = rows.set_column(rows.schema.get_field_index("flight"), "flight", flight)
            pq.write_table(again, source.with_stem(f"{source.stem}-{number}"), write_page_checksum=True)
    return project


if __name__ == "__main__":
    sys.exit(main(measure))
