import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.lake import keys as keys_module
from raypipe.data.lake.keys import keys_of

VALUES = {
    pa.int64(): st.integers(-3, 3),
    pa.uint8(): st.integers(0, 3),
    pa.string(): st.sampled_from(["", "a", "b", "ü", "ab", "z" * 300]),
    pa.timestamp("ns"): st.integers(-2, 3),
    pa.timestamp("us", "Europe/Berlin"): st.datetimes(datetime.datetime(2020, 10, 25), datetime.datetime(2020, 10, 26)).map(
        lambda at: at.replace(tzinfo=datetime.UTC)
    ),
    pa.date32(): st.dates(datetime.date(1969, 12, 30), datetime.date(1970, 1, 3)),
    pa.decimal128(6, 2): st.sampled_from([Decimal("-10"), Decimal("9.50"), Decimal("0"), Decimal("100.01")]),
    pa.bool_(): st.booleans(),
    pa.binary(): st.sampled_from([b"", b"a", b"\xff"]),
    pa.time64("us"): st.sampled_from([datetime.time(0), datetime.time(23, 59, 59, 999_999), datetime.time(1, 2, 3)]),
}


@pytest.mark.parametrize("type_", VALUES, ids=str)
@pytest.mark.parametrize("few", [1_000, 1])
def test_rows_are_found_as_python_would_and_no_file_is_left_out(type_, few, store, monkeypatch):
    monkeypatch.setattr(keys_module, "FEW", few)
    column = st.lists(st.one_of(st.none(), VALUES[type_]), min_size=1, max_size=6)
    other = st.sampled_from(["x", "y", None])

    @settings(max_examples=25, deadline=None)
    @given(column, column, st.lists(other, min_size=6, max_size=6), st.lists(other, min_size=6, max_size=6))
    def check(batch, there, others_of_batch, others):
        new = pa.table({"k": pa.array(batch, type_), "o": pa.array(others_of_batch[: len(batch)], pa.string())})
        old = pa.table({"k": pa.array(there, type_), "o": pa.array(others[: len(there)], pa.string())})
        stats = write_fragment(store, "f.parquet", old).stats
        for columns in (["k"], ["k", "o"]):
            keys = keys_of(new, columns, "test")
            wanted = {tuple(row.values()) for row in new.select(columns).to_pylist()}
            expected = [tuple(row.values()) in wanted for row in old.select(columns).to_pylist()]
            assert keys.mask(old).to_pylist() == expected
            assert keys.may_match(stats, old.num_rows) or not any(expected)

    check()
