"""Arrow's types by name: every name is read back as the type it was written for."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.types import fields_from_json, fields_to_json, is_type, parse_type, type_name

TYPES = [
    pa.int8(),
    pa.uint64(),
    pa.float16(),
    pa.float32(),
    pa.float64(),
    pa.bool_(),
    pa.string(),
    pa.large_string(),
    pa.binary(),
    pa.date32(),
    pa.date64(),
    pa.time32("ms"),
    pa.time64("ns"),
    pa.timestamp("us"),
    pa.timestamp("ns", "America/New_York"),
    pa.duration("s"),
    pa.decimal32(7, 2),
    pa.decimal64(15, -3),
    pa.decimal128(10, 2),
    pa.binary(16),
    pa.list_(pa.float32()),
    pa.list_(pa.float32(), 3),
    pa.large_list(pa.int64()),
    pa.list_(pa.list_(pa.string())),
    pa.dictionary(pa.int32(), pa.string()),
    pa.dictionary(pa.int8(), pa.int64(), ordered=True),
    pa.null(),
    pa.struct([]),
    pa.struct([("a", pa.int64()), ("p", pa.struct([("d", pa.decimal128(10, 2)), ("t", pa.timestamp("us", "UTC"))]))]),
    pa.list_(pa.struct([("x", pa.list_(pa.float32(), 3)), ("k", pa.dictionary(pa.int32(), pa.string()))])),
    pa.map_(pa.string(), pa.struct([("a", pa.int8()), ("b", pa.map_(pa.int64(), pa.bool_()))])),
]


@pytest.mark.parametrize("type", TYPES, ids=str)
def test_a_name_is_read_back_as_its_type(type):
    assert parse_type(type_name(type)) == type


def test_names_are_those_people_write():
    assert [type_name(t) for t in (pa.float64(), pa.float32(), pa.date32())] == ["float64", "float32", "date32"]


def test_arrows_own_names_are_taken_too():
    assert (parse_type("double"), parse_type("float")) == (pa.float64(), pa.float32())


def test_a_misspelt_type_names_the_nearest():
    with pytest.raises(DataError, match=r"'int46' is no type\. Did you mean 'int64'\?"):
        parse_type("int46")
    assert not is_type("text")


def test_fields_travel_as_json():
    schema = pa.schema([("x", pa.float64()), ("at", pa.timestamp("us", "UTC"))])
    assert fields_from_json(fields_to_json(schema)) == schema
