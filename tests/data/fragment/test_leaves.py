"""Values of lists are counted as Parquet counts them, so that one that is lost is missed."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.data.fragment.leaves import num_values, refuse_lost

MANY = pa.list_(pa.int64())
COLUMNS = {
    "lists": pa.array([[1, 2], [], None, [3], [None]], MANY),
    "deep": pa.array([[[1], []], None, [], [None, [2, 3]], [[4]]], pa.list_(MANY)),
    "fixed": pa.array([[1, 2], None, [3, 4], [5, 6], [7, 8]], pa.list_(pa.int64(), 2)),
    "map": pa.array([[("a", 1), ("b", None)], [], None, [("c", 3)], []], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"l": [1, 2], "n": 1}, None, {"l": [], "n": None}, {"l": None, "n": 4}, {"l": [3], "n": 5}]),
    "structs": pa.array([[{"a": 1, "b": ["x", "y"]}], [], None, [{"a": None, "b": []}, None], [{"a": 1, "b": None}]]),
    "large": pa.array([["a"], ["b", "c"], [], None, []], pa.large_list(pa.string())),
    "tensor": pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int8(), [2]), pa.array([[1, 2]] * 5, pa.list_(pa.int8(), 2))),
    "coded": pa.array(["a", "b", "a", None, "a"]).dictionary_encode(),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_as_parquet_counts(name, tmp_path):
    table = pa.table({"before": range(5), name: COLUMNS[name], "more": COLUMNS["lists"]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        for groups in ([0], [1, 2], [0, 1, 2]):
            refuse_lost(file, file.read_row_groups(groups), groups)
            refuse_lost(file, file.read_row_groups(groups, columns=["more"]), groups)
        fewer = file.read().slice(0, 4)
        with pytest.raises(pa.ArrowInvalid, match=r"of \d+ values of .* are left"):
            refuse_lost(file, fewer, [0, 1, 2])


def test_a_slice_is_counted_by_itself():
    assert [list(num_values(COLUMNS["map"].slice(1, 3))), list(num_values(COLUMNS["struct"].slice(2)))] == [[3, 3], [3, 3]]
