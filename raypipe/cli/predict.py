"""predict: a model's answers to the rows of a file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from raypipe.core.errors import ConfigError, DataError
from raypipe.pipeline.reach import model

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_SHOWN = 10


def predict(options: argparse.Namespace) -> int:
    """Adds `prediction` and `probability` to the rows and writes them, or shows the first ones."""
    bundle = model(options.model)
    rows = _read(Path(options.input))
    answers = bundle.predict(rows)
    for name in answers.column_names:
        rows = rows.append_column(name, answers.column(name))
    if options.output:
        _write(rows, Path(options.output))
        print(f"{rows.num_rows:,} rows with predictions written to {options.output}")
    elif options.json:
        print(json.dumps(answers.to_pylist()))
    else:
        _print(rows)
    return 0


def _read(path: Path) -> pa.Table:
    import pyarrow as pa

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file.")
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return pq.read_table(path, page_checksum_verification=True)
        if path.suffix == ".csv":
            from pyarrow import csv

            return csv.read_csv(path)
        if path.suffix in (".json", ".jsonl"):
            from pyarrow import json as arrow_json

            return arrow_json.read_json(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    raise ConfigError(f"{path}: expected a .parquet, .csv, .json or .jsonl file.")


def _write(rows: pa.Table, path: Path) -> None:
    if path.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"{path}: expected a .parquet or .csv file to write.")
    # Written beside and renamed: nobody reads half a file, and a failed write leaves the old one.
    beside = path.with_name(f".{path.name}.part")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(rows, beside, write_page_checksum=True)
    else:
        from pyarrow import csv

        csv.write_csv(rows, beside)
    beside.rename(path)


def _print(rows: pa.Table) -> None:
    import polars as pl

    print(pl.from_arrow(rows.slice(0, ROWS_SHOWN)))
    if rows.num_rows > ROWS_SHOWN:
        print(f"{rows.num_rows:,} rows; -o FILE writes them all")
