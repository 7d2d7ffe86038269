"""Rows into a file, or the first of them into the terminal."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from raypipe.cli.terminal import console
from raypipe.core.errors import ConfigError
from raypipe.data.types import is_number, type_name


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
    width = max(console().width, 40)
    for text in _drawn(rows.slice(0, limit), width):
        print(text)
    if rows.num_rows > limit:
        print(f"{rows.num_rows:,} rows; -o FILE writes them all")
    return 0


LONGEST = 60
"""Characters of a value that are shown."""


def _drawn(rows: pa.Table, width: int) -> Iterator[str]:
    """A line a row; where the columns are too many for that, a line a column, and as many rows beside each other as there is room for."""
    import polars as pl

    columns = [(name, [_text(value) for value in rows.column(place).to_pylist()]) for place, name in enumerate(rows.column_names)]
    wide = {"tbl_cols": -1, "tbl_rows": -1, "tbl_width_chars": width, "fmt_str_lengths": LONGEST, "tbl_hide_dataframe_shape": True}
    with pl.Config(**wide, tbl_hide_column_data_types=True):
        if sum(_width(name, texts) for name, texts in columns) < width:
            as_text = {name: texts for (name, texts), field in zip(columns, rows.schema, strict=True) if not is_number(field.type)}
            yield str(pl.DataFrame({name: as_text.get(name, rows.column(name).to_pylist()) for name in rows.column_names}))
            return
        names = [f"{name} {type_name(field.type)}" for (name, _), field in zip(columns, rows.schema, strict=True)]
        first, start = _width("column", names), 0
        while start < max(rows.num_rows, 1):
            end, used = start, first
            while end < rows.num_rows and (end == start or used + _width("", [texts[end] for _, texts in columns]) < width):
                used += _width("", [texts[end] for _, texts in columns])
                end += 1
            beside = {f"row {place + 1:,}": [texts[place] for _, texts in columns] for place in range(start, end)}
            yield str(pl.DataFrame({"column": names, **beside}))
            start = max(end, start + 1)


def _width(head: str, texts: Sequence[str]) -> int:
    return max(len(head), *(len(text) for text in texts), 0) + 3


def _text(value: Any) -> str:
    text = "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)[: LONGEST + 1]
    # What comes out of the data may not steer the terminal.
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
