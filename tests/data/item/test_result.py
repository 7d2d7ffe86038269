"""What functions return as rows, and the files that hold those of several items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError, StoreError
from raypipe.core.form import Form
from raypipe.core.store import Store
from raypipe.data.item.result import Sheet, read, rows_of

ROWS = {"a": [1, 2], "b": ["x", "y"]}


def rows(made: Any, gives: Form | None = None, **types: Any) -> Any:
    table = rows_of(made, gives, [], {"own": 1}, types or None)
    return None if table is None else table.to_pydict()


@pytest.mark.parametrize(
    "made",
    [
        pa.table(ROWS),
        pa.table(ROWS).to_batches()[0],
        pd.DataFrame(ROWS),
        pl.DataFrame(ROWS),
        pl.LazyFrame(ROWS),
        pa.table(ROWS).to_pylist(),
    ],
)
def test_tables_of_every_kind(made: Any):
    assert rows(made) == ROWS


def test_one_row_and_none():
    assert rows({"a": np.float32(0.5), "b": np.arange(2), "own": 1}) == {"a": [0.5], "b": [[0, 1]]}
    assert rows(np.int64(3)) == {"value": [3]}
    assert [rows(none) for none in (None, [], pa.table({}))] == [None] * 3
    assert rows({"a": np.array([1, 2])}, Form("numpy")) == {"a": [1, 2]}
    assert rows({"a": 1}, a="float64") == {"a": [1.0]}


BAD = [
    ({"own": 2}, {}, "returned another 'own' than the item has"),
    ({1: 2}, {}, "returned a mapping with the key 1"),
    ({}, {}, "returned a mapping without keys: None says that there are no rows"),
    ({"a": object()}, {}, "returned as 'a' what no column can hold"),
    ((1, 2), {}, "returned tuple, expected a mapping"),
    ({"a": "x"}, {"a": "float64"}, "returned 'a' string, which is not what `gives` says"),
    ({"b": 1}, {"a": "float64"}, "did not return 'a', and `gives` says: a"),
    ({"a": 1, "b": 1}, {"a": "float64"}, "returned 'b', and `gives` says: a"),
]


@pytest.mark.parametrize(("made", "types", "text"), BAD)
def test_what_is_no_rows(made: Any, types: dict[str, str], text: str):
    with pytest.raises(DataError, match=text):
        rows(made, None, **types)


TABLES = st.none() | st.dictionaries(
    st.sampled_from("ab"), st.sampled_from([[1, 2], ["x", "y"], [None, None], [], [0.5]]), min_size=1, max_size=1
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TABLES, max_size=6))
def test_what_is_written_comes_back(store: Store, tables: list[Any]):
    made = [(f"k{n}", None if table is None else pa.table(table)) for n, table in enumerate(tables)]
    kept = Sheet(made).write(store, "p/s/1")
    assert [one.key for one in kept] == [key for key, _ in made]
    for one, (_, table) in zip(kept, made, strict=True):
        assert (one.file is None) == (table is None)
        if one.file is not None and table is not None:
            assert read(store, one.file).slice(one.first_row, one.num_rows).to_pydict() == table.to_pydict()
    changes = sum(a is not None for a in tables)
    assert len({one.file for one in kept if one.file}) <= changes


def test_bytes_that_are_not_what_was_recorded(store: Store):
    (one,) = Sheet([("k", pa.table(ROWS))]).write(store, "p/s/1")
    assert one.file is not None
    store.local(one.file.path).write_bytes(b"x" * one.file.size)
    with pytest.raises(StoreError, match="are not what was recorded"):
        read(store, one.file)
