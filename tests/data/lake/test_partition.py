"""How rows are parted into files and sorted within them."""

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.lake.partition import Key, Layout, Order, folder, layout, ordered, parts, problems, setting_problems, texts

UTC = datetime.UTC
AT = datetime.datetime(2020, 2, 3, 4, 5, 6, 120_000)


def test_settings_as_people_write_them():
    found = layout(["region", " Year( at )", "bucket(16, user id)"], ["at desc", "user id", "x ASC"])
    assert found.partition_by == (Key("region"), Key("at", "year"), Key("user id", "bucket", 16))
    assert found.sort_by == (Order("at", True), Order("user id"), Order("x"))
    assert layout(list(map(str, found.partition_by)), list(map(str, found.sort_by))) == found
    assert found.renamed({"at": "when"}).partition_by[1] == Key("when", "year")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["week(at)"], "'week\\(at\\)' is none of what a table can be partitioned by: a column, year"),
        (["bucket(0, x)"], "at least one bucket"),
    ],
)
def test_what_cannot_be_read(keys, told):
    with pytest.raises(DataError, match=told):
        layout(keys)


def test_a_layout_that_does_not_fit_the_columns():
    schema = pa.schema([("f", pa.float64()), ("l", pa.list_(pa.int8())), ("s", pa.string()), ("d", pa.date32())])
    wanted = layout(["f", "bucket(4, f)", "year(s)", "hour(d)", "ss", "s", "s"], ["l", "g"])
    assert problems(wanted, schema) == [
        "partition_by f: the column is float64, expected integers, text, bool, decimals, dates or timestamps; round it in a column of its "
        "own, or take bucket(16, ...)",
        "partition_by bucket(4, f): the column is float64, and buckets are of signed integers, text, binary, dates, and times and "
        "timestamps of at most microseconds",
        "partition_by year(s): the column is string, expected a timestamp or a date",
        "partition_by hour(d): the column is date32, expected a timestamp",
        "partition_by ss: the table has no column 'ss'. Did you mean 's'?",
        "sort_by l: the column is list<int8>, and rows are sorted by numbers, text, bytes and times",
        "sort_by g: the table has no column 'g'. Valid: d, f, l, s.",
        "partition_by names s twice",
    ]
    assert problems(layout(["s", "year(d)", "bucket(2, s)"], ["f desc"]), schema) == []


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        (Key("x"), pa.array([7, None], pa.uint8()), ["7", None]),
        (Key("x"), pa.array([True, False]), ["true", "false"]),
        (Key("x"), pa.array(["a/b", None, ""]).dictionary_encode(), ["a/b", None, ""]),
        (Key("x"), pa.array([Decimal("-1.50")]), ["-1.50"]),
        (Key("x"), pa.array([AT.date()], pa.date64()), ["2020-02-03"]),
        (Key("x"), pa.array([AT], pa.timestamp("ns")), ["2020-02-03 04:05:06.12"]),
        (Key("x"), pa.array([AT.replace(microsecond=0)], pa.timestamp("us")), ["2020-02-03 04:05:06"]),
        (Key("x"), pa.array([AT], pa.timestamp("us", "Europe/Berlin")), ["2020-02-03 04:05:06.12+00"]),
        (Key("x", "year"), pa.array([AT, None]), ["2020", None]),
        (Key("x", "month"), pa.array([AT.date()]), ["2"]),
        (Key("x", "day"), pa.array([AT.replace(tzinfo=UTC)], pa.timestamp("us", "Pacific/Auckland")), ["3"]),
        (Key("x", "hour"), pa.array([AT.replace(tzinfo=UTC)], pa.timestamp("s", "Pacific/Auckland")), ["4"]),
        (Key("x", "bucket", 16), pa.array([34, None]), ["3", None]),
    ],
)
def test_values_as_duckdb_writes_them(key, values, expected):
    assert texts(pa.chunked_array([values]), key).to_pylist() == expected


def test_names_of_folders_are_safe():
    keys = [Key("at", "year"), Key("to", "year"), Key("a/../b"), Key("x", "bucket", 4), Key("year")]
    assert folder(keys, ("2020", None, "é =..", "3", "")) == (
        "year=2020/year_to=__HIVE_DEFAULT_PARTITION__/a%2F..%2Fb=%C3%A9%20%3D../bucket=3/year_year="
    )
    assert folder([], ()) == ""


def test_a_long_value_is_cut_and_stays_its_own():
    one, two = (folder([Key("s")], ("é" * 300 + end,)) for end in "ab")
    assert one != two
    assert len(one) <= 202
    assert one.startswith("s=%C3%A9")


def test_rows_keep_their_order_within_a_partition():
    rows = pa.table({"k": ["b", "a", None, "b", "a"], "at": [AT] * 5, "n": [1, 2, 3, 4, 5]})
    found = [(values, part["n"].to_pylist()) for values, part in parts(rows, layout(["k", "year(at)"]).partition_by)]
    assert found == [(("a", "2020"), [2, 5]), (("b", "2020"), [1, 4]), ((None, "2020"), [3])]
    assert list(parts(rows, ())) == [((), rows)]
    assert list(parts(rows.slice(0, 0), (Key("k"),))) == []


@given(st.lists(st.tuples(st.sampled_from(["a", "", None]), st.integers(0, 3)), max_size=30))
def test_every_row_is_in_one_part(values):
    rows = pa.table({"k": pa.array([k for k, _ in values], pa.string()), "i": pa.array([i for _, i in values], pa.int64())})
    rows = rows.append_column("n", pa.array(range(len(values)), pa.int64()))
    found = dict(parts(rows, (Key("i"), Key("k"))))
    assert sorted(n for part in found.values() for n in part["n"].to_pylist()) == list(range(len(values)))
    for (i, k), part in found.items():
        assert {(str(a), b) for a, b in zip(part["i"].to_pylist(), part["k"].to_pylist(), strict=True)} == {(i, k)}


def test_too_many_partitions_say_which_key_is_too_fine():
    rows = pa.table({"user": range(50), "region": ["x"] * 50})
    with pytest.raises(
        DataError, match=r"the rows of one file fall into 50 partitions \(region has 1, user has 50 different values\).*at most 9"
    ):
        list(parts(rows, (Key("region"), Key("user")), max_partitions=9))


def test_sorting_is_stable_and_puts_nulls_last():
    rows = pa.table({"a": [2, None, 1, 2], "s": pa.array(["x", "y", None, "z"]).dictionary_encode(), "n": [0, 1, 2, 3]})
    assert ordered(rows, (Order("a"),))["n"].to_pylist() == [2, 0, 3, 1]
    assert ordered(rows, (Order("a", True), Order("s", True)))["n"].to_pylist() == [3, 0, 2, 1]
    assert ordered(rows, ()) is rows
    assert Layout() == layout()


def test_settings_that_do_not_fit_are_told_by_their_key():
    types = {"s": pa.string(), "n": pa.int64()}
    assert setting_problems(["week(s)"], ["m", "n"], types) == [
        ("partition_by", "'week(s)' is none of what a table can be partitioned by: a column, year(column), month(column), day(column), "
         "hour(column) or bucket(16, column)"),
        ("sort_by", "m: the table has no column 'm'. Valid: n, s."),
    ]  # fmt: skip
    assert setting_problems(["year(s)"], [], types) == [("partition_by", "year(s): the column is string, expected a timestamp or a date")]
    assert setting_problems(["year(s)"], [], None) == []
