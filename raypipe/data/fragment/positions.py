"""The deleted rows of a fragment: their positions in the file, kept beside it as a DuckLake delete file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.core.artifact import File
from raypipe.core.errors import StoreError
from raypipe.data.fragment.sieve import kept
from raypipe.data.fragment.sink import Sink

if TYPE_CHECKING:
    from raypipe.core.store import Store

# The field ids are DuckLake's.
_SCHEMA = pa.schema(
    [
        pa.field("file_path", pa.string(), metadata={b"PARQUET:field_id": b"2147483646"}),
        pa.field("pos", pa.int64(), metadata={b"PARQUET:field_id": b"2147483645"}),
    ]
)


@dataclass(frozen=True)
class Deletes:
    """A delete file: all positions of one fragment that are deleted, those of earlier delete files included."""

    path: str
    """Relative to the store's root."""
    num_rows: int
    """How many rows it deletes."""
    size: int
    """Bytes."""
    sha256: str
    footer_bytes: int = 0
    id: int | None = None
    """Its number in the catalog, once it is committed."""


def write_deletes(store: Store, path: str, fragment_path: str, positions: np.ndarray) -> Deletes:
    """Writes the positions (int64, ascending, from 0) durably; they are all that is deleted of that fragment, and are not none."""
    assert len(positions), "a delete file of no rows says nothing"
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(positions), np.int8)), pa.array([fragment_path]))
    table = pa.Table.from_arrays([names.cast(pa.string()), pa.array(positions, pa.int64())], schema=_SCHEMA)
    with store.create(path) as writer:
        sink = Sink(writer)
        settings: Any = {"compression": "lz4", "use_dictionary": ["file_path"], "column_encoding": {"pos": "DELTA_BINARY_PACKED"}}
        pq.write_table(table, cast(Any, sink), write_page_checksum=True, store_schema=False, **settings)
    return Deletes(path, len(positions), writer.file.size, writer.file.sha256, sink.footer_bytes())


def read_positions(store: Store, deletes: Deletes | None) -> np.ndarray:
    """The positions that are deleted, int64, ascending. StoreError where the file is not, bit for bit, what was written."""
    if deletes is None:
        return np.empty(0, np.int64)
    try:
        data = store.read(File(deletes.path, deletes.size, deletes.sha256))
    except StoreError as error:
        raise StoreError(f"{error}. It says which rows of a table are deleted: without it the table can only be restored.") from None
    return pq.ParquetFile(pa.BufferReader(data)).read(["pos"], use_threads=False).column("pos").to_numpy()


def without(table: pa.Table, positions: np.ndarray, first: int = 0) -> pa.Table:
    """The rows of `table`, which are those of a fragment from `first` on, that are not at a deleted position."""
    low, high = np.searchsorted(positions, (first, first + table.num_rows))
    if low == high:
        return table
    here = positions[low:high] - first
    mask = np.ones(table.num_rows, dtype=bool)
    mask[here] = False
    return kept(table, mask)
