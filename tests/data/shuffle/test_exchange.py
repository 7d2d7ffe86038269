"""Rows dealt to buckets: all come back, in order, with their types; bytes that are not those that were written are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import StoreError
from raypipe.core.store import Store
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.shuffle import exchange
from raypipe.data.shuffle.exchange import clear, collect, deal, num_pieces, partitions, pieces, runs

ROWS = pa.table(
    {
        "x": range(10),
        "text": pa.array(["a", None] * 5).dictionary_encode(),
        "list": [[i] for i in range(10)],
        "views": pa.array([f"view {i}" for i in range(10)], pa.string_view()),
        "half": pa.array(np.arange(10, dtype=np.float16)),
    }
)
BUCKETS = np.array([2, 0, 2, 0, 1, 2, 0, 0, 2, 1], np.uint16)


def test_every_bucket_has_its_rows_in_order(store: Store):
    dealt = [deal(store, f"x/{i}", 4, [(ROWS, BUCKETS), (ROWS.slice(0, 3), BUCKETS[:3])]) for i in range(2)]
    found = [collect(store, [part.of(bucket, bucket + 1) for part in dealt]) for bucket in range(4)]
    assert [rows["x"].to_pylist() if rows else None for rows in found] == [
        [1, 3, 6, 7, 1] * 2,
        [4, 9] * 2,
        [0, 2, 5, 8, 0, 2] * 2,
        None,
    ]
    assert found[0] is not None
    assert found[0].schema.equals(ROWS.schema)
    both = collect(store, [part.of(0, 2) for part in dealt])
    assert both is not None
    assert both["x"].to_pylist() == [1, 3, 6, 7, 4, 9, 1] * 2
    assert dealt[0].num_rows.tolist() == [[4, 2, 4, 0], [1, 0, 2, 0]]
    clear(store, dealt)
    assert list(store.files()) == []


@pytest.mark.parametrize("change", ["flip", "cut"])
def test_bytes_that_are_others_are_told(store: Store, change: str):
    dealt = deal(store, "x/0", 4, [(ROWS, BUCKETS)])
    path = Path(store.locate("x/0"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data if change == "flip" else data[: len(data) // 2])
    with pytest.raises(StoreError, match="x/0: rows in exchange"):
        list(runs(store, dealt))
    path.unlink()
    with pytest.raises(StoreError, match="x/0: rows in exchange cannot be read back"):
        list(runs(store, dealt))


def test_a_fragment_is_read_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exchange, "PIECE_ROWS", 3)
    fragment = write_fragment(store, "t/0.parquet", ROWS)
    found = list(pieces(store, fragment, ["x"]))
    assert [piece["x"].to_pylist() for piece in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert num_pieces(fragment) == 4


def test_neighbouring_buckets_are_put_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exchange, "PARTITION_BYTES", 100)
    assert partitions(np.array([60, 40, 1, 0, 200, 0, 0])) == [(0, 2), (2, 4), (4, 7)]
    assert partitions(np.array([0])) == [(0, 1)]
