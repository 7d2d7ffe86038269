"""Bodies into rows: every wrong field named at once, and nothing let through that JSON does not say."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.bundle.signature import Field, Signature
from raypipe.serve.records import Form, decode, decode_slowly
from raypipe.serve.refusal import Refused

FIELDS = (
    Field("distance", "float64", nullable=False),
    Field("hour", "int32", nullable=False),
    Field("carrier", "string", nullable=True),
    Field("at", "timestamp[us]", nullable=True),
)
FORM = Form.of(Signature(FIELDS, ("distance",), "late", ("false", "true")))
GOOD = {"distance": 1400.5, "hour": 5, "carrier": "UA: x", "at": "2013-10-01T05:15:00"}


def refused(body: object) -> Refused:
    with pytest.raises(Refused) as caught:
        FORM.read(body if isinstance(body, bytes) else json.dumps(body).encode(), 100)
    return caught.value


@pytest.mark.parametrize("body", [[GOOD], {"instances": [GOOD]}, [dict(reversed(GOOD.items()))]])
def test_both_shapes_give_the_signatures_columns(body: object):
    rows = FORM.read(json.dumps(body).encode(), 100)
    assert rows.schema == pa.schema(
        [("distance", pa.float64()), ("hour", pa.int32()), ("carrier", pa.string()), ("at", pa.timestamp("us"))]
    )
    assert rows.num_rows == 1
    assert rows["carrier"].to_pylist() == ["UA: x"]


def test_every_bad_field_of_every_bad_row_is_listed():
    error = refused([GOOD, {**GOOD, "distance": "far", "hour": 1.5}, {"hour": None, "distnce": 1.0}])
    assert error.status == 422
    assert error.num_bad == 5
    assert [(f.row, f.field, f.found) for f in error.fields] == [
        (1, "distance", "string"),
        (1, "hour", "a number with a fraction"),
        (2, "distance", "nothing"),
        (2, "distnce", "an unknown field"),
        (2, "hour", "null"),
    ]
    assert error.fields[0].expected == "number (float64)"
    assert error.fields[3].expected == "one of the model's fields. Did you mean 'distance'?"
    assert error.message == "5 fields are not what the model takes. Record 1, 'distance': found string, expected number (float64)."


def test_twenty_bad_fields_are_listed_and_all_are_counted():
    error = refused([{**GOOD, "hour": "x"}] * 90)
    assert (len(error.fields), error.num_bad) == (20, 90)


def test_a_hundred_thousand_unknown_fields_are_refused_quickly():
    error = refused([dict.fromkeys((f"f{i}" for i in range(50_000)), 1)])
    assert len(error.fields) == 20


def test_a_null_that_is_not_allowed_and_one_that_is():
    assert refused([{**GOOD, "hour": None}]).fields[0].found == "null"
    assert FORM.read(json.dumps([{**GOOD, "carrier": None, "at": None}]).encode(), 100)["at"].null_count == 1
    assert FORM.read(b'[{"distance": 1, "hour": 2}]', 100)["carrier"].null_count == 1


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "The body is empty"),
        (b"[", 400, "not valid JSON"),
        (b"\xff[]", 400, "not valid JSON"),
        (b'[{"carrier": "\xff"}]', 400, "not UTF-8"),
        (b'[{"carrier": "\\ud800"}]', 400, "not valid JSON"),
        (b'[{"distance": NaN}]', 400, "NaN and Infinity are not JSON: write null"),
        (b'[{"distance": 1e999, "carrier": NaN}]', 400, "NaN is no JSON number; write null"),
        (b"[" * 50_000, 400, "nested too deeply"),
        (b'[{"distance": 1, "hour": 2, "hour": 3}]', 400, "the field 'hour' twice"),
        (b'[{"distance": 1, "hour": 2, "carrier": "\\u003a", "carrier": "a"}]', 400, "the field 'carrier' twice"),
        (b'{"instances": [], "instances": [{"distance": 1, "hour": 2}]}', 400, "the field 'instances' twice"),
        (b"{}", 422, "The body is an object"),
        (b"3", 422, "The body is a number"),
        (b"null", 422, "The body is null"),
        (b"[]", 422, "There are no records"),
        (b'{"instances": 3}', 422, "The body is a number"),
        (b'{"instances": [], "x": 1}', 422, "Beside 'instances' nothing is taken; found 'x'"),
        (b"[3]", 422, "Record 0: found number, expected an object"),
        (b"[{}]", 422, "Record 0: found an empty object"),
        (b"[" + b",".join([b"{}"] * 101) + b"]", 413, "101 records in one request; at most 100"),
    ],
)
def test_other_bodies_are_refused_in_one_line(body: bytes, status: int, message: str):
    error = refused(body)
    assert error.status == status
    assert message in error.message
    assert "\n" not in error.message


def test_numbers_out_of_range_are_named_by_field():
    error = refused(b'[{"distance": 1e999, "hour": 99999999999}]')
    assert [(f.field, f.found) for f in error.fields] == [("distance", "a value out of range"), ("hour", "a value out of range")]
    assert refused(b'[{"distance": ' + b"9" * 5_000 + b', "hour": 1}]').fields[0].field == "distance"


def test_more_distinct_values_than_a_dictionary_holds_are_refused():
    form = Form.of(Signature((Field("carrier", "dictionary<string, int8>"),), (), "late", ("false", "true")))
    with pytest.raises(Refused, match="send fewer"):
        form.read(json.dumps([{"carrier": str(i)} for i in range(300)]).encode(), 1000)
    assert form.read(b'[{"carrier": "a"}]', 1000)["carrier"].to_pylist() == ["a"]


def test_a_long_or_unprintable_name_is_cut():
    shown = refused([{**GOOD, "x\n" + "y" * 10_000: 1}]).fields[0].field
    assert shown.startswith("x?y")
    assert len(shown) < 100


@given(st.dictionaries(st.text(max_size=5), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)))
@settings(max_examples=50, deadline=None)
def test_both_decoders_agree(document: dict):
    body = json.dumps(document).encode()
    assert decode(body) == decode_slowly(body) == document


@given(
    st.lists(
        st.fixed_dictionaries(
            {"distance": st.floats(allow_nan=False, allow_infinity=False), "hour": st.integers(0, 23)},
            optional={"carrier": st.none() | st.text(st.characters(exclude_categories=["Cs"]))},
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=100, deadline=None)
def test_good_records_come_through_unchanged(rows: list[dict]):
    for text in (json.dumps(rows), json.dumps(rows, ensure_ascii=False)):
        table = FORM.read(text.encode(), 100)
        expected = [{"carrier": None, "at": None, **row} for row in rows]
        assert table.to_pylist() == expected
