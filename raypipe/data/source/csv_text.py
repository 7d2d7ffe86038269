"""CSV text read into the types that are wanted; what cannot be is told by column, value and line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from raypipe.core.errors import DataError, nearest
from raypipe.data.source.location import Location
from raypipe.data.types import is_text, parse_type, type_name

BLOCK_BYTES = 8 << 20
"""Bytes of text that make a piece."""


def read(
    file: Location, types: Mapping[str, pa.DataType], columns: Sequence[str] | None, null_values: Sequence[str], delimiter: str
) -> Iterator[pa.Table]:
    """The rows in pieces, the first of which has none. Columns without a type in `types` have the one that their first 8 MB suggest.

    DataError with the line for a value that is not of its column's type, for a row of another number of values, for a quote that is never
    closed, for a column of the header that is there twice.
    """
    names = _header(file, delimiter)
    missing = [f"no column '{name}'.{nearest(name, names)}" for name in columns or () if name not in names]
    twice = [f"column '{name}' is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if missing or twice:
        raise DataError("\n".join([*missing, *twice]))
    last: pa.Table | None = None
    try:
        for table in _tables(file, types, columns, null_values, delimiter):
            last = table if table.num_rows else last
            yield table
    except pa.ArrowInvalid as error:
        raise DataError(_told(str(error), file, names, delimiter)) from None
    if last is not None and _ends_in_an_open_quote(file, last):
        raise DataError("a quote that opens in the last row is never closed: the file is cut off, or a quote is missing")


def _tables(file: Location, types: Mapping[str, pa.DataType], columns: Any, null_values: Any, delimiter: str) -> Iterator[pa.Table]:
    from pyarrow import csv as arrow_csv

    convert = arrow_csv.ConvertOptions(
        column_types=dict(types), null_values=list(null_values), strings_can_be_null=True, include_columns=list(columns or ())
    )
    parse = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    # One thread: only then do errors say the row.
    with arrow_csv.open_csv(file.stream(), arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES), parse, convert) as reader:
        yield reader.schema.empty_table()
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _header(file: Location, delimiter: str) -> list[str]:
    return next((row for row in csv.reader(_text(file), delimiter=delimiter) if row), [])


def _told(error: str, file: Location, names: Sequence[str], delimiter: str) -> str:
    """Arrow's words, `In CSV column #0: Row #4: CSV conversion error to int64: invalid value 'zz'`, with the column's name and the line."""
    row = re.search(r"Row #(\d+)", error)
    line = f"line {_line(file, int(row[1]), delimiter)}: " if row else ""
    if found := re.search(r"In CSV column #(\d+):.*CSV conversion error to (.+?): (.*)", error, re.DOTALL):
        value = re.search(r"(?:invalid value|zone offset in) '(.*?)'", found[3], re.DOTALL)
        said = f"'{value[1]}' is no {_type(found[2])}" if value else f"{found[3]} ({_type(found[2])} is wanted)"
        hint = ": it has no time zone" if "expected a zone offset" in found[3] else ""
        return f"{line}column '{names[int(found[1])]}': {said}{hint}"
    if found := re.search(r"Expected (\d+) columns, got (\d+)", error):
        return f"{line}{found[2]} values, the header has {found[1]}"
    return f"{line}{error.splitlines()[0]}"


def _type(name: str) -> str:
    return type_name(parse_type(name))


def _line(file: Location, row: int, delimiter: str) -> int:
    """The line on which a row begins: rows may have line breaks in quotes, and empty lines between them."""
    reader = csv.reader(_text(file), delimiter=delimiter)
    begins, number = 1, 0
    for values in reader:
        number += bool(values)
        if number == row:
            return begins
        begins = reader.line_num + 1
    return begins


def _text(file: Location) -> Iterator[str]:
    with io.TextIOWrapper(io.BufferedReader(file.stream()), encoding="utf-8-sig", errors="replace", newline="") as lines:
        yield from lines


def _ends_in_an_open_quote(file: Location, table: pa.Table) -> bool:
    """An open quote takes what follows into its value, line breaks and all."""
    final = table.slice(table.num_rows - 1)
    texts = [final.column(f.name)[0].as_py() or "" for f in final.schema if is_text(f.type)]
    if not any("\n" in text for text in texts):
        return False
    return sum(piece.count(b'"') for piece in file.pieces(BLOCK_BYTES)) % 2 == 1
