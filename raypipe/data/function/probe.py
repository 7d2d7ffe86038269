"""Whether a function lets alone what it is given, and gives the same for the same: tried on a few rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.data.function.fault import FunctionError, Rows

if TYPE_CHECKING:
    from raypipe.data.function.callee import Callee

PROBED = 1_000
"""Rows that are compared: what a function does to its input it does to the first of it."""


@contextmanager
def unchanged(title: str, table: pa.Table) -> Iterator[None]:
    """FunctionError where the first rows of `table` are not, behind the block, what they were before it.

    Arrow's memory is read-only for whoever asks it; torch, ctypes and their like do not ask.
    """
    probe = table.slice(0, PROBED)
    before = _digest(probe)
    yield
    if _digest(probe) != before:
        raise FunctionError(
            f"{title} changes the rows that it is given, in memory that others read too: it must copy what it changes",
            Rows.all_of(probe),
        )


def _digest(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return hashlib.blake2b(sink.getvalue()).digest()


def unsteady(callee: Callee, rows: pa.Table) -> str:
    """How what it gives for the same rows differs between two calls: `it gave 3 rows, then 4`, `column 'x' of row 1 was 0.3, then 0.7`;
    empty where it does not."""
    first, second = callee(rows), callee(rows)
    if first.num_rows != second.num_rows:
        return f"it gave {first.num_rows:,} rows, then {second.num_rows:,}"
    for name in first.column_names:
        if name not in second.column_names:
            return f"it gave column '{name}', then none of that name"
        # repr: NaN equals itself, and a float's repr is exact.
        values = [list(map(repr, table.column(name).to_pylist())) for table in (first, second)]
        for row, (one, other) in enumerate(zip(*values, strict=True), 1):
            if one != other:
                return f"column '{name}' of row {row} was {one}, then {other}"
    return ""
