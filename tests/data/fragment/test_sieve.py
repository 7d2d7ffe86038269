"""The rows of a table where a mask is true, by Arrow and by Polars alike."""

import sys
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from raypipe.data.fragment import sieve

NUM_ROWS = 3 * sieve.FEW
BY_NUMBER = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()]
SHORT = [pa.date32(), pa.time32("s"), pa.time32("ms")]
LONG = [pa.timestamp("s"), pa.timestamp("ms", "UTC"), pa.timestamp("us"), pa.timestamp("ns"), pa.time64("us"), pa.duration("s")]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Two chunks that begin in the middle of what lies in memory, nulls in most columns."""
    rng, numbers = np.random.default_rng(0), np.arange(NUM_ROWS)
    nulls = rng.random(NUM_ROWS) < 0.1
    columns = {str(t): pa.array((numbers % 100).astype(t.to_pandas_dtype()), t, mask=nulls) for t in (*BY_NUMBER, pa.float16())}
    columns |= {str(t): pa.array(numbers.astype(np.int32), mask=nulls).cast(t) for t in SHORT}
    columns |= {str(t): pa.array(numbers, pa.int64(), mask=nulls).cast(t) for t in LONG}
    columns["date64"] = pa.array(numbers * 86_400_000, pa.int64()).view(pa.date64())
    columns["bool"] = pa.array(numbers % 3 == 0, mask=nulls)
    columns["nans"] = pa.array(np.where(numbers % 7 == 0, np.nan, np.where(numbers % 5 == 0, -0.0, numbers)))
    columns["decimal"] = pa.array([Decimal(i) for i in range(100)] * (NUM_ROWS // 100 + 1), pa.decimal128(10, 2))[:NUM_ROWS]
    columns["text"] = pa.array([f"t{i % 50}" for i in range(NUM_ROWS)])
    columns["coded"] = columns["text"].dictionary_encode()
    columns["null"] = pa.nulls(NUM_ROWS)
    whole = pa.table(columns)
    return pa.concat_tables([whole.slice(3, NUM_ROWS // 2), whole.slice(NUM_ROWS // 2 + 3)])


@pytest.mark.parametrize("share", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("with_polars", [True, False])
def test_rows_are_those_that_arrow_keeps(monkeypatch: pytest.MonkeyPatch, table: pa.Table, share: float, with_polars: bool):
    import polars

    monkeypatch.setitem(sys.modules, "polars", polars) if with_polars else monkeypatch.delitem(sys.modules, "polars")
    mask = np.random.default_rng(1).random(table.num_rows) < share
    found, expected = sieve.kept(table, mask), table.filter(pa.array(mask))
    found.validate(full=True)
    assert found.drop_columns("nans").equals(expected.drop_columns("nans"))
    assert _bits(found.column("nans")) == _bits(expected.column("nans"))


def _bits(column: pa.ChunkedArray) -> bytes:
    return np.asarray(column).tobytes()


def test_a_table_without_columns_keeps_its_rows():
    rows = sieve.kept(pa.table({"a": [1, 2, 3]}).select([]), np.array([True, False, True]))
    assert (rows.num_rows, rows.num_columns) == (2, 0)
