"""JSON values into exact Arrow types, type by type."""

import datetime as dt

import pyarrow as pa
import pytest

from raypipe.bundle.signature import Field
from raypipe.core.errors import DataError
from raypipe.serve.column import MISSING, column

UTC = dt.UTC

GOOD = [
    ("int64", [1, 2**63 - 1, 3.0], [1, 2**63 - 1, 3]),
    ("int8", [-128, 127], [-128, 127]),
    ("uint16", [65535], [65535]),
    ("float64", [1, 1.5, 2**60], [1.0, 1.5, float(2**60)]),
    ("float32", [0.1], [pa.scalar(0.1, pa.float32()).as_py()]),
    ("float16", [0.5, 2], [0.5, 2.0]),
    ("bool", [True, False], [True, False]),
    ("string", ["a", "", "é\u0000"], ["a", "", "é\u0000"]),
    ("large_string", ["a"], ["a"]),
    ("dictionary<string, int32>", ["a", "b", "a"], ["a", "b", "a"]),
    ("decimal128(6, 2)", ["12.50", 3, 0.25], [pytest.approx(12.5), 3, 0.25]),
    ("timestamp[us]", ["2013-10-01T05:15:00", "2013-10-01 05:15"], [dt.datetime(2013, 10, 1, 5, 15)] * 2),
    ("timestamp[s]", ["2013-10-01"], [dt.datetime(2013, 10, 1)]),
    ("timestamp[us, tz=UTC]", ["2013-10-01T05:15:00Z", "2013-10-01T07:15:00+02:00"], [dt.datetime(2013, 10, 1, 5, 15, tzinfo=UTC)] * 2),
    ("date32", ["2013-10-01"], [dt.date(2013, 10, 1)]),
    ("date64", ["2013-10-01"], [dt.date(2013, 10, 1)]),
    ("dictionary<int64, int8>", [3.0, 4], [3, 4]),
]

BAD = [
    ("int64", [1.5], "a number with a fraction"),
    ("int64", ["1"], "string"),
    ("int64", [True], "boolean"),
    ("int64", [2**63], "a value out of range"),
    ("int64", [1e300], "a value out of range"),
    ("int64", [float("inf")], "a value out of range"),
    ("int8", [128], "a value out of range"),
    ("uint8", [-1], "a value out of range"),
    ("float64", ["1.5"], "string"),
    ("float64", [False], "boolean"),
    ("float64", [float("inf")], "a value out of range"),
    ("float64", [10**400], "a value out of range"),
    ("float32", [1e300], "a value out of range"),
    ("float64", [None], "null"),
    ("float64", [[1.0]], "array"),
    ("float64", [{}], "object"),
    ("float64", [MISSING], "nothing"),
    ("bool", [0], "number"),
    ("string", [5], "number"),
    ("string", ["\ud800"], "a value out of range"),
    ("timestamp[us]", ["2013-13-01"], "a string of another form"),
    ("timestamp[us]", ["2013-10-01T05:15:00Z"], "a string of another form"),
    ("timestamp[s]", ["2013-10-01T05:15:00.5"], "a string of another form"),
    ("timestamp[us, tz=UTC]", ["2013-10-01T05:15:00"], "a string of another form"),
    ("timestamp[ns]", ["1500-01-01"], "a string of another form"),
    ("timestamp[us]", [1380604500], "number"),
    ("date32", ["1 October 2013"], "a string of another form"),
    ("decimal128(4, 2)", ["12.505"], "a value out of range"),
]


@pytest.mark.parametrize(("type_", "values", "expected"), GOOD)
def test_values_become_the_signatures_type(type_: str, values: list, expected: list):
    read = column(Field("x", type_, nullable=False))
    array = read.array(values)
    assert array is not None
    assert array.type == read.type
    assert [float(v) if "decimal" in type_ else v for v in array.to_pylist()] == expected


@pytest.mark.parametrize(("type_", "values", "found"), BAD)
def test_a_wrong_value_is_named_by_its_kind(type_: str, values: list, found: str):
    read = column(Field("x", type_, nullable=False))
    assert read.array(values) is None
    assert read.wrong(values[0]) == found


@pytest.mark.parametrize("type_", [type_ for type_, _, _ in GOOD])
def test_null_and_nothing_are_taken_where_null_is_allowed(type_: str):
    array = column(Field("x", type_, nullable=True)).array([None, MISSING])
    assert array is not None
    assert array.null_count == 2
    strict = column(Field("x", type_, nullable=False))
    assert [strict.wrong(None), strict.wrong(MISSING)] == ["null", "nothing"]


def test_what_is_expected_is_said_with_the_arrow_type():
    assert column(Field("x", "int32", nullable=True)).expected == "integer (int32) or null"
    assert column(Field("x", "timestamp[us]", nullable=False)).expected == "ISO 8601 date and time without an offset (timestamp[us])"


@pytest.mark.parametrize("type_", ["list<float32>", "binary", "time32[s]", "dictionary<float64, int32>", "duration[s]"])
def test_a_type_that_json_cannot_give_is_refused_by_name(type_: str):
    with pytest.raises(DataError) as caught:
        column(Field("x", type_))
    assert str(caught.value) == f"input column 'x' is {type_}, which a JSON request cannot give"
