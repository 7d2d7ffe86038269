"""Splits: which rows are for what, by time and by hash, the same on every machine."""

import hashlib
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError, DataError
from raypipe.data.parts import hashes
from raypipe.data.split import columns, counts, mask, part_of, rule

BY_TIME = rule("time", on="at", validation_from="2013-10-01", test_from="2013-11-01T12:00:00")
BY_HASH = rule("hash", key="id", validation=0.2, test=0.1)

TIMES = {"on": "at", "validation_from": "2013-10-01", "test_from": "2013-11-01"}


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


FROZEN = {
    ("", "text"): {"": "ffe679bb831c95b6", "AA": "71e4f5d21cfe81b0", "é": "7429efd0e8d993f8", "日本 🎉": "ad467aa7e0f0b1e2"},
    ("v2", "text"): {"": "4ae2881dcaf236a4", "AA": "c925e6195f4dbb31", "é": "e16dad027ab9dcf7", "日本 🎉": "6453b7f6be45295a"},
    ("", "bigint"): {-1: "a2ac3642fd5645f4", 0: "110bc268fbce35b0", 2**63 - 1: "6551596a7ad60644"},
    ("", "boolean"): {True: "615f0b163d2ef1c2", False: "24b62a20047f5349"},
    ("v2", "date"): {date(2013, 10, 1): "245ecaac72958bf9"},
}
"""Salt and DuckDB's type -> key -> hash, as they were when tables were first split by them: they may never change."""


@pytest.mark.parametrize(("salt", "type"), FROZEN)
def test_a_key_has_the_hash_that_it_always_had_and_that_another_engine_computes(salt, type):
    import duckdb

    expected = FROZEN[salt, type]
    rows = pa.table({"k": list(expected)})
    assert [f"{value:016x}" for value in hashes(rule("hash", key="k", validation=0.1, test=0.1, salt=salt), rows).tolist()] == [
        *expected.values()
    ]
    theirs = duckdb.sql(f"select substr(sha256('{salt}' || chr(31) || k::{type}::text), 1, 16) from rows")
    assert theirs is not None
    assert [value for (value,) in theirs.fetchall()] == list(expected.values())


def test_parts_that_were_frozen():
    keys = pa.table({"k": list(range(12))})
    folds = rule("folds", key="k", folds=5, fold=2, test=0.2)
    assert "".join(part[1] for part in part_of(folds, keys).to_pylist()) == "errrrerereea"
    pair = rule("group", key=["a", "b"], validation=0.3, test=0.3)
    assert [f"{value:016x}" for value in hashes(pair, pa.table({"a": ["x", "é"], "b": [1, 2]})).tolist()] == [
        "260c8c48389a2455",
        "3b7109ef9dcb6d35",
    ]


@pytest.mark.parametrize("bound", ["2013-11-03T01:30:00", "2013-03-10T02:30:00"])
def test_a_bound_that_a_zone_has_twice_or_never_is_refused(bound):
    rows = pa.table({"at": pa.array([0], pa.timestamp("us", "America/New_York"))})
    with pytest.raises(DataError, match=f"validation_from is {bound}, and America/New_York has that time not once, as its clocks change"):
        part_of(rule("time", on="at", validation_from=bound, test_from="2014-01-01"), rows)


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
        (BY_HASH, pa.table({"id": [None, None]}), "column 'id': 2 of 2 rows are null"),
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
        ("random", {}, "by is 'random', expected time, hash, group, stratified, folds or given"),
        ("time", {"on": "at", "validation_from": "2013-10-01"}, "test_from is None, expected a date or time"),
        ("time", {"on": "at", "validation_from": "October", "test_from": 3}, "validation_from is 'October'.*; test_from is 3"),
        ("time", {"on": "at", "validation_from": "2013-12-01", "test_from": "2013-11-01"}, "is not before test_from 2013-11-01"),
        ("time", {"on": "at", "validation_from": "2013-01-01", "test_from": "2013-11-01T00:00:00Z"}, "one has a time zone"),
        ("time", {"at": "at"}, "'at' is no setting of a split by time"),
        ("hash", {"validation": 0.1, "test": 0.1}, "key is None, expected the name of a column"),
        ("hash", {"key": "id", "validation": 0.6, "test": 0.4}, "leave nothing to train on"),
        ("hash", {"key": "id", "validation": 0, "test": "0.4"}, "validation is 0, expected a share.*; test is '0.4'"),
        ("hash", {"key": ["a", "b"], "validation": 0.1, "test": 0.1}, "key is .*, expected the name of a column$"),
        ("time", {**TIMES, "embargo": "a week"}, "embargo is 'a week', expected a number of seconds, minutes, hours, days or weeks"),
        ("time", {**TIMES, "embargo": "0d"}, "embargo is '0d', expected more than nothing"),
        ("time", {**TIMES, "embargo": "31d"}, "embargo 31d before test_from 2013-11-01 leaves nothing from validation_from 2013-10-01 on"),
        ("group", {"key": ["a", "a"], "validation": 0.1, "test": 0.1}, "key is .*or a list of names"),
        ("stratified", {"key": "id", "validation": 0.1, "test": 0.1}, "within is None, expected the name of a column"),
        ("stratified", {"within": "y", "key": "i", "validation": 0.1, "test": 0.1, "cuts": {"a": ["1", "2"]}}, "cuts: expected value ->"),
        ("folds", {"key": "id", "folds": 5, "fold": 5, "test": 0.1}, "fold is 5, expected a whole number from 0 to 4"),
        ("folds", {"key": "id", "folds": 1, "fold": 0, "test": 0.1}, "folds is 1, expected a whole number from 2 to 1,000"),
        ("folds", {"key": "id", "folds": 2, "fold": 0, "test": 0}, "test is 0, expected a share"),
        ("given", {"column": "part", "parts": {"dev": "valid"}}, "parts.dev is 'valid', expected train, validation, test or none"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(by, settings, text):
    with pytest.raises(ConfigError, match=text):
        rule(by, **settings)


# --- with an embargo


@pytest.mark.parametrize("type", [pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "Asia/Tokyo"), pa.date32()])
def test_rows_of_the_embargo_belong_to_no_part(type):
    gap = rule("time", **TIMES, embargo="7d")
    days = [
        date(2013, 9, 23),
        date(2013, 9, 24),
        date(2013, 9, 30),
        date(2013, 10, 1),
        date(2013, 10, 24),
        date(2013, 10, 25),
        date(2013, 11, 1),
    ]
    if pa.types.is_timestamp(type):
        days = [datetime(d.year, d.month, d.day) - timedelta(hours=9 if type.tz else 0) for d in days]
    rows = at(*days, type=type)
    assert part_of(gap, rows).to_pylist() == ["train", "none", "none", "validation", "validation", "none", "test"]
    assert counts(gap, rows) == {"train": 1, "validation": 2, "test": 1, "none": 3}


@settings(deadline=None)
@given(st.lists(st.integers(-4_000_000, 4_000_000), max_size=50), st.integers(1, 100_000), st.integers(1, 3_000_000))
def test_with_an_embargo_no_two_parts_come_nearer_than_it(seconds, embargo, width):
    start = datetime(2013, 10, 1)
    bounds = {"on": "at", "validation_from": start.isoformat(), "test_from": (start + timedelta(seconds=width + embargo)).isoformat()}
    rows = at(*(start + timedelta(seconds=s) for s in seconds), type=pa.timestamp("s"))
    parts = part_of(rule("time", **bounds, embargo=f"{embargo}s"), rows).to_pylist()
    times = {p: [s for s, part in zip(seconds, parts, strict=True) if part == p] for p in ("train", "validation", "test")}
    plain = part_of(rule("time", **bounds), rows).to_pylist()
    assert all(part in (before, "none") for part, before in zip(parts, plain, strict=True))
    for earlier, later, bound in (("train", "validation", 0), ("validation", "test", width + embargo)):
        assert all(s < bound - embargo for s in times[earlier])
        assert all(s >= bound for s in times[later])


# --- by group


def test_by_group_follows_the_stated_arithmetic_and_is_by_hash_for_one_column():
    rows = pa.table({"site": ["a", "b", "a", "a"] * 50, "day": pa.array([1, 2, 1, 3] * 50), "n": np.arange(200)})
    pairs = rule("group", key=["site", "n"], validation=0.3, test=0.3, salt="s")

    def expected(site, n):
        h = int.from_bytes(hashlib.sha256(f"s\x1f{site}\x1f{n}".encode()).digest()[:8], "big") / 2**64
        return "test" if h < 0.3 else "validation" if h < 0.6 else "train"

    assert part_of(pairs, rows).to_pylist() == [expected(s, n) for s, n in zip(rows["site"].to_pylist(), range(200), strict=True)]
    assert columns(pairs) == ("site", "n")
    one = rule("group", key=["n"], validation=0.2, test=0.1)
    assert part_of(one, rows) == part_of(rule("hash", key="n", validation=0.2, test=0.1), rows)


# --- by folds


@settings(deadline=None)
@given(st.integers(2, 12), st.floats(0.01, 0.9), st.lists(st.text(max_size=5), max_size=40), st.booleans())
def test_of_folds_each_row_that_is_not_for_testing_is_for_validation_once(k, test, keys, grouped):
    rows = pa.table({"id": pa.array(keys, pa.string()), "also": pa.array([len(key) for key in keys], pa.int64())})
    key = ["id", "also"] if grouped else "id"
    folds = [part_of(rule("folds", key=key, folds=k, fold=i, test=test), rows).to_pylist() for i in range(k)]
    for found in zip(*folds, strict=True):
        assert found.count("test") in (0, k)
        assert found.count("validation") == (0 if "test" in found else 1)
    by = rule("group", key=key, validation=0.01, test=test) if test < 0.9 else None
    if by:
        assert mask(by, rows, "test").to_pylist() == [part == "test" for part in folds[0]]


def test_folds_are_about_alike():
    rows = pa.table({"id": np.arange(20_000)})
    for fold in range(5):
        assert abs(counts(rule("folds", key="id", folds=5, fold=fold, test=0.2), rows)["validation"] / 20_000 - 0.16) < 0.01


# --- given


def test_given_the_column_says_it():
    rows = pa.table({"part": pa.array(["train", "dev", "test", "held", "dev"]).dictionary_encode()})
    the_rule = rule("given", column="part", parts={"dev": "validation", "held": "none"})
    assert part_of(the_rule, rows).to_pylist() == ["train", "validation", "test", "none", "validation"]
    assert counts(the_rule, rows) == {"train": 1, "validation": 2, "test": 1, "none": 1}


def test_given_a_value_that_names_no_part_is_refused_with_its_count():
    rows = pa.table({"part": ["train", "dev", "dev", "Test", None]})
    with pytest.raises(DataError) as error:
        counts(rule("given", column="part"), rows)
    assert "column 'part': 1 of 5 rows are null" in str(error.value)
    assert "'dev' in 2 rows, 'Test' in 1 rows: that names no part. Expected train, validation, test" in str(error.value)
    with pytest.raises(DataError, match="'dev' in 2 rows"):
        mask(rule("given", column="part"), rows.slice(0, 3), "train")


# --- what holds for all

RULES = [
    BY_TIME,
    rule("time", **TIMES, embargo="3d"),
    rule("hash", key="id", validation=0.2, test=0.1),
    rule("group", key=["id", "y"], validation=0.2, test=0.1),
    rule("stratified", within="y", key="id", validation=0.2, test=0.1),
    rule("folds", key="id", folds=4, fold=1, test=0.1),
    rule("given", column="y", parts={"a": "train", "b": "test", "c": "none"}),
]


@pytest.mark.parametrize("the_rule", RULES, ids=lambda r: r["by"])
@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 200), st.sampled_from("abc")), max_size=30), st.randoms())
def test_a_rows_part_is_its_own_whatever_other_rows_there_are(the_rule, values, random):
    def rows(chosen):
        ids, days, ys = zip(*chosen, strict=True) if chosen else ((), (), ())
        times = pa.array([datetime(2013, 7, 1) + timedelta(days=d) for d in days], pa.timestamp("us"))
        return pa.table({"id": pa.array(ids, pa.int64()), "at": times, "y": pa.array(ys, pa.string())})

    whole = dict(zip(values, part_of(the_rule, rows(values)).to_pylist(), strict=True))
    some = random.sample(values, len(values) // 2)
    assert part_of(the_rule, rows(some)).to_pylist() == [whole[value] for value in some]
