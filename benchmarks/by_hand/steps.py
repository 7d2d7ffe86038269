"""The tables of the flights example by hand: raw files checked and written, labelled, joined, transformed; a Ray task a file."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq
import ray

pc: Any = pyarrow.compute
UTC_TIME = pa.timestamp("us", "UTC")
VALIDATION_FROM, TEST_FROM = datetime(2013, 10, 1, 4, tzinfo=UTC), datetime(2013, 11, 1, 4, tzinfo=UTC)
PART_ROWS, ROW_GROUP_ROWS = 500_000, 131_072
AIRPORTS = ["EWR", "JFK", "LGA"]
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
INPUTS = ["scheduled_at", "carrier", "origin", "dest", "distance", *WEATHER]
SCALED = ["distance", "departure_minute", *WEATHER]
KINDS = ["carrier", "origin", "departure_hour", "day_of_week"]


@dataclass(frozen=True)
class Rule:
    """What a column must be; `drop` lets a row go instead of the whole file."""

    type: pa.DataType
    required: bool = False
    min: float | None = None
    max: float | None = None
    allowed: Sequence[str] | None = None
    pattern: str | None = None
    drop: bool = False


INT, FLOAT, TEXT = pa.int64(), pa.float64(), pa.string()
FLIGHTS = {
    "year": Rule(INT, True),
    "month": Rule(INT, True, 1, 12),
    "day": Rule(INT, True, 1, 31),
    "dep_time": Rule(INT, False, 1, 2400),
    "sched_dep_time": Rule(INT, True, 0, 2359),
    "dep_delay": Rule(INT),
    "arr_time": Rule(INT, False, 1, 2400),
    "sched_arr_time": Rule(INT, True, 0, 2400),
    "arr_delay": Rule(INT),
    "carrier": Rule(TEXT, True, pattern="[A-Z0-9]{2}"),
    "flight": Rule(INT, True, 1),
    "tailnum": Rule(TEXT),
    "origin": Rule(TEXT, True, allowed=AIRPORTS),
    "dest": Rule(TEXT, True, pattern="[A-Z]{3}"),
    "air_time": Rule(INT, False, 1),
    "distance": Rule(INT, True, 1),
    "hour": Rule(INT, True, 0, 23),
    "minute": Rule(INT, True, 0, 59),
    "time_hour": Rule(UTC_TIME, True),
}
WEATHER_RULES = {
    "origin": Rule(TEXT, True, allowed=AIRPORTS),
    "year": Rule(INT, True),
    "month": Rule(INT, True, 1, 12),
    "day": Rule(INT, True, 1, 31),
    "hour": Rule(INT, True, 0, 23),
    "temp": Rule(FLOAT, False, -40, 120),
    "dewp": Rule(FLOAT, False, -60, 100),
    "humid": Rule(FLOAT, False, 0, 100),
    "wind_dir": Rule(INT, False, 0, 360),
    "wind_speed": Rule(FLOAT, False, 0, 200, drop=True),
    "wind_gust": Rule(FLOAT, False, 0, 200),
    "precip": Rule(FLOAT, False, 0),
    "pressure": Rule(FLOAT, False, 900, 1100),
    "visib": Rule(FLOAT, False, 0),
    "time_hour": Rule(UTC_TIME, True),
}


@dataclass(frozen=True)
class Part:
    """One file of a table."""

    path: str
    num_rows: int
    size: int
    sha256: str


def table(folder: Path, task: Callable[..., list[Part]], items: Sequence[Any], *shared: Any) -> list[Part]:
    """A task an item, their parts in the order of the items."""
    prepared(folder)
    made = [remote(task).remote(folder / f"part-{number:05d}.parquet", item, *shared) for number, item in enumerate(items)]
    return publish(folder, [part for parts in ray.get(made) for part in parts])


def remote(function: Callable[..., Any]) -> Any:
    return ray.remote(num_cpus=1)(function)


def prepared(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def publish(folder: Path, parts: list[Part]) -> list[Part]:
    """Durable names first, then the list that makes them a table."""
    sync(folder)
    write_bytes(folder / "manifest.json", json.dumps([asdict(part) for part in parts]).encode())
    sync(folder)
    return parts


def sync(folder: Path) -> None:
    for path in (folder, folder.parent):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def write_bytes(path: Path, data: Any) -> str:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(data).hexdigest()


def write(path: Path, rows: pa.Table) -> Part:
    text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    sink: Any = pa.BufferOutputStream()
    options: Any = {"compression": "lz4", "use_dictionary": text, "write_page_checksum": True, "row_group_size": ROW_GROUP_ROWS}
    pq.write_table(rows, sink, **options)
    data = sink.getvalue()
    return Part(str(path), rows.num_rows, len(data), write_bytes(path, data))


def read(part: Part, columns: list[str] | None = None) -> pa.Table:
    assert os.path.getsize(part.path) == part.size, part.path
    with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
        return file.read(columns, use_threads=False)


def take_file(path: Path, source: Path, rules: Mapping[str, Rule]) -> list[Part]:
    """A raw file, digested, checked and written."""
    with open(source, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    rows = read_raw(source, rules)
    types = {name: rule.type for name, rule in rules.items()}
    if rows.schema.names != list(types) or any(rows.schema.field(name).type != type_ for name, type_ in types.items()):
        raise ValueError(f"{source}: {rows.schema} is not what was agreed")
    keep = np.ones(rows.num_rows, dtype=bool)
    for name, rule in rules.items():
        for what, broken in checks(rows[name], rule).items():
            if rule.drop:
                keep &= ~broken
            elif broken.any():
                raise ValueError(f"{source}: {name} {what}: {broken.sum()} rows, first {int(np.argmax(broken))}")
    part = write(path, rows if keep.all() else rows.filter(pa.array(keep)))
    write_bytes(path.with_suffix(".json"), json.dumps({"file": str(source), "sha256": digest, "rows": rows.num_rows}).encode())
    return [part]


def read_raw(source: Path, rules: Mapping[str, Rule]) -> pa.Table:
    if source.suffix == ".parquet":
        with pq.ParquetFile(source, page_checksum_verification=True) as file:
            return file.read(use_threads=False)
    types = {name: rule.type for name, rule in rules.items()}
    options = pyarrow.csv.ConvertOptions(column_types=types, null_values=["NA"], strings_can_be_null=True)
    return pyarrow.csv.read_csv(source, pyarrow.csv.ReadOptions(use_threads=False), convert_options=options)


def checks(column: pa.ChunkedArray, rule: Rule) -> dict[str, np.ndarray]:
    """For each rule of a column which rows break it."""
    found = {}
    if rule.required:
        found["is missing"] = pc.is_null(column, nan_is_null=True)
    if rule.min is not None:
        found["is too small"] = pc.less(column, rule.min)
    if rule.max is not None:
        found["is too large"] = pc.greater(column, rule.max)
    if rule.allowed is not None:
        found["is not allowed"] = pc.invert(pc.is_in(column, value_set=pa.array(rule.allowed)))
    if rule.pattern is not None:
        found["has another form"] = pc.invert(pc.match_substring_regex(column, rf"\A(?:{rule.pattern})\z"))
    return {what: pc.fill_null(broken, False).to_numpy() for what, broken in found.items()}


def split(parts: Sequence[Part]) -> dict[str, int]:
    """How many rows are for what."""
    counts = np.zeros(3, dtype=np.int64)
    for part in parts:
        counts += np.bincount(part_of(read(part, ["time_hour"])), minlength=3)
    assert counts.all(), "a part of the split is empty"
    return dict(zip(("train", "validation", "test"), counts.tolist(), strict=True))


def part_of(rows: pa.Table) -> np.ndarray:
    """0 training, 1 validation, 2 test."""
    at = rows["time_hour"]
    validation, test = (pc.greater_equal(at, pa.scalar(bound, UTC_TIME)).to_numpy() for bound in (VALIDATION_FROM, TEST_FROM))
    return validation.astype(np.int8) + test


def label(path: Path, part: Part) -> list[Part]:
    rows = read(part)
    rows = rows.append_column("late", pc.greater(rows["arr_delay"], 15))
    return [write(path, rows.filter(pc.is_valid(rows["late"])))]


def join(folder: Path, flights: Sequence[Part], weather: Sequence[Part]) -> list[Part]:
    def whole(parts: Sequence[Part]) -> pa.Table:
        with ThreadPoolExecutor(2) as pool:
            return pa.concat_tables(list(pool.map(read, parts)))

    rows = importlib.import_module("flights").with_weather(whole(flights), whole(weather))
    starts = range(0, rows.num_rows, PART_ROWS)
    return [write(folder / f"part-{number:05d}.parquet", rows.slice(at, PART_ROWS)) for number, at in enumerate(starts)]


def with_departure(rows: pa.Table) -> pa.Table:
    return importlib.import_module("flights").add_departure_time(rows.select(INPUTS))


def partial(part: Part) -> dict[str, Any] | None:
    """What the training rows of one part say of each column."""
    rows = read(part, [*INPUTS, "time_hour"])
    rows = rows.filter(pa.array(part_of(rows) == 0))
    if not rows.num_rows:
        return None
    rows = with_departure(rows)
    counts = {name: {v["values"]: v["counts"] for v in pc.value_counts(rows[name]).to_pylist()} for name in ("dest", *KINDS)}
    return {"rows": rows.num_rows, "counts": counts, "moments": {name: moments(rows[name]) for name in SCALED}}


def moments(column: pa.ChunkedArray) -> tuple[int, float, float]:
    """Number of values, their mean, and the sum of squares around it."""
    values = column.drop_null().cast(pa.float64()).to_numpy()
    mean = float(values.mean()) if len(values) else 0.0
    return len(values), mean, float(((values - mean) ** 2).sum())


def merge(partials: Sequence[dict[str, Any] | None]) -> dict[str, Any]:
    """Shares of destinations, means and scales, categories with at least 30 rows."""
    states = [state for state in partials if state]
    num_rows, scales = sum(state["rows"] for state in states), {}
    for name in SCALED:
        n, mean, squares = 0, 0.0, 0.0
        for m, other, more in (state["moments"][name] for state in states):
            apart, total = other - mean, n + m
            mean, squares, n = mean + apart * m / max(total, 1), squares + more + apart**2 * n * m / max(total, 1), total
        scales[name] = mean, (squares / n) ** 0.5
    counts: dict[str, dict[Any, int]] = {name: {} for name in ("dest", *KINDS)}
    for state in states:
        for name, found in state["counts"].items():
            for value, count in found.items():
                counts[name][value] = counts[name].get(value, 0) + count
    shares = {value: np.float32(count / num_rows) for value, count in counts["dest"].items()}
    weights = np.array(list(counts["dest"].values())) / num_rows
    mean = float((weights * list(shares.values())).sum())
    scales["dest"] = mean, float((weights * (np.array(list(shares.values())) - mean) ** 2).sum() ** 0.5)
    kinds = {name: sorted(value for value, count in counts[name].items() if count >= 30) for name in KINDS}
    return {"shares": {value: float(share) for value, share in shares.items()}, "scales": scales, "kinds": kinds}


def transform(path: Path, part: Part, fitted: Mapping[str, Any]) -> list[Part]:
    rows = read(part)
    made = features_of(rows, fitted)
    around = [name for name in rows.column_names if name not in made]
    return [write(path, pa.table({**made, **{name: rows[name] for name in around}}))]


def features_of(rows: pa.Table, fitted: Mapping[str, Any]) -> dict[str, pa.Array]:
    """The model's inputs, in the order of the pipeline's."""
    rows, made = with_departure(rows).combine_chunks(), {}
    for name in rows.column_names:
        column = rows[name].combine_chunks()
        if name in KINDS:
            places = pc.fill_null(pc.index_in(column, value_set=pa.array(fitted["kinds"][name], column.type)), -1).to_numpy()
            made |= {f"{name}={kind}": pa.array((places == place).view("uint8")) for place, kind in enumerate(fitted["kinds"][name])}
        elif name in fitted["scales"]:
            made[name] = scaled(column, name, fitted)
    return made


def scaled(column: pa.Array, name: str, fitted: Mapping[str, Any]) -> pa.Array:
    if name == "dest":
        shares = np.array([*fitted["shares"].values(), 0.0], dtype=np.float32)
        column = pa.array(shares[pc.fill_null(pc.index_in(column, value_set=pa.array(list(fitted["shares"]))), -1).to_numpy()])
    mean, scale = fitted["scales"][name]
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return pa.array(np.nan_to_num(((values - mean) / scale).astype(np.float32), nan=0.0))


def feature_names(fitted: Mapping[str, Any]) -> list[str]:
    order = ["carrier", "origin", "dest", "distance", *WEATHER, "departure_minute", "departure_hour", "day_of_week"]
    return [made for name in order for made in ([f"{name}={k}" for k in fitted["kinds"][name]] if name in KINDS else [name])]
