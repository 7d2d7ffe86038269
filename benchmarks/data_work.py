"""One pass over generated departures, in a process of its own, by raypipe or by a peer: what benchmarks/data.py measures.

`python data_work.py NAME FOLDER ADDRESS`. It first lets every worker import what it needs, and does the same on eight files of 1,000 rows
(FOLDER/warm); then it says `ready`, waits for a line, does the work, and says what came of it as a line of JSON.

The work: of the rows with `air_time > 30 and cancelled = false` two columns are derived, five are standardised by mean and deviation of the
rows before CUT, four rules are judged (rows of one of them dropped, the others counted), and all columns are written as Parquet, by all
compressed with lz4. raypipe's pages and footers have checksums, each file a sha256 and an fsync, and a transaction publishes them.
"""

from __future__ import annotations

import json
import logging
import os
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
from raypipe.data.split import rule
from raypipe.data.table import TableSchema, made

FILE_ROWS = 500_000
WARM_FILES, WARM_ROWS = 8, 1_000
START = 1_356_998_400
"""2013-01-01, in seconds."""
YEAR_S = 365 * 86_400
CUT, TEST = "2013-09-13T00:00:00", "2013-10-20T00:00:00"
"""70 and 80 % of the year."""
CARRIERS = [f"C{i}" for i in range(16)]
SCALED = ["speed", "gain", "wind", "temperature", "distance"]
WHERE = "air_time > 30 and cancelled = false"
DERIVED = {"speed": "distance / air_time * 60", "gain": "dep_delay - arr_delay"}


def piece(number: int, num_rows: int, num_files: int) -> pa.Table:
    """The departures of one file, in the order of time: twelve columns."""
    rng = np.random.default_rng(number)
    share = YEAR_S / num_files
    seconds = START + np.sort(rng.random(num_rows) * share + number * share)
    air_time = rng.uniform(20, 400, num_rows)
    delay = rng.normal(10, 30, num_rows)
    return pa.table(
        {
            "id": np.arange(num_rows) + number * num_rows,
            "at": pa.array((seconds * 1e6).astype(np.int64), pa.timestamp("us")),
            "carrier": np.array(CARRIERS)[rng.integers(0, 16, num_rows)],
            "origin": np.array(["EWR", "JFK", "LGA"])[rng.integers(0, 3, num_rows)],
            "dest": np.array([f"D{i:02d}" for i in range(100)])[rng.integers(0, 100, num_rows)],
            "distance": rng.integers(100, 3_000, num_rows).astype(np.int32),
            "air_time": pa.array(air_time, mask=rng.random(num_rows) < 0.02),
            "dep_delay": pa.array(delay, mask=rng.random(num_rows) < 0.02),
            "arr_delay": delay + rng.normal(0, 10, num_rows),
            "wind": rng.gamma(2, 5, num_rows),
            "temperature": rng.normal(15, 10, num_rows),
            "cancelled": rng.random(num_rows) < 0.02,
        }
    )


def generate(folder: Path, num_files: int, file_rows: int = FILE_ROWS) -> None:
    """A table of raypipe's: its files are what the peers read."""
    at = _work(folder, "rows")
    shape = range(num_files)
    parts = [write_fragment(at.store, f"{at.path}/part-{n:05d}.parquet", piece(n, file_rows, num_files)) for n in shape]
    split = rule("time", on="at", validation_from=CUT, test_from=TEST)
    _publish(at, made(at, "bench.rows", TableSchema(piece(0, 1, 1).schema, split=split), parts, mode="overwrite"))
    at.ledger.close()


def raypipe(folder: Path) -> dict[str, Any]:
    """The step Transform, as the driver runs it."""
    from raypipe.data.contract.contract import Contract
    from raypipe.data.transform.derive import Derive
    from raypipe.data.transform.scaling import Standardize
    from raypipe.steps.transform import Transform

    at = _work(folder, "transform")
    found = at.ledger.nearest("bench", "rows")
    assert found
    columns: Any = {
        "carrier": {"type": "string", "allowed": CARRIERS, "nulls": False},
        "air_time": {"type": "float64", "max": 399.5, "nulls": False, "on_breach": "drop"},
    }
    step = Transform(
        where=WHERE,
        entries={"derived": Derive(DERIVED), "scaled": Standardize(SCALED)},
        contract=Contract(columns, exact=False),
    )
    table = _publish(at, step.run(at, found[0]))  # type: ignore[arg-type]
    at.ledger.close()
    return {"rows": table.num_rows, "dropped": table.figures["rows_dropped"]}


def polars(folder: Path) -> dict[str, Any]:
    return _polars(folder, streaming=False)


def polars_streaming(folder: Path) -> dict[str, Any]:
    return _polars(folder, streaming=True)


def _polars(folder: Path, streaming: bool) -> dict[str, Any]:
    import polars as pl

    rows = pl.scan_parquet(_files(folder)).filter((pl.col("air_time") > 30) & ~pl.col("cancelled"))
    rows = rows.with_columns(speed=pl.col("distance") / pl.col("air_time") * 60, gain=pl.col("dep_delay") - pl.col("arr_delay"))
    moments = [f(pl.col(n)).alias(f"{n}-{f.__name__}") for n in SCALED for f in (_mean, _std)]
    learnt = (
        rows.filter(pl.col("at") < pl.lit(CUT).str.to_datetime()).select(moments).collect(engine="streaming" if streaming else "in-memory")
    )
    fit = learnt.row(0, named=True)
    scaled = [((pl.col(n) - fit[f"{n}-_mean"]) / fit[f"{n}-_std"]).cast(pl.Float32).alias(n) for n in SCALED]
    rows = rows.with_columns(scaled)
    rules = [pl.len(), (pl.col("air_time") > 399.5).sum().alias("far"), pl.col("air_time").is_null().sum().alias("no")]
    rules += [pl.col("carrier").is_null().sum().alias("none"), (~pl.col("carrier").is_in(CARRIERS)).sum().alias("other")]
    kept, out = pl.col("air_time") <= 399.5, _out(folder, "polars")
    if streaming:
        sink = rows.filter(kept).sink_parquet(out / "rows.parquet", compression="lz4", lazy=True)
        counts = pl.collect_all([rows.select(rules), sink], engine="streaming")[0]
    else:
        frame = rows.collect(engine="in-memory")
        counts = frame.select(rules)
        frame.filter(kept).write_parquet(out / "rows.parquet", compression="lz4")
    found = counts.row(0, named=True)
    assert not found["other"] + found["none"], found
    return {"rows": found["len"] - found["far"], "dropped": found["far"]}


def _mean(column: Any) -> Any:
    return column.mean()


def _std(column: Any) -> Any:
    return column.std(ddof=0)


def duckdb(folder: Path) -> dict[str, Any]:
    import duckdb

    con = duckdb.connect()
    con.execute("set preserve_insertion_order = false")
    derived = ", ".join(f"{sql} as {name}" for name, sql in DERIVED.items())
    names = ", ".join(repr(str(file)) for file in _files(folder))
    rows = f"(select *, {derived} from read_parquet([{names}]) where {WHERE})"
    moments = ", ".join(f"avg({n}), stddev_pop({n})" for n in SCALED)
    learnt: Any = con.execute(f"select {moments} from {rows} as r where \"at\" < timestamp '{CUT}'").fetchone()
    fit = {n: learnt[2 * i : 2 * i + 2] for i, n in enumerate(SCALED)}
    scaled = ", ".join(f"(({n} - {mean!r}) / {std!r})::float as {n}" for n, (mean, std) in fit.items())
    allowed = ", ".join(map(repr, CARRIERS))
    rules = (
        f"count(*), count_if(air_time > 399.5), count_if(air_time is null), count_if(carrier is null), count_if(carrier not in ({allowed}))"
    )
    counts: Any = con.execute(f"select {rules} from {rows} as r").fetchone()
    out = _out(folder, "duckdb") / "rows"
    how = "format parquet, compression lz4, per_thread_output true"
    con.execute(f"copy (select * replace ({scaled}) from {rows} as r where air_time <= 399.5) to '{out}' ({how})")
    assert counts[3:] == (0, 0), counts
    return {"rows": counts[0] - counts[1], "dropped": counts[1]}


def ray_data(folder: Path) -> dict[str, Any]:
    """As one writes it from Ray Data's own guide: batches of pandas."""
    import pandas as pd
    import ray.data

    def clean(batch: Any) -> Any:
        batch = batch[(batch["air_time"] > 30) & ~batch["cancelled"]].copy()
        batch["speed"] = batch["distance"] / batch["air_time"] * 60
        batch["gain"] = batch["dep_delay"] - batch["arr_delay"]
        return batch

    def sums(batch: Any) -> Any:
        batch = batch[batch["at"] < pd.Timestamp(CUT)][SCALED].astype("float64")
        parts = {"n": batch.count(), "s": batch.sum(), "q": (batch**2).sum()}
        return pd.DataFrame({f"{name}-{key}": [float(part[name])] for name in SCALED for key, part in parts.items()})

    rows = ray.data.read_parquet([str(f) for f in _files(folder)]).map_batches(clean, batch_format="pandas")
    total = pd.DataFrame(rows.map_batches(sums, batch_format="pandas").take_all()).sum()
    means = {n: total[f"{n}-s"] / total[f"{n}-n"] for n in SCALED}
    stds = {n: (total[f"{n}-q"] / total[f"{n}-n"] - means[n] ** 2) ** 0.5 for n in SCALED}

    def scale(batch: Any) -> Any:
        if not batch["carrier"].isin(CARRIERS).all() or batch["air_time"].isna().any():
            raise ValueError("the rules are broken")
        batch = batch[batch["air_time"] <= 399.5].copy()
        for name in SCALED:
            batch[name] = ((batch[name] - means[name]) / stds[name]).astype("float32")
        return batch

    out = _out(folder, "ray")
    rows.map_batches(scale, batch_format="pandas").write_parquet(str(out), compression="lz4")
    return {"rows": -1, "dropped": -1}


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("store/bench/rows/*/part-*.parquet"))


def _out(folder: Path, name: str) -> Path:
    """A folder for what a peer writes, empty."""
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir()
    return folder / name


def _work(folder: Path, step: str) -> Work:
    ledger, store = Ledger.open(f"sqlite:///{folder}/ledger.db", "bench"), Store.open(folder / "store")
    shutil.rmtree(folder / "store" / "bench" / step, ignore_errors=True) if step != "rows" else None
    return Work("bench", folder, "bench", step, ledger, store, run="r", path=f"bench/{step}/{uuid.uuid4().hex[:12]}")


def _publish(at: Work, table: Made[Table]) -> Table:
    """As the driver does it: files synced, then one transaction."""
    at.store.sync(at.path)
    fingerprint = uuid.uuid4().hex
    about = (at.pipeline, at.step, at.run, fingerprint, table.digest)
    record = Record("Table", *about, files=table.files, schema=table.schema, figures=table.figures)
    found = at.ledger.publish(at.ledger.claim(fingerprint, at.run), record, table.commits)
    assert isinstance(found, Table)
    return found


def _stand() -> None:
    """Held long enough that each worker gets one: its imports are start-up, of raypipe and of Ray Data alike."""
    import time

    import pandas  # noqa: F401
    import polars  # noqa: F401
    import ray.data  # noqa: F401

    import raypipe.data.transform.passes
    import raypipe.steps.transform  # noqa: F401

    time.sleep(3)


def main(name: str, folder: str, address: str) -> None:
    """What a library prints goes where errors go: lines here are answers."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if name in ("raypipe", "ray_data"):
        import ray
        import ray.data

        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        num_cpus = int(ray.cluster_resources()["CPU"])
        ray.get([ray.remote(_stand).remote() for _ in range(num_cpus)])
    globals()[name](Path(folder) / "warm")
    print("ready", file=told, flush=True)
    sys.stdin.readline()
    print(json.dumps(globals()[name](Path(folder))), file=told, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:4])
