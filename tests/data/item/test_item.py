"""Items as arguments, as columns, and by keys that tell unlike ones apart."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.item.item import Items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(width=32) | st.text(max_size=3) | st.dates() | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["date", "bytes", "mapping", "float", "x"]), inner, max_size=2)
    ),
    max_leaves=3,
)


def keys(rows: list[dict[str, Any]], identity: Any = None) -> list[str]:
    return [item.key for item in Items(rows, pa.table({})).keyed(identity)]


def written(value: Any) -> str:
    """As Python tells values apart: 1 is not 1.0, and not True."""
    if isinstance(value, dict):
        return json.dumps({k: written(value[k]) for k in sorted(value)})
    return json.dumps([written(v) for v in value]) if isinstance(value, list) else f"{type(value).__name__} {value!r}"


@given(VALUES, VALUES)
def test_a_key_is_of_one_value_alone(a: Any, b: Any):
    one, other = keys([{"x": a}, {"x": b}])
    assert (one == other) == (written(a) == written(b))


def test_what_says_which_items_there_are_does_not_count():
    identity = {
        "settings": {"items": [1, 2], "takes": ["a"], "gives": None},
        "inputs": {"over": "d1", "inputs.rows": "d2"},
        "code": {"f": "1"},
    }
    start = keys([{"x": 1}], identity)
    for changed in ({"settings": {**identity["settings"], "items": [3]}}, {"inputs": {"over": "d9", "inputs.rows": "d2"}}, {"observed": 1}):
        assert keys([{"x": 1}], {**identity, **changed}) == start
    for changed in ({"settings": {"gives": {"a": "int64"}}}, {"inputs": {"over": "d1", "inputs.rows": "d3"}}, {"code": {"f": "2"}}):
        assert keys([{"x": 1}], {**identity, **changed}) != start


def test_rows_of_a_table_are_python_s_values():
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    columns = {
        "at": pa.array([at], pa.timestamp("ns", "UTC")),
        "day": pa.array([date(2026, 1, 2)]),
        "kind": pa.array(["a"]).dictionary_encode(),
        "long": pa.array([timedelta(seconds=1)], pa.duration("ns")),
        "clock": pa.array([time(1, 2, 3)], pa.time64("ns")),
        "price": pa.array([Decimal("1.50")]),
    }
    items = Items.of_table(pa.table(columns))
    assert dict(items.arguments[0]) == {
        "at": at, "day": date(2026, 1, 2), "kind": "a", "long": timedelta(seconds=1), "clock": time(1, 2, 3), "price": Decimal("1.50"),
    }  # fmt: skip
    assert len(items.keyed(None)) == 1


def test_what_python_cannot_hold_is_told():
    with pytest.raises(DataError, match=r"column 'at' is timestamp\[ns\] with nanoseconds, which Python's times cannot hold"):
        Items.of_table(pa.table({"at": pa.array([1], pa.timestamp("ns"))}))
    with pytest.raises(DataError, match="'n' has values of unlike kinds"):
        Items.of_list([1, "a"], "n")


def test_items_of_a_config():
    items = Items.of_list([1, {"n": 2, "m": "x"}], "n")
    assert items.table.to_pydict() == {"n": [1, 2], "m": [None, "x"]}
    assert [dict(row) for row in items.arguments] == [{"n": 1}, {"n": 2, "m": "x"}]
    assert [str(item) for item in items.keyed(None)] == ["n=1", "n=2, m=x"]
    assert Items.of_list([], "n").table.schema == pa.schema([("n", pa.null())])
