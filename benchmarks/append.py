"""After an append of 1 % of the rows, a run of Ingest, Split, Label and Transform against the run over all of them: wall and CPU time of
whole runs in one process without Ray, start of Python apart. 4 million rows of 12 columns, with --full 40 million."""

from __future__ import annotations

import contextlib
import io
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from claim import Claim, main, spread

FILE_ROWS = 40_000
"""A file is 1 % of four million rows; of forty it is ten files."""
NAMES = [f"x{i}" for i in range(7)]
CONFIG = """
defaults: [pipeline, _self_, {override source: parquet}]
name: p
source: {path: data}
split: {by: hash, key: id}
steps:
  labelled: {_target_: raypipe.Label, table: split, column: late, sql: delay > 15}
  ready:
    _target_: raypipe.Transform
    table: labelled
    label: late
    where: distance > -2.5
    refit: never
    entries:
      speed: {_target_: raypipe.Derive, columns: {speed: distance / (delay + 61)}}
      inputs: {_target_: raypipe.Drop, columns: [id, at, delay]}
      scale: {_target_: raypipe.Standardize, columns: [distance, speed, x0, x1, x2, x3, x4, x5, x6]}
      carrier: {_target_: raypipe.OneHot, columns: [carrier]}
"""


@dataclass(frozen=True)
class Cost:
    wall_s: float
    cpu_s: float


FULL = "--full" in sys.argv


def measure(quick: bool) -> Iterator[Claim]:
    num_files = 20 if quick else 1000 if FULL else 100
    found: dict[str, list[Cost]] = {"append": [], "all": []}
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder) / "rows", num_files + max(1, num_files // 100), 1_000 if quick else FILE_ROWS)
        turn(Path(folder) / "warm", files[:3], 2)
        for number in range(1 if quick or FULL else 3):
            for name, cost in turn(Path(folder) / str(number), files, num_files).items():
                found[name].append(cost)
    for what in ("wall", "cpu"):
        times = {name: [getattr(cost, f"{what}_s") for cost in costs] for name, costs in found.items()}
        share = 100 * statistics.median(times["append"]) / statistics.median(times["all"])
        detail = f"{num_files} files, {spread(times, 's')}"
        yield Claim(f"{what} time of a run after an append of 1 % over that of a run over all", share, 10, "%", detail=detail)


def turn(folder: Path, files: list[Path], num_before: int) -> dict[str, Cost]:
    """A run over all, and one after an append to what was run before, each in a project of its own; the tables have the same rows."""
    whole, grown = project(folder / "whole", files), project(folder / "grown", files[:num_before])
    all_ = run(whole)
    run(grown)
    link(grown, files[num_before:])
    append = run(grown)
    assert labels(whole) == labels(grown)
    shutil.rmtree(folder)
    return {"append": append, "all": all_}


def write(folder: Path, num_files: int, num_rows: int) -> list[Path]:
    """Files of twelve columns: a key, a time, two figures, a text of few values and seven numbers."""
    folder.mkdir()
    for number in range(num_files):
        rng = np.random.default_rng(number)
        first = number * num_rows
        columns = {
            "id": np.arange(first, first + num_rows),
            "at": pa.array(np.arange(first, first + num_rows) * 1_000_000, pa.timestamp("us")),
            "delay": np.where(rng.random(num_rows) < 0.01, np.nan, rng.gamma(2, 10, num_rows)),
            "distance": rng.normal(0, 1, num_rows),
            "carrier": rng.choice(["AA", "UA", "DL", "B6", "EV", "MQ", "WN", "US"], num_rows),
            **{name: rng.normal(0, 1, num_rows) for name in NAMES},
        }
        pq.write_table(pa.table(columns), folder / f"{number:05d}.parquet")
    return sorted(folder.iterdir())


def project(folder: Path, files: list[Path]) -> Path:
    for name in ("conf", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "conf" / "p.yaml").write_text(CONFIG)
    link(folder, files)
    return folder


def link(folder: Path, files: list[Path]) -> None:
    for file in files:
        (folder / "data" / file.name).hardlink_to(file)


def run(folder: Path) -> Cost:
    """`raypipe run`, in this process."""
    from raypipe.cli.main import main as raypipe

    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as out:
        wall, cpu = time.perf_counter(), time.process_time()
        code = raypipe(["run", "-cd", "conf", "-cn", "p", "cluster=debug"])
        cost = Cost(time.perf_counter() - wall, time.process_time() - cpu)
    assert code == 0, out.getvalue()
    return cost


def labels(folder: Path) -> tuple[str, int]:
    """Digest and rows of the labelled table; the transformed one has the fit of its first run."""
    import raypipe as rp

    table, ready = (rp.table(name, project_path=folder).artifact for name in ("p.labelled", "p.ready"))
    return table.digest, ready.num_rows


if __name__ == "__main__":
    sys.argv = [argument for argument in sys.argv if argument != "--full"]
    sys.exit(main(measure))
