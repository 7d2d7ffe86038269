import datetime
import decimal
import json
import math
import os
import subprocess
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError, StoreError
from raypipe.core.store import Store
from raypipe.data.fragment.conform import numbered
from raypipe.data.fragment.fragment import read_fragment, read_row_groups, write_fragment, write_pieces
from raypipe.data.fragment.positions import write_deletes
from raypipe.data.fragment.spans import read_spans

D = decimal.Decimal


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


EXACT = {
    "u8": pa.array([1, None, 255], pa.uint8()),
    "u64": pa.array([1, None, 2**64 - 1], pa.uint64()),
    "f16": pa.array(np.array([1, 2, 3], np.float16)),
    "f32": pa.array([1.5, None, -2.5], pa.float32()),
    "ns": pa.array([1, 2, None], pa.timestamp("ns")),
    "s": pa.array([1, 2, None], pa.timestamp("s")),
    "tz": pa.array([1, 2, None], pa.timestamp("us", "Europe/Berlin")),
    "date32": pa.array([1, 2, None], pa.date32()),
    "date64": pa.array([86_400_000, 172_800_000, None], pa.date64()),
    "time32": pa.array([1, 2, None], pa.time32("s")),
    "time64": pa.array([1, 2, None], pa.time64("ns")),
    "duration": pa.array([1, 2, None], pa.duration("ns")),
    "fixed_list": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),
    "fixed_bytes_list": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.uint8(), 2)),
    "list": pa.array([[1], None, []], pa.list_(pa.int16())),
    "large_list": pa.array([["a"], None, []], pa.large_list(pa.string())),
    "list_view": pa.array([[1], None, [2]], pa.list_view(pa.int32())),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": 2, "b": None}], pa.struct([("a", pa.int8()), ("b", pa.string())])),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int32())),
    "deep": pa.array([[{"a": [1]}], None, []], pa.list_(pa.struct([("a", pa.list_(pa.uint8()))]))),
    "string": pa.array(["a", None, "ü"]),
    "large_string": pa.array(["a", None, "b"], pa.large_string()),
    "string_view": pa.array(["a", None, "b"], pa.string_view()),
    "binary": pa.array([b"a", None, b"\xff"]),
    "fixed_binary": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
    "dictionary8": pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), ["x", "y"], ordered=True),
    "dictionary_numbers": pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int16()), pa.array([10, 20])),
    "bool": pa.array([True, None, False]),
    "null": pa.nulls(3),
    "decimal": pa.array([D("1.10"), None, D("-2.00")], pa.decimal128(10, 2)),
    "decimal32": pa.array([D("1.10"), None, D("-2.00")], pa.decimal32(5, 2)),
    "tensor": pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.uint8(), [2, 2]), pa.array([[1, 2, 3, 4], [0, 0, 0, 0], [5, 6, 7, 8]], pa.list_(pa.uint8(), 4))
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_every_type_comes_back_exactly(store, name):
    table = pa.table({"before": [1, 2, 3], name: EXACT[name], "after": ["x", "y", "z"]})
    fragment = write_fragment(store, "t/0.parquet", table)
    back = read_fragment(store, fragment)
    assert back.schema.equals(table.schema, check_metadata=True)
    assert back.equals(table)
    assert read_fragment(store, fragment, ["after", name]).schema.names == ["after", name]
    json.dumps(fragment.stats, allow_nan=False)


def test_nan_and_negative_zero_survive(store):
    table = pa.table({"x": [0.0, -0.0, math.nan, math.inf, None]})
    back = read_fragment(store, write_fragment(store, "x.parquet", table))["x"].to_pylist()
    assert [math.copysign(1, v) for v in back[:2]] == [1, -1]
    assert math.isnan(back[2])
    assert back[3:] == [math.inf, None]


def test_the_record_is_that_of_the_file(store):
    import hashlib

    fragment = write_fragment(store, "a/b.parquet", pa.table({"x": [1, 2]}))
    data = store.local("a/b.parquet").read_bytes()
    assert (fragment.size, fragment.num_rows, fragment.sha256) == (len(data), 2, hashlib.sha256(data).hexdigest())


def test_the_same_rows_give_the_same_bytes(store):
    table = pa.table({"x": [1.5, 2.5], "s": ["a", "b"]})
    assert write_fragment(store, "1.parquet", table).sha256 == write_fragment(store, "2.parquet", table).sha256


def test_statistics_are_for_the_catalog(store):
    table = pa.table(
        {
            "i": [3, None, -1],
            "f": [1.5, math.nan, 0.5],
            "inf": [1.0, math.inf, 0.0],
            "h": pa.array(np.array([1, np.nan, 3], np.float16)),
            "nan": [math.nan] * 3,
            "s": ["b", "a", None],
            "long": ["b" * 300, "a", None],
            "b": [True, None, True],
            "t": pa.array([datetime.datetime(2020, 1, 2), None, datetime.datetime(2020, 1, 1, 0, 0, 0, 500_000)], pa.timestamp("us")),
            "tz": pa.array([0, None, 1_500_000_000_000_000], pa.timestamp("us", "Europe/Berlin")),
            "date": pa.array([datetime.date(2020, 1, 2), None, datetime.date(2019, 1, 1)], pa.date64()),
            "d": pa.array(["x", "y", None]).dictionary_encode(),
            "dec": pa.array([D("1.10"), None, D("-2.00")], pa.decimal128(10, 2)),
            "none": pa.array([None] * 3, pa.float64()),
            "list": [[1], [2], None],
        }
    )
    stats = {name: tuple(s.values()) for name, s in write_fragment(store, "x.parquet", table).stats.items()}
    assert stats == {
        "i": (1, 0, -1, 3),
        "f": (0, 1, 0.5, 1.5),
        "inf": (0, 0, 0.0, None),
        "h": (0, 1, 1.0, 3.0),
        "nan": (0, 3, None, None),
        "s": (1, 0, "a", "b"),
        "long": (1, 0, "a", None),
        "b": (1, 0, True, True),
        "t": (1, 0, "2020-01-01 00:00:00.500000", "2020-01-02 00:00:00.000000"),
        "tz": (1, 0, "1970-01-01 00:00:00.000000Z", "2017-07-14 02:40:00.000000Z"),
        "date": (1, 0, "2019-01-01", "2020-01-02"),
        "d": (1, 0, "x", "y"),
        "dec": (1, 0, "-2.00", "1.10"),
        "none": (3, 0, None, None),
        "list": (1, 0, None, None),
    }


def test_bounds_hold_over_several_row_groups(store):
    table = pa.table({"x": range(300_000), "s": pa.array([None] * 200_000 + ["q"] * 100_000)})
    fragment = write_fragment(store, "x.parquet", table)
    assert fragment.stats["x"] == {"nulls": 0, "nans": 0, "min": 0, "max": 299_999}
    assert fragment.stats["s"] == {"nulls": 200_000, "nans": 0, "min": "q", "max": "q"}
    pieces = list(read_row_groups(store, fragment, ["s"]))
    assert len(pieces) == 3
    assert pa.concat_tables(pieces).equals(table.select(["s"]))


def test_wide_rows_make_small_row_groups(store):
    table = pa.table({"x": pa.array([b"\0" * 100_000] * 2_000)})
    fragment = write_fragment(store, "x.parquet", table)
    assert [piece.num_rows for piece in read_row_groups(store, fragment)] == [1_024, 976]


def test_field_ids_count_children_after_their_parent(store):
    table = pa.table({"a": [1], "l": [[1]], "s": [{"x": 1, "y": [2]}], "z": [1]})
    write_fragment(store, "x.parquet", table)
    text = str(pq.ParquetFile(store.local("x.parquet")).schema)
    assert [f"field_id={i} " in text for i in range(1, 9)] == [True] * 8
    assert "field_id=9 " not in text
    assert numbered(table.schema).field("z").metadata == {b"PARQUET:field_id": b"8"}


def test_an_empty_table_and_no_columns_asked_for(store):
    fragment = write_fragment(store, "x.parquet", pa.table({"x": pa.array([], pa.string())}))
    assert read_fragment(store, fragment).num_rows == 0
    rows = write_fragment(store, "y.parquet", pa.table({"x": [1, 2, 3]}))
    assert read_fragment(store, rows, []).num_rows == 3


@pytest.mark.parametrize("place", [0.2, 0.5, 0.8])
def test_a_flipped_bit_is_found_and_the_file_named(store, place):
    fragment = write_fragment(store, "t/part.parquet", pa.table({"x": np.random.default_rng(0).normal(size=5_000)}))
    path = store.local(fragment.path)
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 4
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"t/part.parquet: cannot be read back as it was written: .*CRC.*delete it"):
        read_fragment(store, fragment)


def test_a_truncated_or_missing_file_is_named(store):
    fragment = write_fragment(store, "t/part.parquet", pa.table({"x": [1]}))
    path = store.local(fragment.path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"t/part.parquet: {fragment.size - 1} bytes, but {fragment.size} were written"):
        read_fragment(store, fragment)
    path.unlink()
    with pytest.raises(StoreError, match=r"t/part.parquet: is not in the store"):
        read_fragment(store, fragment)


def test_a_column_that_is_not_there_is_named_with_the_nearest(store):
    fragment = write_fragment(store, "x.parquet", pa.table({"distance": [1], "wind": [2]}))
    with pytest.raises(DataError, match=r"x.parquet: has no column 'distnce'. Did you mean 'distance'\?"):
        read_fragment(store, fragment, ["distnce"])


def test_what_parquet_cannot_hold_is_refused(store):
    with pytest.raises(DataError, match="two columns named 'x'"):
        write_fragment(store, "x.parquet", pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]))
    with pytest.raises(DataError, match=r"x.parquet: Parquet cannot hold .*month_day_nano_interval"):
        write_fragment(store, "x.parquet", pa.table({"v": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}))
    assert not store.local("x.parquet").exists()


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(small)], capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        store = Store.open(small)
        rows = pa.table({"x": np.random.default_rng(0).normal(size=100_000)})
        with pytest.raises(StoreError, match=r"a\.parquet: cannot be written: no space left on device"):
            write_fragment(store, "a.parquet", rows)
        assert store.size() == (0, 0)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def _pieces_of(table: pa.Table, rows: int):
    return iter([table.slice(start, rows) for start in range(0, table.num_rows, rows)])


def test_pieces_make_the_fragment_that_the_whole_makes(store, monkeypatch):
    monkeypatch.setattr("raypipe.data.fragment.fragment.ROW_GROUP_ROWS", 4)
    table = pa.table(
        {
            "i": pa.array(range(20)),
            "f": pa.array([float(i) if i % 3 else math.nan for i in range(20)]),
            "g": pa.array([i / 7 if i % 5 else None for i in range(20)]),
            "h": pa.array(np.arange(20, dtype=np.float16)),
            "at": pa.array([i * 1_000_000 for i in range(20)], pa.timestamp("us", "Europe/Berlin")),
            "text": [f"t{i % 4}" for i in range(20)],
        }
    )
    whole = write_fragment(store, "whole.parquet", table)
    made = write_pieces(store, "pieces.parquet", _pieces_of(table, 3))
    assert (made.num_rows, made.stats, made.columns) == (20, whole.stats, whole.columns)
    assert repr(read_fragment(store, made).to_pylist()) == repr(read_fragment(store, whole).to_pylist())
    assert [p.num_rows for p in read_row_groups(store, made)] == [4, 4, 4, 4, 4]
    assert store.holds(made)


def test_pieces_that_cannot_be_written_are_told(store):
    with pytest.raises(DataError, match="two columns named 'a'"):
        write_pieces(store, "x.parquet", iter([pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])]))


def test_spans_leave_out_row_groups_and_deleted_rows(store, monkeypatch):
    monkeypatch.setattr("raypipe.data.fragment.fragment.ROW_GROUP_ROWS", 1_024)
    table = pa.table({"i": range(4_096), "x": [float(i) for i in range(4_096)]})
    fragment = write_fragment(store, "f.parquet", table)

    def above(stats, num_rows):
        return "i" not in stats or stats["i"]["max"] >= 3_000

    (whole,) = read_spans(store, fragment)
    assert whole.rows.equals(table)
    assert whole.numbers.tolist() == list(range(1, 4_097))
    (rest,) = read_spans(store, fragment, ["x"], above)
    assert (rest.rows.num_rows, rest.rows.column_names, rest.numbers[0], rest.numbers[-1]) == (2_048, ["x"], 2_049, 4_096)
    assert [span.numbers[0] for span in read_spans(store, fragment, ["i"], above, by_group=True)] == [2_049, 3_073]
    (none,) = read_spans(store, fragment, ["x"], lambda stats, num_rows: False)
    assert (none.rows.schema, none.rows.num_rows, len(none.numbers)) == (table.schema.remove(0), 0, 0)
    gone = replace(fragment, deletes=write_deletes(store, "d.parquet", "f.parquet", np.array([0, 2_048, 4_095])))
    assert next(read_spans(store, gone)).rows["i"].to_pylist() == [i for i in range(4_096) if i not in (0, 2_048, 4_095)]
    assert [(s.rows["i"][0].as_py(), s.numbers[0]) for s in read_spans(store, gone, by_group=True)] == [
        (1, 2),
        (1_024, 1_025),
        (2_049, 2_050),
        (3_072, 3_073),
    ]
