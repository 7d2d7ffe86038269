"""One shuffle, in a process of its own, by raypipe, by plain Ray Data or by DuckDB: what benchmarks/shuffle.py measures.

`python shuffle_work.py NAME SIDE FOLDER ADDRESS`. With Ray it first does the same on a small table, so that workers stand and have imported
what they need; then it says `ready`, waits for a line, does the work, and says what came of it as a line of JSON. All sides read the same
Parquet files and write Parquet.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raypipe.core.artifact import Table
from raypipe.core.ledger import Ledger, Record
from raypipe.core.step import Made, Work
from raypipe.core.store import Store
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.table import TableSchema, fragments, made

PIECE_ROWS = 500_000
NUM_PARTITIONS = 20
"""Of Ray's group-by and join: as many as there are files, instead of its default of 200. Its sort keeps the default."""
AGGREGATES = {"n": "count(*)", "mean": "avg(x0)", "total": "sum(x1)", "most": "max(x2)"}


def rows(number: int, num_rows: int, num_keys: int) -> pa.Table:
    """A key of many rows, one of few, three figures and a text."""
    rng = np.random.default_rng(number)
    floats = {f"x{i}": rng.normal(size=num_rows) for i in range(3)}
    text = np.array([f"carrier {i}" for i in range(40)])[rng.integers(0, 40, num_rows)]
    return pa.table(
        {"k": rng.integers(0, max(1, num_keys // 10), num_rows), "id": rng.integers(0, num_keys, num_rows), **floats, "text": text}
    )


def others(num_rows: int) -> pa.Table:
    """One row for each `id`."""
    rng = np.random.default_rng(1000)
    ids = rng.permutation(num_rows)
    return pa.table({"id": ids, "y0": rng.normal(size=num_rows), "y1": rng.normal(size=num_rows), "name": [f"n{i}" for i in ids]})


def prepare(folder: Path, num_rows: int) -> None:
    at, num_keys = work(folder), num_rows // 10
    starts = range(0, num_rows, min(PIECE_ROWS, num_rows // 4))
    step = starts.step
    written = [write_fragment(at.store, f"given/rows/{i:03d}.parquet", rows(i, step, num_keys)) for i in range(len(starts))]
    publish(at, "rows", made(at, "bench.rows", TableSchema(rows(0, 1, 1).schema), written, mode="overwrite"))
    half = -(-num_keys // 2)
    parts = [others(num_keys).slice(0, half), others(num_keys).slice(half)]
    written = [write_fragment(at.store, f"given/others/{i:03d}.parquet", part) for i, part in enumerate(parts)]
    publish(at, "others", made(at, "bench.others", TableSchema(parts[0].schema), written, mode="overwrite"))


def work(folder: Path) -> Work:
    ledger, store = Ledger.open(f"sqlite:///{folder}/ledger.db", "bench"), Store.open(folder / "store")
    return Work("bench", folder, "bench", "made", ledger, store, run="r", path=f"bench/made/{uuid.uuid4().hex[:12]}")


def publish(at: Work, step: str, table: Made[Table]) -> Table:
    """As the driver does it: files synced, then one transaction."""
    fingerprint = uuid.uuid4().hex
    at.store.sync("")
    about: dict[str, Any] = {"pipeline": at.pipeline, "step": step, "run": at.run, "fingerprint": fingerprint}
    record = Record("Table", digest=table.digest, files=table.files, schema=table.schema, figures=table.figures, **about)
    found = at.ledger.publish(at.ledger.claim(fingerprint, at.run), record, table.commits)
    assert isinstance(found, Table)
    return found


def by_raypipe(name: str, folder: Path) -> int:
    import raypipe as rp

    at = work(folder)
    given, right = (_newest(at, step) for step in ("rows", "others"))
    steps: dict[str, tuple[Any, dict[str, Table]]] = {
        "group": (rp.Aggregate(["k"], AGGREGATES), {"table": given}),
        "join": (rp.Join("id", validate="m:1"), {"left": given, "right": right}),
        "sort": (rp.Sort(["x0"]), {"table": given}),
    }
    step, inputs = steps[name]
    return publish(at, "made", step.run(at, **inputs)).num_rows


def by_dealt(name: str, folder: Path) -> int:
    """The same where nothing counts as small: both sides of a join are dealt."""
    from raypipe.data.shuffle import stages

    stages.SMALL_BYTES = -1
    return by_raypipe(name, folder)


def by_ray(name: str, folder: Path) -> int:
    import ray.data
    from ray.data.aggregate import AggregateFnV2, Count, Max, Mean, Sum

    given, right = (ray.data.read_parquet(str(folder / "store" / "given" / table)) for table in ("rows", "others"))
    if name == "group":
        most: AggregateFnV2[Any, Any] = Max("x2")  # pyright: ignore[reportArgumentType]
        found = given.groupby("k", num_partitions=NUM_PARTITIONS).aggregate(Count(), Mean("x0"), Sum("x1"), most)
    elif name == "join":
        found = given.join(right, join_type="left_outer", num_partitions=NUM_PARTITIONS, on=("id",))
    else:
        found = given.sort("x0")
    out = folder / f"ray-{name}"
    shutil.rmtree(out, ignore_errors=True)
    found.write_parquet(str(out))
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in out.rglob("*.parquet"))


def by_duckdb(name: str, folder: Path) -> int:
    import duckdb

    given, right = (f"read_parquet('{folder}/store/given/{table}/*.parquet')" for table in ("rows", "others"))
    aggregates = ", ".join(f"{sql} as {column}" for column, sql in AGGREGATES.items())
    sql = {
        "group": f"select k, {aggregates} from {given} group by k order by k",
        "join": f"select * from {given} g left join {right} o using (id)",
        "sort": f"select * from {given} order by x0",
    }[name]
    out = folder / f"duckdb-{name}.parquet"
    out.unlink(missing_ok=True)
    ((found,),) = duckdb.execute(f"copy ({sql}) to '{out}' (format parquet, compression lz4)").fetchall()
    return found


def _newest(at: Work, step: str) -> Table:
    found = at.ledger.nearest("bench", step)
    assert found
    assert isinstance(found[0], Table)
    assert fragments(at.ledger, found[0])
    return found[0]


def main(name: str, side: str, folder: str, address: str) -> None:
    # Ray Data prints to where our answer goes.
    answer, sys.stdout = sys.stdout, sys.stderr
    do = {"raypipe": by_raypipe, "dealt": by_dealt, "ray": by_ray, "duckdb": by_duckdb}[side]
    if address != "-":
        import ray
        import ray.data

        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        by_dealt(name, Path(folder) / "warm") if side != "ray" else do(name, Path(folder) / "warm")
    print("ready", file=answer, flush=True)
    sys.stdin.readline()
    print(json.dumps({"rows": do(name, Path(folder))}), file=answer, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:5])
