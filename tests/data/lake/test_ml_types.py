"""Types of machine learning: bit for bit the same through appends, overwrites, deletions, evolution, compaction and time travel."""

import datetime
import decimal
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pytest

from raypipe.core.errors import DataError
from raypipe.data.fragment.fragment import read_fragment
from raypipe.data.fragment.together import read_batches
from raypipe.data.lake.alter import alter
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.evolve import Alter
from raypipe.data.lake.partition import layout, problems
from raypipe.data.lake.target import target
from raypipe.data.lake.upsert import append, upsert
from raypipe.data.table import TableSchema, fragments, latest, read

pc: Any = pyarrow.compute
D = decimal.Decimal
MOMENT = datetime.datetime(2020, 1, 1, 1, 2, 3, 456_789)


def tensors(type_, shape, values):
    tensor = pa.fixed_shape_tensor(type_, shape)
    return pa.ExtensionArray.from_storage(tensor, pa.array(values, pa.list_(type_, int(np.prod(shape)))))


def uneven():
    """Images of unlike sizes, as Arrow has them: data and shape beside each other."""
    images = [[1, 2, 3], None, [4]]
    return pa.array([None if v is None else {"data": v, "shape": [len(v), 1]} for v in images], pa.struct(
        [("data", pa.list_(pa.uint8())), ("shape", pa.list_(pa.int32(), 2))]
    ))  # fmt: skip


COLUMNS = {
    "id": pa.array([1, 2, 3]),
    "fixed_list": pa.array([[0.5, -0.0], None, [3, float("nan")]], pa.list_(pa.float32(), 2)),
    "embedding": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float16(), 2)),
    "tensor": tensors(pa.float32(), [2, 2], [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]),
    "image": tensors(pa.uint8(), [2, 1, 3], [[0, 255, 1, 2, 3, 4], [1] * 6, [2] * 6]),
    "images": uneven(),
    "bytes": pa.array([b"\x89PNG\x00", None, b""]),
    "large_bytes": pa.array([b"\xff", None, b""], pa.large_binary()),
    "bytes_view": pa.array([b"a longer one than twelve", None, b""], pa.binary_view()),
    "fixed_bytes": pa.array([b"ab", None, b"\x00\x01"], pa.binary(2)),
    "text_view": pa.array(["a longer one than twelve", None, "ü"], pa.string_view()),
    "large_text": pa.array(["a", None, ""], pa.large_string()),
    "float16": pa.array(np.array([1.5, np.nan, -np.inf], np.float16)),
    "uint8": pa.array([0, None, 255], pa.uint8()),
    "uint16": pa.array([0, None, 65_535], pa.uint16()),
    "uint64": pa.array([0, None, 2**64 - 1], pa.uint64()),
    "int8": pa.array([-128, None, 127], pa.int8()),
    "nanoseconds": pa.array([1, None, 2**62], pa.timestamp("ns")),
    "seconds": pa.array([1, None, -5], pa.timestamp("s")),
    "zoned": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", "Europe/Berlin")),
    "zoned_ns": pa.array([1, None, 3], pa.timestamp("ns", "+05:45")),
    "date64": pa.array([86_400_000, None, 0], pa.date64()),
    "time64": pa.array([1, None, 86_399_999_999_999], pa.time64("ns")),
    "time32": pa.array([1, None, 86_399], pa.time32("s")),
    "duration": pa.array([1, None, -3], pa.duration("ns")),
    "duration_s": pa.array([1, None, -3], pa.duration("s")),
    "decimal32": pa.array([D("1.10"), None, D("-2.00")], pa.decimal32(5, 2)),
    "decimal64": pa.array([D("1.10"), None, D("-2.00")], pa.decimal64(15, 2)),
    "decimal128": pa.array([D("1.10"), None, D("-2.00")], pa.decimal128(38, 2)),
    "decimal256": pa.array([D("1.10"), None, D("-2.00")], pa.decimal256(60, 2)),
    "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
    "ordered": pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.uint8()), pa.array(["low", "high"]), ordered=True),
    "of_numbers": pa.array([1.5, None, 2.5]).dictionary_encode().cast(pa.dictionary(pa.int16(), pa.float64())),
    "list_view": pa.array([[1], None, [2, 3]], pa.list_view(pa.int16())),
    "views_inside": pa.array([{"a": [1]}, None, {"a": [2, 3]}], pa.struct([("a", pa.list_view(pa.int8()))])),
    "large_list_view": pa.array([["a"], None, [None]], pa.large_list_view(pa.string())),
    "large_list": pa.array([[1], None, []], pa.large_list(pa.uint8())),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.float16())),
    "deep": pa.array([[{"a": [1]}], None, []], pa.list_(pa.struct([("a", pa.list_(pa.uint8()))]))),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.UUID(int=7).bytes, None, b"1" * 16], pa.binary(16))),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1", None, '{"a":2}'])),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None, 0], pa.int8())),
    "bool": pa.array([True, None, False]),
    "null": pa.nulls(3),
}  # fmt: skip
ROWS = pa.table(COLUMNS)


def put(lake, rows, how=append, *more, **settings):
    def act(work):
        to = target(work.ledger, latest(work.ledger, "t"), rows.schema, **settings)
        return how(work, "t", TableSchema(to.bare), to.write(work.store, work.path, "rows", rows), *more, to)

    return lake.act(act)


def bits(column):
    """Values with their bits: NaN equals itself, and -0.0 is not 0.0."""
    return repr(column.to_pylist()), column.type


def assert_same(found, expected):
    assert found.schema.equals(expected.schema, check_metadata=True)
    for name in expected.column_names:
        assert bits(found[name]) == bits(expected[name]), name


def at(rows, *numbers):
    return pa.concat_tables([rows.slice(number, 1) for number in numbers])


def test_types_survive(lake):
    assert len(COLUMNS) > 40
    first = put(lake, ROWS)
    second = put(lake, ROWS.set_column(0, "id", pa.array([4, 5, 6])))
    both = pa.concat_tables([ROWS, ROWS.set_column(0, "id", pa.array([4, 5, 6]))])
    third = lake.act(lambda work: delete_where(work, "t", "id in (2, 4)"))
    fourth = put(lake, at(ROWS, 1).set_column(0, "id", pa.array([6])), upsert, ["id"])
    fifth = lake.act(lambda work: compact(work, "t"))
    sixth = lake.overwrite(ROWS)
    upserted = pa.concat_tables([at(both, 0, 2, 4), at(ROWS, 1).set_column(0, "id", pa.array([6]))])
    assert len(fragments(lake.ledger, fifth)) == 1
    for table, expected in [
        (first, ROWS), (second, both), (third, at(both, 0, 2, 4, 5)), (fourth, upserted), (fifth, upserted), (sixth, ROWS),
    ]:  # fmt: skip
        assert_same(lake.rows(table), expected)


def test_types_survive_in_pieces_by_columns_and_by_conditions(lake):
    table = put(lake, ROWS)
    parts = fragments(lake.ledger, table)
    assert_same(pa.concat_tables(read_batches(lake.store, parts)), ROWS)
    for name in COLUMNS:
        assert_same(lake.rows(table, [name]), ROWS.select([name]))
    assert_same(read(lake.ledger, lake.store, table, where="id > 1 and id != 2"), at(ROWS, 2))


def test_types_survive_evolution(lake):
    first = put(lake, ROWS)
    names = {name: f"{name}_2" for name in COLUMNS if name != "id"}
    second = lake.act(lambda work: alter(work, "t", Alter(rename=names, add={"x": "float16"}, default={"x": 0.5}, order=["x"])))
    expected = ROWS.rename_columns([names.get(name, name) for name in ROWS.column_names])
    expected = expected.add_column(0, "x", pa.array(np.full(3, 0.5, np.float16)))
    assert_same(lake.rows(second), expected)
    third = put(lake, expected)
    assert_same(lake.rows(third), pa.concat_tables([expected, expected]))
    fourth = lake.act(lambda work: compact(work, "t"))
    assert_same(lake.rows(fourth), pa.concat_tables([expected, expected]))
    assert_same(lake.rows(first), ROWS)


def laid_out(store, rows, *wanted):
    to = target(None, None, rows.schema, layout=layout(*wanted))
    return pa.concat_tables([read_fragment(store, fragment) for fragment in to.write(store, "t", "rows", rows)])


KEYS = ["bool", "uint8", "text_view", "large_text", "zoned", "decimal32", "dictionary", "bucket(2, bytes_view)", "date64"]


@pytest.mark.parametrize("key", KEYS)
def test_types_survive_parting_and_sorting(store, key):
    rows = pa.concat_tables([ROWS, at(ROWS, 2, 1)])
    found = laid_out(store, rows, [key], ["id desc"])
    assert found.schema.equals(rows.schema)
    assert {repr(row) for row in found.to_pylist()} == {repr(row) for row in rows.to_pylist()}
    assert found.num_rows == 5


SORTABLE = [name for name in COLUMNS if not problems(layout([], [name]), ROWS.schema)]


@pytest.mark.parametrize("name", SORTABLE)
def test_types_survive_sorting_by_them(store, name):
    found = laid_out(store, ROWS, [], [f"{name} desc"])
    assert sorted(found["id"].to_pylist()) == [1, 2, 3]
    assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, ROWS.to_pylist()))
    valid = [value is not None for value in found[name].to_pylist()]
    assert valid == sorted(valid, reverse=True)


def test_what_parquet_cannot_hold_is_refused_by_name(lake):
    """Arrow writes no slice of a struct with views of text in it."""
    rows = pa.table({"x": pa.array([{"s": "a"}, {"s": "b"}], pa.struct([("s", pa.string_view())]))}).slice(1)
    with pytest.raises(
        DataError, match=r"Parquet cannot hold this table: Slicing not implemented for StringView\. Columns: x struct<s: string_"
    ):
        put(lake, rows)


def test_run_ends_are_refused_by_name(lake):
    with pytest.raises(DataError, match="run_end_encoded"):
        put(lake, pa.table({"r": pc.run_end_encode(pa.array([1, 1, 2]))}))
