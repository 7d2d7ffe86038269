import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.lake.upsert import append, replace, upsert
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema, fragments

A = pa.table({"id": [1, 2, 3], "v": ["a", "b", "c"]})
B = pa.table({"id": [3, 9], "v": ["C", "i"]})


def put(lake, how, rows, *more):
    return lake.act(lambda work: how(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows), *more))


def test_rows_with_the_same_keys_are_replaced(lake):
    first = put(lake, upsert, A, ["id"])
    assert (first.figures["rows_updated"], first.figures["rows_added"]) == (0, 3)
    second = put(lake, upsert, B, ["id"])
    assert (second.figures["rows_updated"], second.figures["rows_added"]) == (1, 1)
    assert lake.rows(second).to_pydict() == {"id": [1, 2, 3, 9], "v": ["a", "b", "C", "i"]}
    third = put(lake, upsert, pa.table({"id": [1, 9], "v": ["x", "y"]}), ["id"])
    assert lake.rows(third).to_pydict() == {"id": [2, 3, 1, 9], "v": ["b", "C", "x", "y"]}
    assert lake.rows(first).equals(A)
    assert lake.rows(second)["v"].to_pylist() == ["a", "b", "C", "i"]


def test_keys_of_several_columns_match_as_a_whole(lake):
    rows = pa.table({"a": [1, 1, 2, 2], "b": ["x", "y", "x", None], "v": [1, 2, 3, 4]})
    put(lake, append, rows)
    put(lake, upsert, pa.table({"a": [2, 1, 3], "b": ["x", "y", "y"], "v": [30, 20, 50]}), ["a", "b"])
    assert sorted(lake.rows().to_pylist(), key=lambda r: r["v"]) == [
        {"a": 1, "b": "x", "v": 1}, {"a": 2, "b": None, "v": 4}, {"a": 1, "b": "y", "v": 20}, {"a": 2, "b": "x", "v": 30},
        {"a": 3, "b": "y", "v": 50},
    ]  # fmt: skip


def keyed():
    D = decimal.Decimal
    moment = datetime.datetime(2020, 1, 1, 1, 2, 3, 456_789)
    return {
        "int8": pa.array([1, -2, 3], pa.int8()),
        "uint64": pa.array([1, 2**64 - 1, 3], pa.uint64()),
        "string": pa.array(["a", "", "ü"]),
        "large": pa.array(["a", "b", "c"], pa.large_string()),
        "view": pa.array(["a", "b", "c"], pa.string_view()),
        "dictionary": pa.array(["a", "b", "c"]).dictionary_encode(),
        "binary": pa.array([b"a", b"\xff", b""]),
        "fixed": pa.array([b"ab", b"cd", b"ef"], pa.binary(2)),
        "date": pa.array([1, 2, 3], pa.date32()),
        "ns": pa.array([1, 2, 3], pa.timestamp("ns")),
        "tz": pa.array([moment, moment + datetime.timedelta(1), moment - datetime.timedelta(1)], pa.timestamp("us", "Europe/Berlin")),
        "time": pa.array([1, 2, 3], pa.time64("us")),
        "decimal": pa.array([D("1.10"), D("-2.00"), D("9")], pa.decimal128(10, 2)),
        "bool": pa.array([True, False, True]),
    }


@pytest.mark.parametrize("name", keyed())
@pytest.mark.parametrize("own_url", ["sqlite"], indirect=True)
def test_every_type_of_key(lake, name):
    column = keyed()[name]
    rows = pa.table({"k": column.slice(0, 2), "v": [1, 2]})
    put(lake, upsert, rows, ["k"])
    put(lake, upsert, pa.table({"k": column.slice(1, 1), "v": [20]}), ["k"])
    assert lake.rows()["v"].to_pylist() == [1, 20]
    assert lake.rows()["k"].to_pylist() == column.slice(0, 2).to_pylist()


def test_many_keys_are_found_by_their_range(lake):
    for start in (0, 10_000, 20_000):
        put(lake, append, pa.table({"id": range(start, start + 5_000), "v": ["old"] * 5_000}))
    keys = list(range(10_000, 20_000, 4))
    found = put(lake, upsert, pa.table({"id": keys, "v": ["new"] * len(keys)}), ["id"])
    assert found.figures["rows_updated"] == 1_250
    assert "1 of 3 files may hold such rows" in lake.told
    assert lake.rows().num_rows == 15_000 + len(keys) - 1_250


def test_keys_that_cannot_be_are_told(lake):
    put(
        lake,
        append,
        pa.table({"id": [1], "f": [1.0], "v": [None]}, schema=pa.schema([("id", pa.int64()), ("f", pa.float64()), ("v", pa.string())])),
    )
    rows = pa.table({"id": [7, 7, 8, 8, None], "f": [1.0] * 5, "v": ["a"] * 5})
    with pytest.raises(DataError, match=r"table t: upsert by key: a key must not be null: 'id' in 1 rows"):
        put(lake, upsert, rows, ["id"])
    with pytest.raises(DataError, match=r"2 keys come more than once among the new rows, such as id = 7; id = 8\. Keep one row of each"):
        put(lake, upsert, rows.slice(0, 4), ["id"])
    with pytest.raises(DataError, match=r"upsert by key: there is no column 'idd'"):
        put(lake, upsert, rows, ["idd"])
    with pytest.raises(DataError, match=r"column 'f' is float64, which is no key"):
        put(lake, upsert, rows, ["f"])
    with pytest.raises(DataError, match="names no column"):
        put(lake, upsert, rows, [])
    assert len(lake.snapshots()) == 1


def test_a_partition_is_replaced_as_a_whole(lake):
    day = pa.array([1, 1, 2, None], pa.date32())
    put(lake, append, pa.table({"day": day, "v": [1, 2, 3, 4]}))
    new = pa.table({"day": pa.array([1, None, 3], pa.date32()), "v": [10, 40, 50]})
    found = put(lake, replace, new, ["day"])
    assert (found.figures["rows_deleted"], found.figures["rows_added"]) == (3, 3)
    assert lake.rows()["v"].to_pylist() == [3, 10, 40, 50]
    assert lake.newest().mode == "replace"


def test_a_partition_that_is_a_file_of_its_own_ends_without_a_delete_file(lake):
    put(lake, append, pa.table({"day": [1, 1], "v": [1, 2]}))
    put(lake, append, pa.table({"day": [2, 2], "v": [3, 4]}))
    table = put(lake, replace, pa.table({"day": [1], "v": [9]}), ["day"])
    assert lake.rows(table)["v"].to_pylist() == [3, 4, 9]
    assert [f.deletes for f in fragments(lake.ledger, table)] == [None, None]


def test_other_columns_are_refused(lake):
    put(lake, append, A)
    with pytest.raises(DataError, match="rows with other columns or types than snapshot 1 has"):
        put(lake, upsert, pa.table({"id": [1], "w": [1.0]}), ["id"])


def test_exotic_columns_survive_the_deletion_of_rows(lake):
    tensor = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.uint8(), [2]), pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.uint8(), 2))
    )
    rows = pa.table(
        {
            "id": [1, 2, 3],
            "tensor": tensor,
            "half": pa.array(np.array([1, 2, 3], np.float16)),
            "view": pa.array(["a", "b", "c"], pa.string_view()),
            "list_view": pa.array([[1], [2], [3]], pa.list_view(pa.int8())),
            "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
            "ns": pa.array([1, 2, 3], pa.timestamp("ns")),
            "struct": pa.array([{"a": 1}, None, {"a": 3}]),
            "none": pa.nulls(3),
        }
    )
    put(lake, append, rows)
    put(lake, upsert, rows.slice(1, 1), ["id"])
    assert lake.rows().equals(pa.concat_tables([rows.slice(0, 1), rows.slice(2, 1), rows.slice(1, 1)]))
    assert lake.rows(columns=["half"])["half"].to_pylist() == [1, 3, 2]
