"""Rows that a contract keeps out, each with the file and row that it came from and the reasons. `breaches.py` writes them into a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.data.fragment.conform import taken

OWN = pa.schema([("raypipe.file", pa.string()), ("raypipe.row", pa.int64()), ("raypipe.reasons", pa.list_(pa.string()))])
"""What stands behind the table's own columns; rows are counted from 1."""


@dataclass(frozen=True)
class Place:
    """Where rows come from: a file, and the number of each of them in it, counted from 1."""

    file: str
    rows: Any
    """numpy integers [rows]."""


@dataclass(frozen=True)
class Reason:
    """Why rows are kept out, and the places of those rows, numpy int64, ascending."""

    text: str
    at: Any


def with_reasons(table: pa.Table, place: Place, at: Any, reasons: Sequence[Reason]) -> pa.Table | None:
    """The rows at these places (ascending), with file, row number and every reason that holds for them; None where there are none."""
    import numpy as np

    if not len(at):
        return None
    chosen = [at.searchsorted(r.at[np.isin(r.at, at, assume_unique=True)]) for r in reasons]
    rows = np.concatenate(chosen)
    texts = np.repeat(np.arange(len(reasons)), [len(c) for c in chosen])[np.argsort(rows, kind="stable")]
    offsets = np.zeros(len(at) + 1, dtype=np.int32)
    np.cumsum(np.bincount(rows, minlength=len(at)), out=offsets[1:])
    told = pa.ListArray.from_arrays(pa.array(offsets), pa.array([r.text for r in reasons], pa.string()).take(pa.array(texts)))
    own = [pa.array([place.file] * len(at)), pa.array(place.rows[at], pa.int64()), told]
    found = taken(table, pa.array(at))
    return pa.Table.from_arrays([*found.columns, *own], schema=pa.schema([*found.schema, *OWN]))
