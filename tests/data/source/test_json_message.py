"""JSON messages as typed columns: exact, or bad with the reason."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.source.json_message import Decoder

TYPES = {"n": pa.int64(), "x": pa.float64(), "s": pa.string(), "at": pa.timestamp("us", "UTC")}


def column(type: pa.DataType, *values: bytes):
    decoded = Decoder({"a": type}).decode([b'{"a": ' + value + b"}" for value in values])
    return decoded.columns["a"].to_pylist(), list(decoded.bad.values())


def test_fields_become_columns_and_missing_ones_are_null():
    decoded = Decoder(TYPES).decode([b'{"n":1,"s":"a","at":"2026-01-01T00:00:00.000001Z"}', b'{"x":2}', b'{"n":null}'])
    assert decoded.columns["n"].to_pylist() == [1, None, None]
    assert decoded.columns["x"].to_pylist() == [None, 2.0, None]
    assert decoded.columns["at"].to_pylist() == [datetime(2026, 1, 1, microsecond=1, tzinfo=UTC), None, None]
    assert (list(decoded.kept), decoded.bad) == ([0, 1, 2], {})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "has no value"),
        (b"", "Input data was truncated"),
        (b"nope", "JSON is malformed: invalid character (byte 4)"),
        (b"[1]", "Expected `object`, got `array`"),
        (b'{"n":"1"}', "Expected `int | null`, got `str` - at `n`"),
        (b'{"n":1.5}', "Expected `int | null`, got `float` - at `n`"),
        (b'{"n":1}{"n":2}', "JSON is malformed: trailing characters (byte 8)"),
        (b'{"n":99999999999999999999}', "99999999999999999999 does not fit int64 - at `n`"),
        (b'{"x":1e999}', "Number out of range - at `x`"),
        (b'{"x":NaN}', "JSON is malformed: invalid character (byte 5)"),
        (b'{"z":1}', "Object contains unknown field `z`"),
        (b'{"at":"2026-01-01T00:00:00"}', "Expected `datetime` with a timezone component - at `at`"),
        (b'{"s":"\xff"}', "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
    ],
)
def test_what_cannot_be_is_told_by_its_place_and_the_rest_stays(value, reason):
    decoded = Decoder(TYPES).decode([b'{"n":1}', value, b'{"n":3}'])
    assert (list(decoded.kept), decoded.columns["n"].to_pylist()) == ([0, 2], [1, 3])
    assert decoded.bad == {1: reason}


def test_two_messages_in_one_and_none_in_another_are_not_taken_for_two():
    decoded = Decoder({"n": pa.int64()}).decode([b'{"n":1}\n{"n":2}', b"", b'{"n":\n3}'])
    assert (list(decoded.kept), list(decoded.bad)) == ([2], [0, 1])
    assert decoded.columns["n"].to_pylist() == [3]


def test_types_are_exact():
    assert column(pa.uint64(), b"18446744073709551615", b"-1", b"18446744073709551616") == (
        [2**64 - 1],
        ["Expected `int` >= 0 - at `a`", "18446744073709551616 does not fit uint64 - at `a`"],
    )
    assert column(pa.int8(), b"127", b"128") == ([127], ["Expected `int` <= 127 - at `a`"])
    assert column(pa.decimal128(5, 2), b"1.25", b'"999.99"', b"1.255") == (
        [Decimal("1.25"), Decimal("999.99")],
        ["1.255 does not fit decimal128(5, 2) - at `a`"],
    )
    assert column(pa.timestamp("s"), b'"2026-01-01T00:00:01"', b'"2026-01-01T00:00:00.5"')[1] == [
        "2026-01-01 00:00:00.500000 does not fit timestamp[s] - at `a`"
    ]
    assert column(pa.list_(pa.float32()), b"[1, null, 2.5]", b'["x"]')[0] == [[1.0, None, 2.5]]
    assert column(pa.dictionary(pa.int32(), pa.string()), b'"x"', b'"y"', b'"x"')[0] == ["x", "y", "x"]
    assert column(pa.binary(), b'"AAE="')[0] == [b"\x00\x01"]


def test_a_column_as_text_keeps_the_value_as_it_stands():
    decoded = Decoder({"a": pa.string(), "n": pa.int64()}, as_text=["a"]).decode([b'{"a": {"b": [1.10, 2]}}', b'{"a":7}', b'{"n":1}'])
    assert decoded.columns["a"].to_pylist() == ['{"b": [1.10, 2]}', "7", None]


def test_fields_that_are_no_column_are_passed_over_where_that_is_said():
    assert Decoder({"n": pa.int64()}, unknown=True).decode([b'{"n":1,"z":[{}]}']).columns["n"].to_pylist() == [1]


def test_a_type_that_no_json_has_is_refused():
    with pytest.raises(DataError, match=r"column 'a': no JSON value is a duration\[s\]"):
        Decoder({"a": pa.duration("s")})
