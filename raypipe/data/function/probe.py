"""Whether a function leaves alone what it is given, tried on a few rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from raypipe.data.function.fault import FunctionError, Rows

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
            Rows(0, probe.num_rows),
        )


def _digest(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return hashlib.blake2b(sink.getvalue()).digest()
