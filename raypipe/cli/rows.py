"""Rows into a file, or the first of them into the terminal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pyarrow as pa

from raypipe.cli.terminal import console
from raypipe.core.errors import ConfigError


def write_rows(rows: pa.Table, path: Path) -> None:
    """A Parquet or CSV file, by its name; ConfigError for another. It appears whole or not at all."""
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


def print_rows(options: argparse.Namespace, rows: pa.Table, limit: int) -> int:
    """The first `limit` of them, and how many more there are; with --json a list of objects."""
    if options.json:
        print(json.dumps(rows.slice(0, limit).to_pylist(), default=str))
        return 0
    import polars as pl

    width = max(console().width, 40)
    with pl.Config(tbl_rows=limit, tbl_cols=-1, tbl_width_chars=width, tbl_hide_dataframe_shape=True):
        print(pl.from_arrow(rows.slice(0, limit)))
    if rows.num_rows > limit:
        print(f"{rows.num_rows:,} rows; -o FILE writes them all")
    return 0
