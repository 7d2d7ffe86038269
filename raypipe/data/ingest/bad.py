"""What could not be read, as rows: a task hands them back, and `quarantine.py` puts them into a table."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from raypipe.data.source.piece import Bad

COLUMNS = pa.schema([("position", pa.string()), ("reason", pa.string()), ("value", pa.binary())])
"""`position`: the file, or `orders/3 offset 17`; `value`: a record's bytes, where it has some and is no file."""


def rows_of(bad: Sequence[Bad]) -> pa.Table:
    columns = [[b.position for b in bad], [b.reason for b in bad], [b.value for b in bad]]
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, COLUMNS, strict=True)], schema=COLUMNS)
