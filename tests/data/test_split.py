"""Splits: which rows are for what, by time and by hash, the same on every machine."""

import hashlib
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import ConfigError, DataError
from raypipe.data.split import columns, counts, mask, part_of, rule

BY_TIME = rule("time", on="at", validation_from="2013-10-01", test_from="2013-11-01T12:00:00")
BY_HASH = rule("hash", key="id", validation=0.2, test=0.1)


def at(*times, type=None):
    return pa.table({"at": pa.array(times, type)})


def test_by_time_bounds_belong_to_the_later_part():
    rows = at(datetime(2013, 9, 30, 23, 59, 59), datetime(2013, 10, 1), datetime(2013, 11, 1, 11, 59), datetime(2013, 11, 1, 12))
    assert part_of(BY_TIME, rows).to_pylist() == ["train", "validation", "validation", "test"]
    assert counts(BY_TIME, rows) == {"train": 1, "validation": 2, "test": 1}
    assert rows.filter(mask(BY_TIME, rows, "test")).num_rows == 1
    assert columns(BY_TIME) == ("at",)


@pytest.mark.parametrize("type", [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns"), pa.date32(), pa.date64()])
def test_by_time_takes_every_unit_and_dates(type):
    days = [date(1900, 1, 1), date(2013, 9, 30), date(2013, 10, 1), date(2013, 11, 1), date(2013, 11, 2)]
    values = [datetime(d.year, d.month, d.day) for d in days] if pa.types.is_timestamp(type) else days
    assert part_of(BY_TIME, at(*values, type=type)).to_pylist() == ["train", "train", "validation", "validation", "test"]


def test_a_bound_inside_a_unit_is_not_reached_by_it():
    fine = rule("time", on="at", validation_from="2013-10-01T00:00:00.5", test_from="2014-01-01")
    rows = at(datetime(2013, 10, 1), datetime(2013, 10, 1, 0, 0, 1), type=pa.timestamp("s"))
    assert part_of(fine, rows).to_pylist() == ["train", "validation"]


def test_bounds_are_in_the_columns_time_zone():
    zone = pa.timestamp("us", "America/New_York")
    rows = pa.table({"at": pa.array([datetime(2013, 10, 1, 3, 59), datetime(2013, 10, 1, 4, 0)], pa.timestamp("us", "UTC")).cast(zone)})
    assert part_of(BY_TIME, rows).to_pylist() == ["train", "validation"]
    explicit = rule("time", on="at", validation_from="2013-10-01T04:00:00+00:00", test_from="2014-01-01T00:00:00+00:00")
    assert part_of(explicit, rows).to_pylist() == ["train", "validation"]
    with pytest.raises(DataError, match="has a time zone, column 'at' has none"):
        part_of(explicit, at(datetime(2013, 1, 1)))


def test_by_hash_follows_the_stated_arithmetic():
    salted = rule("hash", key="id", validation=0.3, test=0.3, salt="again")
    values = [f"N{n}" for n in range(2000)]

    def expected(value):
        h = int.from_bytes(hashlib.sha256(b"again\x1f" + value.encode()).digest()[:8], "big") / 2**64
        return "test" if h < 0.3 else "validation" if h < 0.6 else "train"

    assert part_of(salted, pa.table({"id": values})).to_pylist() == [expected(v) for v in values]


def test_by_hash_shares_are_kept_and_equal_keys_stay_together():
    rows = pa.table({"id": np.random.default_rng(0).integers(0, 20_000, 100_000)})
    found = np.array(part_of(BY_HASH, rows).to_pylist())
    assert abs((found == "test").mean() - 0.1) < 0.01
    assert abs((found == "validation").mean() - 0.2) < 0.01
    by_key = dict(zip(rows["id"].to_pylist(), found, strict=True))
    assert all(by_key[key] == part for key, part in zip(rows["id"].to_pylist(), found, strict=True))


def test_by_hash_the_type_does_not_matter_and_neither_do_chunks():
    ids = pa.chunked_array([[1, 2], [3, 2]])
    parts = part_of(BY_HASH, pa.table({"id": ids})).to_pylist()
    for type in (pa.int8(), pa.uint64(), pa.string(), pa.large_string()):
        assert part_of(BY_HASH, pa.table({"id": ids.cast(type)})).to_pylist() == parts
    assert part_of(BY_HASH, pa.table({"id": ids.cast(pa.string()).dictionary_encode()})).to_pylist() == parts


def test_another_share_for_validation_moves_no_test_row():
    rows = pa.table({"id": np.arange(5000)})
    other = rule("hash", key="id", validation=0.5, test=0.1)
    assert mask(BY_HASH, rows, "test").equals(mask(other, rows, "test"))
    assert not mask(BY_HASH, rows, "test").equals(mask(rule("hash", key="id", validation=0.2, test=0.1, salt="x"), rows, "test"))


def test_no_rows_have_no_parts():
    assert part_of(BY_HASH, pa.table({"id": pa.array([], pa.string())})).to_pylist() == []
    assert counts(BY_TIME, at(type=pa.timestamp("us"))) == {"train": 0, "validation": 0, "test": 0}


@pytest.mark.parametrize(
    ("the_rule", "rows", "text"),
    [
        (BY_TIME, at(None, datetime(2013, 1, 1)), "column 'at': 1 of 2 rows are null and belong to no part of the split by time"),
        (BY_TIME, at("2013-01-01"), "column 'at' is string, the split by time expects a timestamp or a date"),
        (BY_TIME, pa.table({"att": [1]}), "the split reads column 'at', which is not there. Did you mean 'att'?"),
        (BY_HASH, pa.table({"id": [None, "a"]}), "column 'id': 1 of 2 rows are null"),
        (BY_HASH, pa.table({"id": [1.5]}), "column 'id' is float64, the split by hash expects string, integer, bool or date"),
    ],
)
def test_rows_that_cannot_be_split_are_refused(the_rule, rows, text):
    with pytest.raises(DataError) as error:
        mask(the_rule, rows, "train")
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("by", "settings", "text"),
    [
        ("random", {}, "by is 'random', expected time or hash"),
        ("time", {"on": "at", "validation_from": "2013-10-01"}, "test_from is None, expected a date or time"),
        ("time", {"on": "at", "validation_from": "October", "test_from": 3}, "validation_from is 'October'.*; test_from is 3"),
        ("time", {"on": "at", "validation_from": "2013-12-01", "test_from": "2013-11-01"}, "is not before test_from 2013-11-01"),
        ("time", {"on": "at", "validation_from": "2013-01-01", "test_from": "2013-11-01T00:00:00Z"}, "one has a time zone"),
        ("time", {"at": "at"}, "'at' is no setting of a split by time"),
        ("hash", {"validation": 0.1, "test": 0.1}, "key is None, expected the name of a column"),
        ("hash", {"key": "id", "validation": 0.6, "test": 0.4}, "leave nothing to train on"),
        ("hash", {"key": "id", "validation": 0, "test": "0.4"}, "validation is 0, expected a share.*; test is '0.4'"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(by, settings, text):
    with pytest.raises(ConfigError, match=text):
        rule(by, **settings)
