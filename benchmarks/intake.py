"""The intake of a file of 500,000 rows: read, contract, fragment with checksums and digest, fsync; CPU seconds over a plain script's.

The script reads the file, counts the breaches of the same rules with Arrow and writes Parquet with pyarrow's defaults: no page checksums,
no digest, no fsync.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from claim import Claim, interleaved, main, ratio, spread

from raypipe.core.store import Store
from raypipe.data.contract.contract import Column, Contract
from raypipe.data.fragment.conform import numbered
from raypipe.data.ingest.intake import Intake, Numbered
from raypipe.data.lake.target import Target
from raypipe.data.source.files import FilePiece, list_files
from raypipe.data.source.parquet import Parquet

compute: Any = pyarrow.compute
NUMBERS = [f"x{i}" for i in range(10)]
CONTRACT = Contract(
    {
        **{name: Column("float64", nulls=False, min=-1e6, max=1e6) for name in NUMBERS},
        "carrier": Column("string", nulls=False, pattern="[A-Z0-9]{2}"),
        "month": Column("int64", nulls=False, min=1, max=12),
    }
)


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "rows.parquet", 50_000 if quick else 500_000)
        source, store = Parquet("rows.parquet"), Store.open(folder / "store")
        (file,) = list_files(source, folder, {})
        kernel = Intake(store, "attempt", source, Target(numbered(pa.schema(list(CONTRACT.types().items())))), CONTRACT)
        item = Numbered(0, FilePiece(file, str(folder / file.path)))
        assert kernel(item).num_kept == file_rows(folder)
        measures = {"intake": lambda: cpu_s(lambda: kernel(item)), "script": lambda: cpu_s(lambda: script(folder))}
        found = interleaved(3 if quick else 11, measures)
    yield Claim("intake of a file over a plain script", ratio(found, "intake", "script"), 1.1, detail=spread(found, "s"))


def write(path: Path, num_rows: int) -> None:
    rng = np.random.default_rng(0)
    numbers = {name: rng.normal(i, 3, num_rows) for i, name in enumerate(NUMBERS)}
    carriers = rng.choice(["AA", "UA", "DL", "B6", "EV", "MQ", "WN", "US"], num_rows)
    pq.write_table(pa.table({**numbers, "carrier": carriers, "month": rng.integers(1, 13, num_rows)}), path, write_page_checksum=True)


def file_rows(folder: Path) -> int:
    return pq.read_metadata(folder / "rows.parquet").num_rows


def script(folder: Path) -> int:
    rows = pq.read_table(folder / "rows.parquet", use_threads=False)
    breaches = 0
    for name, column in CONTRACT.columns.items():
        values = rows[name]
        breaches += values.null_count
        if column.pattern:
            breaches += compute.sum(compute.invert(compute.match_substring_regex(values, f"^({column.pattern})$"))).as_py()
        else:
            breaches += compute.sum(compute.less(values, column.min)).as_py() + compute.sum(compute.greater(values, column.max)).as_py()
    pq.write_table(rows, folder / "plain.parquet")
    return breaches


def cpu_s(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main(measure))
