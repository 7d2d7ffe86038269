"""A sieve: the rows of a table where a mask is true."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyarrow as pa

FEW = 16_384
"""Rows of a chunk from which on handing it to Polars pays."""
_AS_INTEGERS = {32: pa.int32(), 64: pa.int64()}


def kept(table: pa.Table, mask: np.ndarray) -> pa.Table:
    """The rows where `mask` is true, of columns of any type."""
    if not table.num_columns:
        return pa.table({"none": pa.nulls(int(mask.sum()))}).select([])
    plain = [name for name, type_ in zip(table.column_names, table.schema.types, strict=True) if _is_plain(type_)]
    others = [name for name in table.column_names if name not in plain]
    # In two goes, with Polars or without: how columns of text are cut into chunks shows in the bytes of a file.
    found = [_numbers_kept(table.select(plain), mask), _filtered(table.select(others), mask)]
    columns = {name: column for some in found for name, column in zip(some.column_names, some.columns, strict=True)}
    return pa.Table.from_arrays([columns[name] for name in table.column_names], schema=table.schema)


def _is_plain(type_: Any) -> bool:
    """Numbers, booleans and times: what Polars has as they are, or as integers."""
    if not pa.types.is_primitive(type_) or pa.types.is_float16(type_):
        return False
    return type_.bit_width <= 64


def _numbers_kept(table: pa.Table, mask: np.ndarray) -> pa.Table:
    """By Polars where it is at hand, in a third of Arrow's time; its import costs as much as 100 million values."""
    long = table.num_columns and table.num_rows >= FEW * max(column.num_chunks for column in table.columns)
    if not long or "polars" not in sys.modules:
        return _filtered(table, mask)
    return pa.Table.from_arrays([_by_polars(column, mask) for column in table.columns], schema=table.schema)


def _by_polars(column: pa.ChunkedArray, mask: np.ndarray) -> pa.ChunkedArray:
    import polars as pl

    made, first = [], 0
    for chunk in column.chunks:
        as_number: Any = chunk.view(_AS_INTEGERS[chunk.type.bit_width]) if pa.types.is_temporal(chunk.type) else chunk
        here: Any = pl.from_arrow(as_number)
        made.append(here.filter(pl.Series(mask[first : first + len(chunk)])).to_arrow().view(chunk.type))
        first += len(chunk)
    return pa.chunked_array(made, column.type)


def _filtered(table: pa.Table, mask: np.ndarray) -> pa.Table:
    try:
        return table.filter(pa.array(mask)) if table.num_columns else table
    except pa.ArrowNotImplementedError:  # views of lists cannot be filtered, but everything can be sliced
        edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
        return pa.concat_tables([table.slice(start, end - start) for start, end in edges.reshape(-1, 2)] or [table.slice(0, 0)])
