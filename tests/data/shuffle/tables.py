"""Small tables of awkward values, in pieces, for property tests."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

ZONED = pa.timestamp("us", "Europe/Berlin")
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.dictionary(pa.int32(), pa.string()), ["", "a", "A", "ß", "日本", "a\0b", None]),
    "number": (pa.float64(), [0.0, -0.0, 1.5, -2.0, float("nan"), float("inf"), None]),
    "money": (pa.decimal128(20, 2), [Decimal("0.01"), Decimal("-3.10"), Decimal("99999999999999.99"), None]),
    "at": (ZONED, [datetime.datetime(2026, 3, 29, h, tzinfo=datetime.UTC) for h in range(3)] + [None]),
    "count": (pa.int64(), [0, 1, -1, 2**53 + 1, None]),
    "flag": (pa.bool_(), [True, False, None]),
}
NAMES = list(VALUES)


@st.composite
def tables(draw: st.DrawFn, names: Sequence[str] = NAMES, max_rows: int = 12) -> pa.Table:
    """Few different values, so that they meet; `row` numbers the rows."""
    num_rows = draw(st.integers(0, max_rows))
    columns = {}
    for name in names:
        type_, values = VALUES[name]
        drawn = draw(st.lists(st.sampled_from(values), min_size=num_rows, max_size=num_rows))
        plain = type_.value_type if isinstance(type_, pa.DictionaryType) else type_
        column = pa.array(drawn, plain)
        columns[name] = column.dictionary_encode() if plain != type_ else column
    return pa.table({**columns, "row": pa.array(range(num_rows), pa.int64())})


@st.composite
def pieces(draw: st.DrawFn, table: pa.Table) -> list[pa.Table]:
    """The table cut anywhere, empty pieces included."""
    cuts = sorted(draw(st.lists(st.integers(0, table.num_rows), max_size=3)))
    return [table.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, table.num_rows], strict=True)]


def plain(value: Any) -> Any:
    """As it can be compared: NaN equals NaN, zero has no sign."""
    if isinstance(value, float):
        return "NaN" if value != value else value + 0.0
    return value


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(plain(value) for value in row.values()) for row in table.to_pylist()]
