"""One piece of work on a table, in a process of its own, by raypipe or by plain Ray Data: what benchmarks/tables.py measures.

`python table_work.py NAME FOLDER ADDRESS NUM_ROWS`. With an address of Ray's it first does the same on eight pieces of 1,000 rows, so that
workers stand and have imported what they need; then it says `ready`, waits for a line, does the work, and says what came of it as a line
of JSON. The rows are the same on both sides: pieces of 500,000, each made in the task that writes it.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raypipe.core.artifact import Table
from raypipe.core.ledger import Ledger, Record
from raypipe.core.step import Made, Work
from raypipe.core.store import Store
from raypipe.data.fragment.fragment import Fragment, read_fragment, write_fragment
from raypipe.data.lake.upsert import upsert as upsert_
from raypipe.data.map import map_fragments
from raypipe.data.table import TableSchema, fragments, made

PIECE_ROWS = 500_000
WARM = 8_000, 1_000
"""Rows in all and in a piece of the warm-up."""


def piece(number: int, num_rows: int) -> pa.Table:
    """Eight columns: a key in scattered order, five figures, a text of few values and a time."""
    rng = np.random.default_rng(number)
    keys = np.arange(number * PIECE_ROWS, number * PIECE_ROWS + num_rows)
    rng.shuffle(keys)
    floats = {f"x{i}": rng.normal(size=num_rows) for i in range(5)}
    text = np.array([f"carrier {i}" for i in range(40)])[rng.integers(0, 40, num_rows)]
    at = pa.array(rng.integers(1_350_000_000_000_000, 1_400_000_000_000_000, num_rows), pa.timestamp("us"))
    return pa.table({"key": keys, **floats, "carrier": text, "at": at})


def pieces(num_rows: int) -> list[tuple[int, int]]:
    """Number and rows of each piece."""
    each = WARM[1] if num_rows == WARM[0] else PIECE_ROWS
    return [(number, min(each, num_rows - at)) for number, at in enumerate(range(0, num_rows, each))]


def work(folder: Path) -> Work:
    ledger, store = Ledger.open(f"sqlite:///{folder}/ledger.db", "bench"), Store.open(folder / "store")
    return Work("bench", folder, "bench", "rows", ledger, store, run="r", path=f"bench/rows/{uuid.uuid4().hex[:12]}")


def publish(at: Work, table: Made[Table]) -> Table:
    """As the driver does it: files synced, then one transaction."""
    fingerprint = uuid.uuid4().hex
    at.store.sync(at.path)
    record = Record(
        "Table", at.pipeline, at.step, at.run, fingerprint, table.digest, files=table.files, schema=table.schema, figures=table.figures
    )
    found = at.ledger.publish(at.ledger.claim(fingerprint, at.run), record, table.commits)
    assert isinstance(found, Table)
    return found


def write_raypipe(folder: Path, num_rows: int) -> dict[str, Any]:
    at = work(folder)
    store, path = at.store, at.path

    def kernel(item: tuple[int, int]) -> Fragment:
        return write_fragment(store, f"{path}/part-{item[0]:05d}.parquet", piece(*item))

    made_ = map_fragments(kernel, pieces(num_rows), inline=False)
    table = publish(at, made(at, "bench.rows", TableSchema(piece(0, 1).schema), made_, mode="overwrite"))
    return {"rows": table.figures["num_rows"], "artifact": table.id}


def write_ray(folder: Path, num_rows: int) -> dict[str, Any]:
    import ray.data

    made_ = pieces(num_rows)
    dataset = ray.data.from_items([{"item": list(item)} for item in made_], override_num_blocks=len(made_))
    dataset.map_batches(lambda rows: piece(*map(int, rows["item"][0])), batch_size=1).write_parquet(
        str(folder / "plain"), mode=ray.data.SaveMode.OVERWRITE
    )
    return {"rows": num_rows}


def read_raypipe(folder: Path, num_rows: int) -> dict[str, Any]:
    at = work(folder)
    found, store = at.ledger.nearest("bench", "rows"), at.store
    assert found
    assert isinstance(found[0], Table)
    sums = map_fragments(lambda fragment: _summed(read_fragment(store, fragment)), fragments(at.ledger, found[0]), inline=False)
    return {"rows": sum(n for n, _ in sums), "sum": round(sum(s for _, s in sums), 3)}


def read_ray(folder: Path, num_rows: int) -> dict[str, Any]:
    import ray.data

    rows = ray.data.read_parquet(str(folder / "plain")).map_batches(_summed_batch, batch_format="pyarrow", batch_size=None).take_all()
    return {"rows": sum(r["n"] for r in rows), "sum": round(sum(r["s"] for r in rows), 3)}


def upsert(folder: Path, num_rows: int) -> dict[str, Any]:
    """No Ray: a person's own upsert, file after file."""
    at = replace(work(folder), inline=True)
    keys = np.random.default_rng(1).choice(num_rows, num_rows // 100, replace=False)
    rows = piece(0, len(keys)).set_column(0, "key", pa.array(keys))
    before, began = _peak_mb(), time.process_time()
    new = [write_fragment(at.store, f"{at.path}/new.parquet", rows)]
    table = publish(at, upsert_(at, "bench.rows", TableSchema(rows.schema), new, ["key"]))
    spent = time.process_time() - began
    figures = table.figures
    return {"rows": figures["num_rows"], "updated": figures["rows_updated"], "cpu_s": spent, "peak_mb": _peak_mb(), "before_mb": before}


def _peak_mb() -> float:
    """Of this program: what getrusage says is that of the process which started it, where that was larger."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def _summed(rows: pa.Table) -> tuple[int, float]:
    """Something that needs a column of what was read."""
    return rows.num_rows, float(np.asarray(rows["x0"].combine_chunks()).sum())


def _summed_batch(rows: pa.Table) -> pa.Table:
    n, s = _summed(rows)
    return pa.table({"n": [n], "s": [s]})


def main(name: str, folder: str, address: str, num_rows: int) -> None:
    if not address:
        print(json.dumps(globals()[name](Path(folder), num_rows)))
        return
    import logging

    import ray
    import ray.data

    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    warm = Path(folder) / "warm"
    warm.mkdir(exist_ok=True)
    globals()[name](warm, WARM[0])
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(globals()[name](Path(folder), num_rows)), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))  # type: ignore[misc]
