"""The columns that batches agree on."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.function.columns import agreed, as_agreed, joined


def test_a_batch_of_nulls_yields_and_the_order_is_the_firsts():
    first, second = pa.table({"a": [1], "b": pa.nulls(1)}), pa.table({"b": ["x"], "a": [2]})
    schema = agreed(agreed(None, first.schema), second.schema)
    assert schema.equals(pa.schema([("a", pa.int64()), ("b", pa.string())]))
    assert joined([first, second], schema).to_pydict() == {"a": [1, 2], "b": [None, "x"]}
    assert as_agreed(first, first.schema) is first


def test_everything_that_differs_is_told():
    with pytest.raises(DataError, match="'a' int64 and string, 'b' bool and missing, 'c' missing and int64"):
        agreed(pa.schema([("a", pa.int64()), ("b", pa.bool_())]), pa.schema([("a", pa.string()), ("c", pa.int64())]))
