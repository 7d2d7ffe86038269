"""Which rows meet conditions, and that no file is left out that holds one."""

import datetime
import math
import pickle
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.core.store import Store
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.where.where import predicate

ROWS = pa.table(
    {
        "n": pa.array([1, 2, None, 3], pa.int32()),
        "s": ["a", None, "b", "a"],
        "f": [1.5, float("nan"), None, -0.0],
        "at": pa.array([0, 10, None, 20], pa.timestamp("s", "Europe/Berlin")),
        "l": [[1], None, [], [2]],
    }
)


def numbers(conditions):
    """The rows, counted from 0, that meet them."""
    found = predicate(conditions, ROWS.schema).rows(ROWS.append_column("row", pa.array(range(4))))
    return found["row"].to_pylist()


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        ("n > 1", [1, 3]),
        ("n > 1 and s = 'a'", [3]),
        ("n != 1", [1, 3]),
        ("n not in (1, 3)", [1]),
        ("s in ('a', 'c')", [0, 3]),
        ("s is null", [1]),
        ("l is not null", [0, 2, 3]),
        ("f != 1.5", [1, 3]),
        ("f >= 0", [0, 3]),
        ("f = 0", [3]),
        ("at >= '1970-01-01T00:00:10Z'", [1, 3]),
        ("at < '1970-01-01 01:00:10+01:00'", [0]),
        ([("n", "==", 1)], [0]),
        ([("at", "=", datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)), ("s", "is not null")], [0]),
        ([], [0, 1, 2, 3]),
    ],
)
def test_rows_that_meet_them(conditions, rows):
    assert numbers(conditions) == rows


def test_every_problem_is_told():
    conditions = "m = 1 and n = 'x' and n = 1.5 and s = 1 and l = 1 and at = '2020-01-01' and n = null and s > true and n = 3000000000"
    with pytest.raises(DataError) as caught:
        predicate(conditions, ROWS.schema)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"where {c} =" for c in ("m", "n", "n", "s", "l", "at", "n")] + [
        "where s >",
        "where n =",
    ]
    assert lines[0] == "where m =: there is no column 'm'. Valid: at, f, l, n, s."
    assert lines[3] == "where s =: the column is string, and 1 is none: text is written in quotes"
    assert lines[4] == "where l =: the column is list<int64>, which can be tested for null only"
    assert lines[5].endswith("write the zone: 2026-01-31T12:00:00Z")
    with pytest.raises(DataError, match="is no condition; expected"):
        predicate([("n",)], ROWS.schema)


def test_it_travels():
    found = predicate("n in (1, 2) and at > '1970-01-01T00:00:00Z'", ROWS.schema)
    assert pickle.loads(pickle.dumps(found)).rows(ROWS)["n"].to_pylist() == [2]
    assert found.columns == ["n", "at"]


Zone = "Asia/Kathmandu"
moments = st.datetimes(datetime.datetime(1960, 1, 1), datetime.datetime(2200, 1, 1))
# Type, values, and values as conditions have them.
KINDS = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float16": (pa.float16(), st.floats(width=16, allow_nan=True)),
    "float32": (pa.float32(), st.floats(width=32)),
    "float64": (pa.float64(), st.floats()),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(max_size=3) | st.integers(250, 260).map(lambda n: "y" * n)),
    "view": (pa.string_view(), st.text("ab", max_size=2)),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), st.text("ab", max_size=2)),
    "binary": (pa.binary(), st.binary(max_size=2)),
    "fixed": (pa.binary(2), st.binary(min_size=2, max_size=2)),
    "decimal": (pa.decimal128(6, 2), st.decimals(-999, 999, places=2)),
    "decimal32": (pa.decimal32(6, 2), st.decimals(-999, 999, places=2)),
    "decimal256": (pa.decimal256(60, 2), st.decimals(-(10**50), 10**50, places=2)),
    "date32": (pa.date32(), moments.map(lambda m: m.date())),
    "date64": (pa.date64(), moments.map(lambda m: m.date())),
    "seconds": (pa.timestamp("s"), moments.map(lambda m: m.replace(microsecond=0))),
    "micros": (pa.timestamp("us"), moments),
    "zoned": (pa.timestamp("ms", Zone), moments.map(lambda m: m.replace(microsecond=m.microsecond // 1000 * 1000, tzinfo=datetime.UTC))),
    "nanos": (pa.timestamp("ns"), st.integers(0, 2**62)),
    "time32": (pa.time32("s"), st.times().map(lambda t: t.replace(microsecond=0))),
    "time64": (pa.time64("us"), st.times()),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_a_row_is_never_left_out(kind, data, tmp_path):
    """The statistics are those of a fragment as it is written; brute force is the mask over its rows."""
    type_, values = KINDS[kind]
    listed = data.draw(st.lists(st.none() | values, max_size=4))
    column = pa.array(listed, type_)
    rows = pa.table({"x": column})
    fragment = write_fragment(Store.open(tmp_path), "x.parquet", rows)
    present = [v for v in listed if v is not None and v == v]
    chosen = st.sampled_from(present) | values if present else values
    value = data.draw(chosen.filter(lambda v: v == v))
    op = data.draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null"]))
    if kind in ("bool", "binary", "fixed") and op[0] in "<>":
        return
    literal = pa.scalar(value, type_) if kind == "nanos" else value
    found = predicate([("x", op, [literal] if op.endswith("in") else literal)], rows.schema)
    mask = found.mask(rows)
    expected = [_meets(v, op, pa.scalar(value, pa.timestamp("ns")).as_py() if kind == "nanos" else value) for v in column.to_pylist()]
    assert mask is not None
    assert mask.to_pylist() == expected
    if any(expected):
        assert found.may_match(fragment.stats, fragment.num_rows)


def _meets(found, op, value):
    if op.startswith("is "):
        return (found is None) == (op == "is null")
    if found is None:
        return False
    if isinstance(found, float) and math.isnan(found):
        return op in ("!=", "not in")
    return {
        "=": found == value, "in": found == value, "!=": found != value, "not in": found != value,
        "<": found < value, "<=": found <= value, ">": found > value, ">=": found >= value,
    }[op]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("n = 5", False), ("n = 15", True), ("n < 10", False), ("n <= 10", True), ("n > 20", False), ("n >= 20", True),
        ("n in (1, 2)", False), ("n in (1, 12)", True), ("n is null", True), ("n != 3", True), ("k != 3", False),
        ("k not in (1, 3)", False),
        ("k is null", False), ("z is not null", False), ("z = 1", False), ("nan > 0", False), ("nan != 0", True), ("s > 'b'", True),
        ("d > 2", False), ("d >= '1.50'", True), ("d < 1.4", False), ("day >= '2020-02-01'", False), ("day <= '2020-01-31'", True),
    ],
)  # fmt: skip
def test_files_are_left_out(condition, kept, store):
    rows = pa.table(
        {
            "n": [10, 20, None], "k": [3, 3, 3], "z": pa.nulls(3, pa.int8()), "nan": [math.nan, None, None], "s": ["a", "b" * 300, "a"],
            "d": [Decimal("1.50"), None, Decimal("1.60")], "day": pa.array([18261, 18291, None], pa.date32()),
        }
    )  # fmt: skip
    fragment = write_fragment(store, "x.parquet", rows)
    assert predicate(condition, rows.schema).may_match(fragment.stats, fragment.num_rows) is kept
