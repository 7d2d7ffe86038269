"""Rows as a pass works on them; text that is only passed on as codes, and written as if it had been text."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.store import Store
from raypipe.data.fragment.conform import numbered
from raypipe.data.fragment.fragment import read_fragment, write_fragment, write_pieces
from raypipe.data.fragment.spans import read_spans


@pytest.fixture
def store(tmp_path):
    return Store.open(tmp_path / "store")


def rows(num_rows: int = 5_000) -> pa.Table:
    rng = np.random.default_rng(0)
    few = [None if i % 7 == 0 else f"carrier {i % 5}" for i in rng.integers(0, 100, num_rows)]
    return pa.table({"few": few, "many": [f"flight {i}" for i in range(num_rows)], "x": rng.random(num_rows)})


def test_text_of_few_values_comes_as_codes_where_that_is_asked_for(store):
    fragment = write_fragment(store, "f.parquet", rows())
    (span,) = read_spans(store, fragment, coded=["few", "many", "x"])
    assert [str(field.type) for field in span.rows.schema] == ["dictionary<values=string, indices=int32, ordered=0>", "string", "double"]
    assert span.rows["few"].cast(pa.string()).equals(rows()["few"])
    (plain,) = read_spans(store, fragment)
    assert plain.rows.equals(rows())


@pytest.mark.parametrize("by_pieces", [False, True])
def test_codes_are_written_as_the_text_that_they_stand_for(store, monkeypatch, by_pieces):
    monkeypatch.setattr("raypipe.data.fragment.fragment.ROW_GROUP_ROWS", 1_024)
    table, schema = rows(), numbered(rows().schema)
    whole = write_fragment(store, "whole.parquet", table)
    if by_pieces:
        spans = read_spans(store, whole, coded=["few"], by_group=True)
        made = write_pieces(store, "made.parquet", (span.rows for span in spans), schema)
    else:
        (span,) = read_spans(store, whole, coded=["few"])
        made = write_fragment(store, "made.parquet", span.rows.filter(pa.array(np.arange(5_000) != 2_000)), schema)
    expected = table if by_pieces else pa.concat_tables([table.slice(0, 2_000), table.slice(2_001)])
    assert read_fragment(store, made).equals(expected)
    assert made.columns == whole.columns
    assert made.stats["few"] == whole.stats["few"]
    files = [pq.read_metadata(store.local(name)) for name in ("whole.parquet", "made.parquet")]
    assert files[0].metadata == files[1].metadata
    assert files[0].schema.equals(files[1].schema)
    assert files[1].row_group(1).column(0).total_uncompressed_size <= files[0].row_group(1).column(0).total_uncompressed_size
