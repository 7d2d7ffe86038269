"""Tables: five million rows written and read over Ray's own Parquet, commits that stay flat, small files, upserts, long histories."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cluster
import cpu
import table_work
from claim import Claim, interleaved, main, ratio, spread

from raypipe.core.artifact import Table
from raypipe.core.step import Work
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.fragment.together import read_fragments
from raypipe.data.lake.compact import compact
from raypipe.data.table import TableSchema, fragments, latest, made, read, snapshots

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

    def work(self, name: str) -> float:
        """CPU seconds of one piece of work, in a process of its own and in the cluster, once all workers stand."""
        spent = self.ray.run_warm([sys.executable, str(WORK), name, str(self.folder), self.ray.address, str(self.num_rows)], self.folder)
        self.said[name] = json.loads(spent.output.splitlines()[-1])
        return spent.cpu_s


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder, cluster.warm(NUM_CPUS, WORKERS) as ray:
        yield from _scans(Bench(Path(folder), ray, 500_000 if quick else 5_000_000), 1 if quick else 5)
    with tempfile.TemporaryDirectory() as folder:
        yield from _commits(Path(folder), 60 if quick else 300)
    with tempfile.TemporaryDirectory() as folder:
        yield from _upsert(Path(folder), 500_000 if quick else 5_000_000)
    with tempfile.TemporaryDirectory() as folder:
        yield from _history(Path(folder), 500 if quick else 10_000)


def _scans(bench: Bench, rounds: int) -> Iterator[Claim]:
    """Each side's own files, made in the task that writes them, then read back and one column summed."""
    found = interleaved(rounds, {"raypipe": lambda: bench.work("write_raypipe"), "Ray": lambda: bench.work("write_ray")})
    yield Claim("writing a table over ray.data.write_parquet", ratio(found, "raypipe", "Ray"), 1, detail=spread(found, "CPU-s"))
    found = interleaved(rounds, {"raypipe": lambda: bench.work("read_raypipe"), "Ray": lambda: bench.work("read_ray")})
    yield Claim("reading it over ray.data.read_parquet", ratio(found, "raypipe", "Ray"), 0.35, detail=spread(found, "CPU-s"))
    ours, theirs = bench.said["read_raypipe"], bench.said["read_ray"]
    yield Claim("difference of the two sums", abs(ours["sum"] - theirs["sum"]), 1e-3, "", detail=f"{ours} and {theirs}")


def _commits(folder: Path, number: int) -> Iterator[Claim]:
    """Appends of 10,000 rows, each published as a step does it, the fragment's writing apart; then all of them read."""
    at = table_work.work(folder)
    times = [_append(at, n, 10_000) for n in range(number)]
    first, last = statistics.median(times[:20]), statistics.median(times[-20:])
    detail = f"first 20 {first * 1e3:.2f} ms, last 20 {last * 1e3:.2f} ms"
    yield Claim(f"the last of {number} commits over the first", last / first, 2, detail=detail)
    small = fragments(at.ledger, _newest(at))
    one = [write_fragment(at.store, "one.parquet", read_fragments(at.store, small, table_work.piece(0, 1).schema))]
    yield from _reads("reading them over the same rows in one file", at, small, one, 3)
    table_work.publish(at, compact(replace(at, inline=True), "bench.rows"))
    yield from _reads("reading them over one file, once compacted", at, fragments(at.ledger, _newest(at)), one, 1.1)
    at.ledger.close()


def _upsert(folder: Path, num_rows: int) -> Iterator[Claim]:
    """1 % of the keys, scattered over all files, in a process of its own; the new rows' own file is written in it too."""
    at = table_work.work(folder)
    parts = [write_fragment(at.store, f"{at.path}/{n}.parquet", table_work.piece(n, size)) for n, size in table_work.pieces(num_rows)]
    table_work.publish(at, made(at, "bench.rows", TableSchema(table_work.piece(0, 1).schema), parts, mode="overwrite"))
    at.ledger.close()
    spent = cpu.run([sys.executable, str(WORK), "upsert", str(folder), "", str(num_rows)])
    said = json.loads(spent.output.splitlines()[-1])
    assert said["rows"] == num_rows, said
    detail = f"{said['updated']:,} of {num_rows:,} rows; importing and opening apart"
    yield Claim("upsert of 1 % scattered keys", said["cpu_s"], 2, "CPU-s", detail=detail)
    yield Claim("its memory", said["peak_mb"], 500, "MB", detail=f"the process: {said['before_mb']:.0f} MB before it")


def _reads(name: str, at: Work, ours: Sequence[Fragment], theirs: Sequence[Fragment], bound: float) -> Iterator[Claim]:
    schema = table_work.piece(0, 1).schema

    def read(parts: Sequence[Fragment]) -> float:
        began = time.process_time()
        read_fragments(at.store, parts, schema)
        return time.process_time() - began

    found = interleaved(7, {"ours": lambda: read(ours), "one file": lambda: read(theirs)})
    yield Claim(name, ratio(found, "ours", "one file"), bound, detail=spread(found, "CPU-s"))


def _history(folder: Path, number: int) -> Iterator[Claim]:
    """As many snapshots of one row; then what a person waits for: the log, and the first snapshot's rows. In-process, imports done."""
    at = table_work.work(folder)
    for n in range(number):
        _append(at, n, 1)
    began = time.perf_counter()
    assert len(snapshots(at.ledger, "bench.rows")) == number
    yield Claim(f"the log of {number:,} snapshots", time.perf_counter() - began, 1, "s")
    first = snapshots(at.ledger, "bench.rows")[-1]
    began = time.perf_counter()
    artifact = at.ledger.artifact(first.artifact)
    assert isinstance(artifact, Table)
    assert read(at.ledger, at.store, artifact).num_rows == 1
    yield Claim("reading the first of them", time.perf_counter() - began, 1, "s")
    at.ledger.close()


def _append(at: Work, number: int, num_rows: int) -> float:
    """Seconds from the written fragment to the published snapshot, its name made durable included."""
    rows = table_work.piece(number, num_rows)
    fragment = write_fragment(at.store, f"{at.path}/{number}.parquet", rows)
    began = time.perf_counter()
    change = made(at, "bench.rows", TableSchema(rows.schema), [fragment], mode="append", before=latest(at.ledger, "bench.rows"))
    table_work.publish(at, change)
    return time.perf_counter() - began


def _newest(at: Work) -> Table:
    found = at.ledger.nearest("bench", "rows")
    assert found
    assert isinstance(found[0], Table)
    return found[0]


if __name__ == "__main__":
    sys.exit(main(measure))
