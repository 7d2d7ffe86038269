import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import StoreError
from raypipe.data.fragment.positions import read_positions, without, write_deletes


def test_positions_are_read_back_as_they_were_written(store):
    positions = np.array([0, 7, 2**40])
    made = write_deletes(store, "d/deletes.parquet", "d/part.parquet", positions)
    assert (made.num_rows, made.path) == (3, "d/deletes.parquet")
    assert read_positions(store, made).tolist() == positions.tolist()
    assert read_positions(store, None).tolist() == []


def test_the_file_is_what_ducklake_says(store):
    made = write_deletes(store, "deletes.parquet", "part.parquet", np.array([1, 2]))
    file = pq.ParquetFile(store.local(made.path))
    assert file.read().to_pydict() == {"file_path": ["part.parquet"] * 2, "pos": [1, 2]}
    assert [(c.name, file.schema_arrow.field(c.name).metadata[b"PARQUET:field_id"]) for c in file.schema] == [
        ("file_path", b"2147483646"), ("pos", b"2147483645"),
    ]  # fmt: skip
    assert made.footer_bytes == int.from_bytes(store.read(made.path)[-8:-4], "little")


def test_a_million_scattered_positions_are_small(store):
    positions = np.sort(np.random.default_rng(0).choice(50_000_000, 1_000_000, replace=False))
    assert write_deletes(store, "deletes.parquet", "part.parquet", positions).size < 1_500_000


def test_a_delete_file_that_is_gone_torn_or_changed_is_named(store):
    made = write_deletes(store, "deletes.parquet", "part.parquet", np.arange(0, 3_000, 3))
    path, whole = store.local(made.path), store.read(made.path)
    path.write_bytes(whole[:-1])
    with pytest.raises(
        StoreError, match=r"deletes\.parquet: the bytes in the store are not what was recorded .* which rows of a table are del"
    ):
        read_positions(store, made)
    for place in range(0, made.size, 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreError, match=r"deletes\.parquet: "):
            read_positions(store, made)
    path.unlink()
    with pytest.raises(StoreError, match=r"deletes\.parquet: not in the store"):
        read_positions(store, made)


def test_rows_without_the_deleted_ones():
    rows = pa.table({"x": range(10), "l": pa.array([[i] for i in range(10)], pa.list_view(pa.int8()))})
    assert without(rows, np.array([0, 3, 9]))["x"].to_pylist() == [1, 2, 4, 5, 6, 7, 8]
    assert without(rows, np.array([103, 110]), first=100)["x"].to_pylist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert without(rows, np.array([5]), first=100) is rows
    assert without(rows, np.arange(10)).num_rows == 0
    assert without(rows.select([]), np.array([1, 2])).num_rows == 8
