"""Murmur3 against the vectors of Iceberg's specification, and what DuckDB 1.5 answers for the same values."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.data.lake.murmur import bucket_problem, buckets, hashes


def of(value, type_):
    return int(hashes(pa.array([value], type_)).astype(np.int32)[0])


@pytest.mark.parametrize("type_", [pa.int8(), pa.int16(), pa.int32(), pa.int64()])
def test_integers_of_every_width(type_):
    assert of(34, type_) == 2017239379
    assert of(-1, type_) == 1651860712


def test_times():
    moment = datetime.datetime(2017, 11, 16, 22, 31, 8)
    assert of(datetime.date(2017, 11, 16), pa.date32()) == of(datetime.date(2017, 11, 16), pa.date64()) == -653330422
    assert of(datetime.time(22, 31, 8), pa.time64("us")) == of(datetime.time(22, 31, 8), pa.time32("s")) == -662762989
    assert of(moment, pa.timestamp("us")) == of(moment, pa.timestamp("s")) == -2047944441
    assert of(moment.replace(tzinfo=datetime.UTC), pa.timestamp("us", "America/Los_Angeles")) == -2047944441
    assert of(moment.replace(microsecond=1), pa.timestamp("us")) == -1207196810


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_text(type_):
    assert of("iceberg", type_) == 1210000089
    assert of("", type_) == 0
    assert of("é", type_) == 269551495
    assert of("abcde", type_) == -392455434


@pytest.mark.parametrize("type_", [pa.binary(), pa.large_binary(), pa.binary(4)])
def test_binary(type_):
    assert of(b"\x00\x01\x02\x03", type_) == -188683207


@given(st.lists(st.one_of(st.none(), st.binary(max_size=23)), max_size=20))
def test_any_bytes_as_the_reference_has_them(values):
    found = hashes(pa.array([b"before", *values], pa.binary()).slice(1))
    assert [h for h, v in zip(found, values, strict=True) if v is not None] == [reference(v) for v in values if v is not None]


def reference(data):
    """The algorithm as its author wrote it, a value at a time."""
    mask, h = 0xFFFFFFFF, 0
    whole = len(data) - len(data) % 4
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, whole, 4)]
    for i, k in enumerate([*words, int.from_bytes(data[whole:], "little")]):
        k = k * 0xCC9E2D51 & mask
        h ^= (k << 15 | k >> 17) * 0x1B873593 & mask
        if i < len(words):
            h = ((h << 13 | h >> 19) & mask) * 5 + 0xE6546B64 & mask
    h ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ h >> shift) * factor & mask
    return h ^ h >> 16


def test_buckets_are_of_the_positive_part():
    column = pa.chunked_array([pa.array([34, None]), pa.array([-1, 5])])
    expected = [None if v is None else (reference(v.to_bytes(8, "little", signed=True)) & 0x7FFFFFFF) % 16 for v in column.to_pylist()]
    assert buckets(column, 16).to_pylist() == expected
    assert buckets(pa.chunked_array([], pa.string()), 4).to_pylist() == []
    assert buckets(pa.chunked_array([[None]], pa.dictionary(pa.int8(), pa.string())), 4).to_pylist() == [None]


@pytest.mark.parametrize(
    "type_", [pa.uint8(), pa.float64(), pa.decimal128(9, 2), pa.timestamp("ns"), pa.bool_(), pa.list_(pa.int8()), pa.uuid()]
)
def test_types_without_buckets(type_):
    assert bucket_problem(type_)
    with pytest.raises(TypeError, match="buckets are of signed integers"):
        buckets(pa.chunked_array([], type_), 4)
