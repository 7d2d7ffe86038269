"""predict: a model's answers to the rows of a file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from raypipe.cli.rows import print_rows, write_rows
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
        write_rows(rows, Path(options.output))
        print(f"{rows.num_rows:,} rows with predictions written to {options.output}")
    elif options.json:
        print(json.dumps(answers.to_pylist()))
    else:
        print_rows(options, rows, ROWS_SHOWN)
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
