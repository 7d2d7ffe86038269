"""Profiles of columns that are hard: exact figures as DuckDB has them, the others within the bounds that they state, however merged."""

import datetime
import decimal
import math
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.statistics.describe import SHARES, describe, flat, histogram
from raypipe.data.statistics.distinct import RELATIVE_ERROR, Distinct
from raypipe.data.statistics.encoded import Kept, from_bytes, to_bytes
from raypipe.data.statistics.hashes import bytes_hashes
from raypipe.data.statistics.profile import Profile, merge

N = 20_000
RNG = np.random.default_rng(7)
NORMAL = RNG.normal(size=N)
EVERY_OTHER = np.arange(N) % 2 == 0
COLUMNS: dict[str, Any] = {
    "constant": pa.array([3] * N),
    "all_null": pa.nulls(N, pa.float64()),
    "ascending": pa.array(np.arange(N)),
    "descending": pa.array(np.arange(N)[::-1] * 0.5),
    "heavy": pa.array(np.exp(8 * NORMAL)),
    "odd_floats": pa.array(np.where(EVERY_OTHER, NORMAL, RNG.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], N)), mask=RNG.random(N) < 0.1),
    "nan_alone": pa.array(np.full(N, np.nan)),
    "few_and_one": pa.array(np.where(RNG.random(N) < 0.4, 0.0, NORMAL)),
    "int64": pa.array(RNG.choice(np.array([-(2**63), 2**63 - 1, 0, -1, 1]), N)),
    "int64_wide": pa.array(RNG.integers(-(2**63), 2**63 - 1, N)),
    "uint64": pa.array(RNG.integers(0, 2**64 - 1, N, dtype=np.uint64)),
    "int8": pa.array(RNG.integers(-128, 128, N).astype(np.int8)),
    "float32": pa.array(NORMAL.astype(np.float32)),
    "float16": pa.array(NORMAL.astype(np.float16)),
    "decimal": pa.array(RNG.integers(-(10**9), 10**9, N)).cast(pa.decimal128(19, 0)).cast(pa.decimal128(21, 2)).cast(pa.decimal128(12, 2)),
    "wide_decimal": pa.array([decimal.Decimal(i) * 10**20 + decimal.Decimal("0.01") for i in range(N)], pa.decimal128(38, 2)),
    "flag": pa.array(EVERY_OTHER, mask=RNG.random(N) < 0.2),
    "day": pa.array(RNG.integers(-10_000, 20_000, N).astype(np.int32), pa.date32()),
    "zoned": pa.array(RNG.integers(-(10**15), 10**15, N), pa.timestamp("us", "Europe/Berlin")),
    "clock": pa.array(RNG.integers(0, 86_400_000_000, N), pa.time64("us")),
    "unicode": pa.array([f"{'ÄäßŒ日本🎉'[i % 7]}{i % 90}" for i in range(N)]),
    "unique_text": pa.array([f"user-{i * 7919 % 1_000_003}" for i in range(N)]),
    "lengthy": pa.array(["x" * (i % 700) for i in range(N)]),
    "with_empty": pa.array(["", None, "a", "\0", "a\0"] * (N // 5)),
    "coded": pa.array([None if i % 7 == 0 else f"c{i % 40}" for i in range(N)]).dictionary_encode(),
    "coded_numbers": pa.array([i % 40 for i in range(N)]).dictionary_encode(),
    "binary": pa.array([bytes([i % 256, i // 256 % 4]) for i in range(N)]),
    "tags": pa.array([None if i % 13 == 0 else [None if (i + j) % 5 == 0 else f"t{i * j % 3000}" for j in range(i % 4)] for i in range(N)]),
    "lists": pa.array([None if i % 11 == 0 else list(range(i % 5)) for i in range(N)]),
}
TABLE = pa.table(COLUMNS)
WHOLE = Profile.of(TABLE)
UNEVEN = np.cumsum([0, 1, 0, 137, 5_000, 9_999, N - 15_137])
MERGED = merge([Profile.of(TABLE.slice(a, b - a)) for a, b in zip(UNEVEN[:-1].tolist(), UNEVEN[1:].tolist(), strict=True)])


@pytest.fixture(scope="module")
def duck():
    connection = duckdb.connect()
    rows = TABLE.set_column(TABLE.column_names.index("float16"), "float16", TABLE["float16"].cast(pa.float32()))
    # DuckDB would need pytz to hand a time with a zone out.
    rows = rows.set_column(
        rows.column_names.index("zoned"), "zoned", rows["zoned"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    )
    connection.register("t", rows)
    return connection


def one(duck: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    return duck.execute(sql).fetchall()[0]


def value(name: str) -> str:
    is_float = pa.types.is_floating(TABLE.schema.field(name).type)
    return f'case when isnan("{name}") then null else "{name}" end' if is_float else f'"{name}"'


@pytest.mark.parametrize("profile", [WHOLE, MERGED], ids=["whole", "merged"])
@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("lists", "tags")])
def test_exact_figures_are_duckdbs_and_counts_of_values_within_their_bounds(duck, profile, name):
    column, told, x = profile[name], describe(profile[name]), value(name)
    assert (told["rows"], told["nulls"]) == one(duck, f'select count(*), count(*) - count("{name}") from t')
    low, high, distinct = one(duck, f"select min({x}), max({x}), count(distinct {x}) from t")
    counted = told["distinct"]
    if counted["exact"]:
        assert counted["value"] == distinct
    else:
        assert counted["low"] <= distinct <= counted["high"]
    if column.numbers is not None:
        assert same(told["min"], low, column.type)
        assert same(told["max"], high, column.type)
    if column.kind == "number":
        zeros, negative = one(duck, f"select count(*) filter ({x} = 0), count(*) filter ({x} < 0) from t")
        assert (told["zeros"], told["negative"]) == (zeros, negative)
        check_moments(duck, name, x, told)


def same(ours: Any, theirs: Any, type_name: str) -> bool:
    if theirs is None or ours is None:
        return ours is theirs
    if isinstance(theirs, float) and math.isinf(theirs):
        return ours == ("Infinity" if theirs > 0 else "-Infinity")
    if isinstance(theirs, datetime.datetime):
        return datetime.datetime.fromisoformat(ours.removesuffix("Z")) == theirs
    if isinstance(theirs, datetime.date | datetime.time):
        return ours == str(theirs).rstrip("0").rstrip(".") or ours == str(theirs)
    if isinstance(theirs, decimal.Decimal):
        return decimal.Decimal(str(ours)) == theirs or math.isclose(float(ours), float(theirs), rel_tol=1e-15)
    return ours == theirs


def check_moments(duck: Any, name: str, x: str, told: Any) -> None:
    finite = f"case when isfinite({x}::double) then {x}::double end"
    mean, deviation = one(duck, f"select avg(v), stddev(v / 1e30) * 1e30 from (select {finite} as v from t)")
    if mean is None:
        assert told["mean"] is None
        return
    assert float(told["mean"]) == pytest.approx(mean, rel=1e-9, abs=1e-9 * (deviation or 1))
    assert told["stddev"] == pytest.approx(deviation, rel=1e-9, abs=1e-12 * abs(mean))
    if name in ("few_and_one", "float32", "int8", "ascending"):
        skewness, kurtosis = one(duck, f"select skewness(v), kurtosis(v) from (select {finite} as v from t)")
        assert told["skewness"] == pytest.approx(skewness, rel=1e-7, abs=1e-7)
        assert told["kurtosis"] == pytest.approx(kurtosis, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("profile", [WHOLE, MERGED], ids=["whole", "merged"])
@pytest.mark.parametrize("name", [name for name, column in WHOLE.columns.items() if column.numbers is not None and column.numbers.n])
def test_ranks_are_within_their_stated_error_and_histograms_with_them(profile, name):
    numbers = profile[name].numbers
    plain = TABLE[name].cast(pa.int64()) if name == "coded_numbers" else TABLE[name]
    values = sorted_values(plain, profile[name])
    ranks = numbers.ranks
    assert ranks.n == len(values)
    edges = np.concatenate([values[:: len(values) // 500 or 1], ranks.points[::7]])
    true = np.searchsorted(values, edges, side="right")
    assert np.abs(ranks.at_most(edges) - true).max() <= ranks.error <= 0.0015 * N
    shares = np.array(SHARES)
    found = ranks.quantiles(SHARES)
    upto, below = np.searchsorted(values, found, side="right"), np.searchsorted(values, found, side="left")
    assert (upto >= shares * len(values) - ranks.error - 1e-6).all()
    assert (below <= shares * len(values) + ranks.error + 1e-6).all()
    bars = histogram(numbers)
    if bars is not None and len(bars.counts) > 1:
        truth = np.diff(np.searchsorted(values, bars.edges, side="right"))
        truth[0] += int(np.searchsorted(values, bars.edges[0], side="right") - np.searchsorted(values, bars.edges[0], side="left"))
        assert np.abs(bars.counts - truth).max() <= bars.error
        assert bars.counts.sum() + bars.below + bars.above == len(values)


def sorted_values(column: Any, profile: Any) -> np.ndarray:
    present = column.drop_null().combine_chunks()
    if profile.is_rounded:
        return np.sort(present.cast(pa.float64()).to_numpy())
    if profile.scale:
        return np.sort(np.array([int(v.scaleb(profile.scale)) for v in present.to_pylist()]))
    if pa.types.is_temporal(column.type):
        present = present.view(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
    values = present.to_numpy(zero_copy_only=False)
    values = values.astype(np.float32) if values.dtype == np.float16 else values
    return np.sort(values[values == values])


@pytest.mark.parametrize("profile", [WHOLE, MERGED], ids=["whole", "merged"])
@pytest.mark.parametrize("name", ["unicode", "coded", "constant", "few_and_one", "flag", "with_empty", "int8", "lengthy"])
def test_frequent_values_are_within_their_bounds_and_none_that_is_more_frequent_is_left_out(duck, profile, name):
    top = describe(profile[name])["top"]
    x = value(name)
    counts = {told(v): n for v, n in duck.execute(f"select {x}, count(*) from t where {x} is not null group by 1").fetchall()}
    assert top["values"]
    for entry in top["values"]:
        if not str(entry["value"]).endswith("…"):
            assert entry["count"] <= counts[told(entry["value"])] <= entry["at_most"]
    if name != "few_and_one":
        assert top["rest"] == 0 or max(counts.values()) <= max(top["rest"], top["values"][0]["at_most"])
        assert all(entry["count"] == entry["at_most"] for entry in top["values"]) or profile is MERGED
    assert top["values"][0]["count"] == max(counts.values())


def told(value: Any) -> Any:
    return 0.0 if value == 0 and isinstance(value, float) else value


def test_lengths_are_of_characters_and_items(duck):
    for name, sql in (("unicode", 'length("unicode")'), ("lengthy", 'length("lengthy")'), ("lists", 'len("lists")')):
        lengths = describe(MERGED[name])["lengths"]
        assert (lengths["min"], lengths["max"]) == one(duck, f"select min({sql}), max({sql}) from t")
        assert lengths["mean"] == pytest.approx(one(duck, f"select avg({sql}) from t")[0])
    assert (describe(WHOLE["binary"])["lengths"]["max"], describe(WHOLE["flag"])["true"]) == (
        2,
        one(duck, "select count_if(flag) from t")[0],
    )


def test_a_million_different_texts_are_counted_within_the_stated_error():
    counts = []
    for seed in range(8):
        text = pa.array(np.char.add(f"{seed}-", np.arange(60_000).astype(str)))
        counts.append(Distinct.merged([Distinct.of(bytes_hashes(text.slice(a, 20_000)), None) for a in range(0, 60_000, 20_000)]).count)
    assert max(abs(n / 60_000 - 1) for n in counts) <= RELATIVE_ERROR
    text = pa.array(np.arange(1_000_000).astype(str))
    assert Distinct.of(bytes_hashes(text), None).count == pytest.approx(1_000_000, rel=RELATIVE_ERROR)


@pytest.mark.parametrize("num_values", [1_025, 3_000, 20_000, 100_000, 300_000])
def test_estimates_have_no_bias(num_values):
    rng = np.random.default_rng(num_values)
    off = [Distinct.of(rng.integers(0, 2**63, num_values).astype(np.uint64) * np.uint64(2), None).count / num_values - 1 for _ in range(12)]
    assert abs(float(np.mean(off))) < 0.01
    assert max(map(abs, off)) < 1.5 * RELATIVE_ERROR


def test_an_empty_table():
    profile = Profile.of(TABLE.slice(0, 0))
    assert all(describe(column)["rows"] == 0 for column in profile.columns.values())
    assert to_bytes(Kept(merge([profile, WHOLE]))) == to_bytes(Kept(merge([WHOLE, profile])))
    assert describe(merge([profile, WHOLE])["unicode"]) == describe(WHOLE["unicode"])


def test_structs_are_their_columns_and_other_types_are_counted():
    table = pa.table(
        {
            "s": pa.array([{"x": 1, "y": "a"}, None, {"x": None, "y": "b"}]),
            "m": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        }
    )
    s, m = Profile.of(table).columns.values()
    assert [(f.name, f.num_nulls) for f in s.fields] == [("x", 2), ("y", 1)]
    assert describe(m)["lengths"]["max"] == 1
    assert merge([Profile.of(table), Profile.of(table)])["s"].fields[0].num_nulls == 4


@pytest.mark.parametrize("profile", [WHOLE, MERGED], ids=["whole", "merged"])
@pytest.mark.parametrize("name", ["lists", "tags"])
def test_what_lists_hold_is_described_like_a_column(duck, profile, name):
    (item,) = describe(profile[name])["fields"]
    of = f'(select unnest("{name}") as v from t)'
    rows, values, low, high, distinct = one(duck, f"select count(*), count(v), min(v), max(v), count(distinct v) from {of}")
    assert (item["name"], item["rows"], item["rows"] - item["nulls"], item["min"], item["max"]) == ("item", rows, values, low, high)
    assert item["distinct"].get("low", item["distinct"]["value"]) <= distinct <= item["distinct"].get("high", item["distinct"]["value"])
    for top in item["top"]["values"]:
        found = duck.execute(f"select count(*) from {of} where v = ?", [top["value"]]).fetchall()[0][0]
        assert top["count"] <= found <= top["at_most"]


def test_lists_in_lists_maps_and_vectors():
    table = pa.table(
        {
            "n": pa.array([[[1, 2], [3]], None, [[]], [[1]]]),
            "m": pa.array([[("k", 1)], None, [("k", 2), ("z", None)], []], pa.map_(pa.string(), pa.int64())),
            "s": pa.array([[{"a": 1.5}], None, [], [{"a": None}]]),
            "v": pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float32(), 2)),
        }
    )
    for found in (Profile.of(table), merge([Profile.of(table.slice(0, 1)), Profile.of(table.slice(1))])):
        again = from_bytes(to_bytes(Kept(found))).profile
        told = {column["name"]: (column["rows"], column["nulls"]) for column in flat(again.to_json()["columns"])}
        assert told == {
            "n": (4, 1), "n[]": (4, 0), "n[][]": (4, 0), "m": (4, 1), "m[].key": (3, 0), "m[].value": (3, 1), "s": (4, 1), "s[].a": (2, 1),
            "v": (4, 0),
        }  # fmt: skip


def test_profiles_of_different_columns_do_not_merge():
    with pytest.raises(DataError, match="only one of them has 'b'"):
        merge([Profile.of(pa.table({"a": [1]})), Profile.of(pa.table({"a": [1], "b": [1]}))])
    with pytest.raises(DataError, match="int64 and one of string"):
        merge([Profile.of(pa.table({"a": [1]})), Profile.of(pa.table({"a": ["x"]}))])


@settings(max_examples=25)
@given(st.lists(st.lists(st.one_of(st.none(), st.floats(width=32), st.sampled_from([0.0, 1.0])), max_size=40), min_size=1, max_size=5))
def test_whatever_is_merged_has_the_counts_and_moments_of_the_whole(pieces):
    def column(values):
        return pa.array(values, pa.float64())

    whole = Profile.of(pa.table({"x": column([v for piece in pieces for v in piece])}))["x"]
    merged = merge([Profile.of(pa.table({"x": column(piece)})) for piece in pieces])["x"]
    again = from_bytes(to_bytes(Kept(Profile(merged.num_rows, {"x": merged})))).profile["x"]
    for found in (merged, again):
        a, b = describe(whole), describe(found)
        for key in ("rows", "nulls", "nans", "infinite", "zeros", "negative", "min", "max", "distinct", "top"):
            assert str(a[key]) == str(b[key])
        if a["mean"] is not None:
            scale = max(abs(a["min"]) if isinstance(a["min"], float) else 3e38, abs(a["max"]) if isinstance(a["max"], float) else 3e38)
            assert b["mean"] == pytest.approx(a["mean"], rel=1e-9, abs=1e-12 * scale)
            assert (b["stddev"] or 0.0) == pytest.approx(a["stddev"] or 0.0, rel=1e-6, abs=1e-7 * scale)
