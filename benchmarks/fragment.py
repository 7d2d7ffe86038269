"""Fragments: written and read over plain pyarrow in the same process."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from claim import Claim, interleaved, main, ratio, spread

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import read_fragment, write_fragment


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder:
        yield from _fragments(Path(folder), 50_000 if quick else 500_000, 5 if quick else 15)


def _fragments(folder: Path, num_rows: int, rounds: int) -> Iterator[Claim]:
    """Against what pyarrow does by itself: no page checksums, no digest, no statistics for a catalog; its default dictionaries."""
    store, rows, plain = Store.open(folder / "store"), table(num_rows), str(folder / "plain.parquet")
    fragment = write_fragment(store, "f.parquet", rows)
    writes = {
        "write_fragment": lambda: write_fragment(store, "f.parquet", rows),
        "pq.write_table": lambda: pq.write_table(rows, plain),
        "by hand": lambda: _by_hand(rows, plain),
    }
    found = interleaved(rounds, {name: _cpu(run) for name, run in writes.items()})
    yield Claim("writing a fragment over pq.write_table", ratio(found, "write_fragment", "pq.write_table"), 0.8, detail=spread(found, "s"))
    yield Claim("writing a fragment over the same by hand", ratio(found, "write_fragment", "by hand"), 1.15)
    path = store.locate(fragment.path)
    reads = {
        "read_fragment": lambda: read_fragment(store, fragment),
        "verified": lambda: pq.ParquetFile(path, page_checksum_verification=True).read(use_threads=False),
        "not verified": lambda: pq.ParquetFile(path).read(use_threads=False),
    }
    found = interleaved(rounds, {name: _cpu(run) for name, run in reads.items()})
    yield Claim(
        "reading a fragment over pyarrow, checksums verified", ratio(found, "read_fragment", "verified"), 1.1, detail=spread(found, "s")
    )
    yield Claim("reading a fragment over pyarrow, not verified", ratio(found, "read_fragment", "not verified"), 1.4)


def _by_hand(rows: pa.Table, path: str) -> None:
    """The same file as a person would get it: tuned options, then the file read back for its digest."""
    text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    pq.write_table(rows, path, compression="lz4", use_dictionary=text, write_page_checksum=True, row_group_size=131_072)  # pyright: ignore[reportArgumentType]
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
        hashlib.file_digest(stream, "sha256").hexdigest()


def table(num_rows: int) -> pa.Table:
    """Twelve columns: six floats, three integers and times, two strings, a flag."""
    rng = np.random.default_rng(0)
    floats = {f"x{i}": rng.normal(size=num_rows) for i in range(5)}
    return pa.table(
        {
            **floats,
            "x5": rng.normal(size=num_rows).astype("float32"),
            "id": rng.integers(0, 10**6, num_rows),
            "small": rng.integers(0, 100, num_rows).astype("int32"),
            "carrier": rng.choice([f"c{i}" for i in range(40)], num_rows),
            "airport": rng.choice([f"airport{i}" for i in range(3000)], num_rows),
            "at": pa.array(rng.integers(0, 10**15, num_rows), pa.timestamp("us")),
            "flag": rng.random(num_rows) > 0.5,
        }
    )


def _cpu(run: Callable[[], object]) -> Callable[[], float]:
    def measured() -> float:
        began = time.process_time()
        run()
        return time.process_time() - began

    return measured


if __name__ == "__main__":
    sys.exit(main(measure))
