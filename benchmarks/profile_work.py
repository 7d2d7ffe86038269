"""One piece of work on the files of a table, in a process of its own, for benchmarks/profiles.py."""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.statistics.describe import describe
from raypipe.data.statistics.distinct import RELATIVE_ERROR
from raypipe.data.statistics.kept import profile_of, profile_path

PIECE_ROWS = 500_000


def piece(number: int, num_rows: int) -> pa.Table:
    rng = np.random.default_rng(number)
    first = number * PIECE_ROWS
    x = rng.normal(size=num_rows)
    return pa.table(
        {
            "key": np.arange(first, first + num_rows),
            "normal": x,
            "tail": np.exp(3 * rng.normal(size=num_rows)),
            "gaps": pa.array(np.where(rng.random(num_rows) < 0.1, np.nan, rng.gamma(2.0, size=num_rows)), mask=rng.random(num_rows) < 0.2),
            "narrow": rng.normal(size=num_rows).astype(np.float32),
            "price": pa.array(rng.integers(0, 10**7, num_rows))
            .cast(pa.decimal128(19, 0))
            .cast(pa.decimal128(21, 2))
            .cast(pa.decimal128(12, 2)),
            "code": rng.integers(0, 3_000, num_rows).astype(np.int32),
            "flag": rng.random(num_rows) < 0.3,
            "day": pa.array(rng.integers(15_000, 19_000, num_rows).astype(np.int32), pa.date32()),
            "at": pa.array(rng.integers(1_350_000_000_000_000, 1_400_000_000_000_000, num_rows), pa.timestamp("us", "Europe/Berlin")),
            "carrier": rng.choice([f"carrier {i}" for i in range(40)], num_rows),
            "user": [f"user-{n * 2654435761 % 2**32:010d}" for n in range(first, first + num_rows)],
        }
    )


def write(folder: Path, num_rows: int) -> dict[str, Any]:
    store = Store.open(folder / "store")
    starts = range(0, num_rows, PIECE_ROWS)
    made = [write_fragment(store, f"part-{n:03d}.parquet", piece(n, min(PIECE_ROWS, num_rows - at))) for n, at in enumerate(starts)]
    (folder / "fragments.json").write_text(json.dumps([asdict(f) for f in made], default=str))
    return {}


def fragments(folder: Path) -> list[Fragment]:
    return [Fragment(**{**one, "partition": ()}) for one in json.loads((folder / "fragments.json").read_text())]


def profile(folder: Path) -> None:
    parts = fragments(folder)
    for part in parts:
        (folder / "store" / profile_path(part.path)).unlink(missing_ok=True)
    profile_of(Store.open(folder / "store"), parts, inline=True)


def merge(folder: Path) -> None:
    profile_of(Store.open(folder / "store"), fragments(folder), inline=True)


def summarize(folder: Path) -> None:
    duckdb.execute(f"summarize select * from '{folder}/store/*.parquet'").fetchall()


def read(folder: Path) -> None:
    for path in sorted((folder / "store").glob("*.parquet")):
        pq.ParquetFile(path, page_checksum_verification=True).read(use_threads=False)


def errors(folder: Path) -> dict[str, Any]:
    """How far the merged profile is off, by DuckDB's exact figures."""
    parts = fragments(folder)
    found = profile_of(Store.open(folder / "store"), parts, inline=True)
    said: dict[str, Any] = {"ranks": [], "distinct": [], "wrong": [], "distinct_bound": RELATIVE_ERROR}
    duckdb.execute(f"create table t as select * from '{folder}/store/*.parquet'")
    for name, column in found.columns.items():
        told = describe(column)
        quoted = f'"{name}"'
        value = f"case when isnan({quoted}) then null else {quoted} end" if column.type.startswith("float") else quoted
        mean_sql = f"avg({value}::double)" if column.kind == "number" else "null"
        as_type = "double" if column.kind == "number" else "varchar"
        bounds = f"min({value})::{as_type}, max({value})::{as_type}"
        nulls, low, high, distinct, mean = _row(f"select count(*) - count({quoted}), {bounds}, count(distinct {value}), {mean_sql} from t")
        said["wrong"] += [] if told["nulls"] == nulls else [f"{name}: nulls {told['nulls']}, {nulls}"]
        if column.kind == "number":
            said["wrong"] += [f"{name}: {a}, {b}" for a, b in ((told["min"], low), (told["max"], high)) if not _alike(float(a), b)]
            said["wrong"] += [] if _alike(float(told["mean"]), mean) else [f"{name}: mean {told['mean']}, {mean}"]
        counted = told["distinct"]
        if counted["exact"]:
            said["wrong"] += [] if counted["value"] == distinct else [f"{name}: distinct {counted['value']}, {distinct}"]
        else:
            said["distinct"].append({"column": name, "off": counted["value"] / distinct - 1})
        if column.numbers is not None:
            said["ranks"] += [_rank(name, value, one, told["quantiles"]["rank_error"]) for one in told["quantiles"]["values"]]
    sizes = [(os.path.getsize(folder / "store" / profile_path(p.path)), p.size) for p in parts]
    return {**said, "profile_bytes": sum(a for a, _ in sizes), "data_bytes": sum(b for _, b in sizes)}


def _rank(name: str, value: str, one: dict[str, Any], bound: float) -> dict[str, Any]:
    """How far the true rank of a quantile's value is from its share: 0 where the share lies between the ranks that the value has."""
    is_text = isinstance(one["value"], str)
    type_ = _row(f'select typeof("{name}") from t limit 1')[0]
    at = f"'{one['value']}'::{type_}" if is_text else f"{one['value']!r}::{type_}"
    below, upto, n = _row(f"select count(*) filter ({value} < {at}), count(*) filter ({value} <= {at}), count({value}) from t")
    off = max(0.0, below / n - one["share"], one["share"] - upto / n)
    return {"column": name, "share": one["share"], "off": off, "bound": bound or 1 / n}


def _row(sql: str) -> tuple[Any, ...]:
    return duckdb.execute(sql).fetchall()[0]


def _alike(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(name: str, folder: Path, num_rows: int) -> dict[str, Any]:
    began = cpu_s()
    if name == "write":
        return write(folder, num_rows)
    if name == "errors":
        return errors(folder)
    {"profile": profile, "merge": merge, "summarize": summarize, "read": read}[name](folder)
    return {"cpu_s": cpu_s() - began, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)))
