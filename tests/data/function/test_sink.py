"""Blocks of a Dataset as fragments."""

import pyarrow as pa
import pytest

from raypipe.core.store import Store
from raypipe.data.fragment.fragment import read_fragment
from raypipe.data.function import sink
from raypipe.data.function.sink import plain, write_blocks


def test_blocks_of_one_schema_share_a_fragment(store: Store):
    blocks = [pa.table({"a": [i], "b": pa.nulls(1) if i == 0 else pa.array(["x"])}) for i in range(3)]
    (written,) = write_blocks(store, "t/part", 4, blocks)
    assert written.fragment is not None
    assert read_fragment(store, written.fragment).to_pydict() == {"a": [0, 1, 2], "b": [None, "x", "x"]}


def test_another_schema_begins_another_fragment_and_is_named(store: Store):
    written = write_blocks(store, "t/part", 4, [pa.table({"a": [1]}), pa.table({"a": ["x"]}), pa.table({"a": ["y"]})])
    assert [b.name for b in written] == ["block 0 of write task 4 (its first row: a=1)", "block 1 of write task 4 (its first row: a='x')"]


def test_large_blocks_are_cut(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sink, "FRAGMENT_ROWS", 4)
    written = write_blocks(store, "t/part", 0, [pa.table({"a": range(10)})])
    assert [b.fragment.num_rows for b in written if b.fragment] == [4, 4, 2]


def test_an_empty_block_says_what_the_columns_are(store: Store):
    (written,) = write_blocks(store, "t/part", 0, [pa.table({"a": pa.array([], pa.int8())})])
    assert (written.fragment, written.schema.types) == (None, [pa.int8()])


def test_what_an_engine_chose_becomes_plain_and_what_was_there_stays():
    table = pa.table({"own": pa.array(["a"], pa.large_string()), "new": pa.array(["a"], pa.large_string())})
    assert plain(table, [table.select(["own"]).schema]).schema.types == [pa.large_string(), pa.string()]
