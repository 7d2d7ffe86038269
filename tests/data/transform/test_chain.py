"""The chain: fitted on training rows in as few passes as it takes, applied bit for bit alike to one row and to a batch."""

import itertools
import json
import pickle
import struct

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.transform.bounding import Clip, QuantileBins
from raypipe.data.transform.chain import Chain, FittedChain
from raypipe.data.transform.dates import CyclicDate
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.encoding import Frequency, OneHot, Ordinal
from raypipe.data.transform.entry import Drop, Select, to_frame
from raypipe.data.transform.function import Function
from raypipe.data.transform.hashing import HashEncode, TextHash
from raypipe.data.transform.imputing import Impute
from raypipe.data.transform.scaling import RobustScale, Standardize
from raypipe.data.transform.scikit import ScikitLearn
from raypipe.data.transform.target import TargetEncode

TYPES = {"x": pa.float64(), "y": pa.float32(), "n": pa.int64(), "c": pa.string(), "b": pa.bool_()}
SCHEMA = pa.schema(list(TYPES.items()))
WIDE = pa.schema(
    [
        *SCHEMA,
        ("w", pa.string()),
        ("t", pa.timestamp("ns", "Europe/Berlin")),
        ("u", pa.timestamp("s")),
        ("d", pa.date32()),
        ("k", pa.dictionary(pa.int8(), pa.string())),
        ("i", pa.uint64()),
        ("h", pa.float16()),
    ]
)
KEY = ["x", "y", "n", "c", "b", "t", "u", "d", "k", "i", "h"]
ENTRIES = {
    "select": Select(["c", "n", "x", "b", "y", "late"]),
    "standardize": Standardize(["x", "y", "n", "b", "i", "h"]),
    "robust": RobustScale(["x", "y", "n", "b", "i", "h"]),
    "mean": Impute(["x", "n", "y", "h"], "mean"),
    "median": Impute(["x", "n", "b"], "median"),
    "constant": Impute(["c", "k"], "constant", "?"),
    "clip": Clip(["x", "y", "n", "b", "i", "h"], low=-0.1, high=1e5),
    "clip_to_quantiles": Clip(["x", "y", "n"], quantiles=[0.1, 0.8]),
    "bins": QuantileBins(["x", "y", "n", "b", "i", "h"], 4),
    "one_hot": OneHot(["c", "b", "k"]),
    "ordinal": Ordinal(["c", "n", "k"]),
    "frequency": Frequency(["c", "b", "k", "i"]),
    "target": TargetEncode(["c", "b", "k", "n"]),
    "target_by_folds": TargetEncode(["c", "b", "k"], KEY, 3, 0.5),
    "hash": HashEncode(["c", "b", "n", "k", "i"], 5),
    "bucket": HashEncode(["c", "b", "n", "k", "i"], 7, "bucket", salt="s"),
    "text": TextHash(["w", "c", "k"], 6),
    "text_shares": TextHash(["w"], 3, "share", signed=False),
    "cyclic": CyclicDate(["t", "u"], ["minute", "hour", "weekday", "month", "day_of_year"]),
    "cyclic_there": CyclicDate(["t"], ["hour", "weekday"], "America/New_York"),
    "cyclic_days": CyclicDate(["d"], ["weekday", "day_of_year", "month"]),
    "min_max": ScikitLearn(["x", "y", "n", "b", "i", "h"], "MinMaxScaler", {"feature_range": [-1, 1]}),
    "max_abs": ScikitLearn(["x", "y", "n", "b", "i", "h"], "MaxAbsScaler"),
    "power": ScikitLearn(["x", "y", "n", "b", "i", "h"], "PowerTransformer"),
    "quantile": ScikitLearn(["x", "y", "n", "b", "i", "h"], "QuantileTransformer", {"n_quantiles": 7}),
    "normal": ScikitLearn(["x", "y"], "QuantileTransformer", {"output_distribution": "normal"}),
    "k_bins": ScikitLearn(["x", "y", "n", "i"], "KBinsDiscretizer", {"strategy": "uniform"}),
    "drop": Drop(["c"]),
    "derive": Derive(
        {
            "a": "x / 7 + y * 3",
            "x": "n / 3 - i",
            "e": "case when b then x else y / x end",
            "f": "upper(c) = 'A' or k in ('a', 'b')",
            "g": "round(y, 1) * coalesce(x, 0)",
        }
    ),
}
CHAINS = {name: {"e": entry} for name, entry in ENTRIES.items()} | {
    "all": {
        "fill": Impute(["x", "n", "y"], "mean"),
        "clip": Clip(["x", "y", "n"], quantiles=[0.1, 0.8]),
        "scale": Standardize(["x", "y", "n"]),
        "words": TextHash(["w"], 6),
        "cyclic": CyclicDate(["t", "u"], ["hour"]),
        "hash": HashEncode(["c"], 3),
        "hot": OneHot(["k", "b"]),
        "few": Select(["c#1", "x", "k=a", "w#0", "t.hour.cos", "n", "b=true"]),
    },
    "derived": {
        "ratio": Derive({"ratio": "x / n", "z": "x / 3"}),
        "fill": Impute(["ratio", "z"], "constant", 0.5),
        "clip": Clip(["ratio", "z"], -1e3, 1e3),
        "scale": Standardize(["ratio", "z"]),
        "again": Derive({"z": "z / ratio"}),
    },
    "packed": {
        "scale": Standardize(["x"]),
        "bins": QuantileBins(["y"], 3),
        "few": Select(["x", "y", "b", "n", "i"]),
    },
    "several": {
        "bins": QuantileBins(["x"], 3),
        "hash": HashEncode(["x"], 3),
        "target": TargetEncode(["n"], ["y", "u"]),
        "hour": CyclicDate(["u"], ["hour"]),
        "scale": Standardize(["x#0", "n", "u.hour.sin"]),
        "few": Drop(["t", "d"]),
        "f": Function("m.bound", function=lambda table: table.append_column("sum", pc.add(table["x#0"], table["n"]))),  # type: ignore[attr-defined]
        "bound": Clip(["sum", "x#0"], -0.5, 0.5),
    },
}

seconds = st.integers(-(2**33), 2**33)
VALUES = {
    "x": st.one_of(st.none(), st.floats(-1e9, 1e9), st.sampled_from([float("nan"), float("inf"), -0.0])),
    "y": st.one_of(st.none(), st.floats(-1e3, 1e3, width=32)),
    "n": st.one_of(st.none(), st.integers(-(2**62), 2**62)),
    "c": st.one_of(st.none(), st.sampled_from(["", "a", "b", "é", "x=y"])),
    "b": st.one_of(st.none(), st.booleans()),
    "w": st.one_of(st.none(), st.lists(st.sampled_from(["late", "Late", "ÉTÉ", "the", "a1", "--", "天"])).map(" ".join), st.text()),
    "t": st.one_of(st.none(), seconds.map(lambda s: s * 10**9 + s % 1009)),
    "u": st.one_of(st.none(), seconds),
    "d": st.one_of(st.none(), st.integers(-30_000, 60_000)),
    "k": st.one_of(st.none(), st.sampled_from(["a", "q"])),
    "i": st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    "h": st.one_of(st.none(), st.floats(-100, 100, width=16)),
    "late": st.one_of(st.none(), st.booleans()),
}
FULL = {"x": 0.1, "y": 0.5, "n": 3, "c": "a", "b": True}
WHOLE = FULL | {"w": "late", "t": 1, "u": 2, "d": 3, "k": "a", "i": 4, "h": 0.5, "late": True}


def rows(name):
    """Lists of rows, drawn in the columns that the chain names: drawing costs twice what is tested. The others are carried as they are."""
    text = repr(CHAINS[name])
    named = {column: values for column, values in VALUES.items() if "Derive(" in text or column == "late" or f"'{column}'" in text}
    return st.lists(st.fixed_dictionaries(named).map(lambda row: WHOLE | row), min_size=1, max_size=12)


def table(records):
    return pa.Table.from_pylist(records, schema=SCHEMA)


def fit(entries, *parts):
    return Chain(entries).fit(parts[0].schema, lambda stage: [stage(part) for part in parts])


def bits(table):
    """Every value as the bits it is made of: NaN equals itself, -0.0 differs from 0.0; times as integers."""
    table = pa.table([c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns], names=table.column_names)
    return [[struct.pack("<d", v) if isinstance(v, float) else v for v in table.column(name).to_pylist()] for name in table.column_names]


def wide(records, label=True):
    fields = [*WIDE, pa.field("late", pa.bool_())] if label else list(WIDE)
    return pa.table([pa.array([r[f.name] for r in records], f.type) for f in fields], schema=pa.schema(fields))


def fit_wide(name, records):
    """A chain fitted on two fragments, the label beside its input where it learns from it."""
    others = [{**WHOLE, "x": 7.0, "y": float(i), "late": False} for i in range(9)]
    entries, parts = CHAINS[name], [wide([WHOLE, *others, *records]), wide([*others, WHOLE, *records[::2]])]
    if name == "select":
        return fit(entries, *parts)
    return Chain(entries, "late").fit(WIDE, lambda stage: [stage(part) for part in parts])


@pytest.mark.parametrize("name", CHAINS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_one_row_alone_is_the_row_in_the_batch(name, data):
    records, asked = data.draw(rows(name)), data.draw(rows(name))
    finite = [{**r, "x": None if r["x"] == float("inf") else r["x"]} for r in records]
    chain = fit_wide(name, finite)
    batch = wide(asked)
    whole = bits(chain.apply(pa.concat_tables([batch, batch])).slice(0, batch.num_rows))
    for row in range(batch.num_rows):
        assert bits(chain.apply(batch.slice(row, 1))) == [[column[row]] for column in whole]


@pytest.mark.parametrize("name", CHAINS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_chain_read_back_from_json_is_the_same(name, data):
    records = data.draw(rows(name))
    chain = fit_wide(name, [{**r, "x": 1.0} for r in records])
    functions = {e.target: e.function for e in chain.entries.values() if isinstance(e, Function) and e.function}
    back = FittedChain.from_json(json.loads(json.dumps(chain.to_json(), allow_nan=False)), functions)
    assert back.to_json() == chain.to_json()
    assert (back.inputs, back.features) == (chain.inputs, chain.features)
    for asked in (wide(records), wide(records[:1])):
        assert bits(back.apply(asked)) == bits(chain.apply(asked))


def close(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return abs(a - b) <= 1e-12 * max(abs(a), abs(b), 1e-300) if isinstance(a, float) else a == b


@settings(max_examples=40, deadline=None)
@given(records=st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=60), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_the_fit_is_that_of_the_rows_whatever_the_fragments(records, cuts):
    # Values of one sign and size: a mean of nearly nothing has no relative error.
    whole = table([{**FULL, "x": 3e6 + r, "n": r, "y": float(r % 7), "c": "ab"[r % 2], "b": r % 3 == 0} for r in records])
    bounds = sorted({0, whole.num_rows, *(c % whole.num_rows for c in cuts)})
    parts = [whole.slice(a, b - a) for a, b in itertools.pairwise(bounds)]
    once, twice, other = (
        fit(
            {"mean": Impute(["x", "n", "y"], "mean"), "constant": Impute(["c"], "constant", "?")}
            | {"s": Standardize(["x"]), "o": OneHot(["c"])},
            *p,
        ).fitted
        for p in (parts, parts, [whole])
    )
    assert once == twice
    assert close(once["s"]["x"], other["s"]["x"])
    assert (once["o"], once["constant"]) == (other["o"], other["constant"])
    assert abs(once["mean"]["n"] - other["mean"]["n"]) <= 1e-12 * 10**6


def test_only_the_rows_it_is_given_are_learnt():
    train, rest = table([FULL, {**FULL, "x": 0.3}]), table([{**FULL, "x": 1e9, "c": "later"}])
    entries = {"s": Standardize(["x"]), "o": OneHot(["c"]), "i": Impute(["n"], "mean")}
    alone = fit(entries, train)
    beside = Chain(entries).fit(SCHEMA, lambda stage: [stage(part) for part in (train, rest.slice(0, 0))])
    assert alone.to_json() == beside.to_json()
    assert alone.apply(rest)["c=a"].to_pylist() == [0]


def test_no_training_row_is_told():
    with pytest.raises(DataError, match="the training part has no rows"):
        fit({"s": Standardize(["x"])}, table([]))


def hour(table):
    return table.append_column("far", pc.multiply(table["x"], 2.0))  # type: ignore[attr-defined]


def test_entries_that_do_not_wait_for_each_other_share_a_pass():
    chain = Chain(
        {
            "fill": Impute(["x"], "mean"),
            "hot": OneHot(["c"]),
            "scale": Standardize(["x", "y"]),
            "code": Ordinal(["n"]),
            "rare": Drop(["c=b"]),
            "again": Standardize(["c=a"]),
        }
    )
    assert chain.plan_stages() == [("fill", "hot", "code"), ("scale", "again")]
    assert Chain({"keep": Select(["x"])}).plan_stages() == []


def test_a_function_waits_for_what_reaches_it():
    function = Function("m.hour", function=hour)
    behind = Standardize(["far"])
    assert Chain({"f": function, "scale": behind}).plan_stages() == [("f", "scale")]
    assert Chain({"fill": Impute(["x"]), "f": function, "scale": behind}).plan_stages() == [("fill",), ("f", "scale")]
    declared = Function("m.hour", takes=["y"], gives=["far"])
    assert Chain({"fill": Impute(["x"]), "f": declared, "scale": behind}).plan_stages() == [("fill", "f", "scale")]


def test_several_passes_give_what_one_after_the_other_gives():
    records = table([FULL, {**FULL, "x": None}, {**FULL, "x": 0.5, "c": "b"}, {**FULL, "x": 9.0, "c": None}])
    entries = {
        "fill": Impute(["x"], "median"),
        "f": Function("m.hour", function=hour),
        "hot": OneHot(["c"]),
        "scale": Standardize(["x", "far", "c=a"]),
        "few": Select(["far", "c=a", "x"]),
    }
    chain, rest = fit(entries, records.slice(0, 2), records.slice(2)), records
    for name, entry in entries.items():
        step = fit({name: entry}, rest.slice(0, 2), rest.slice(2))
        rest = step.apply(rest)
    assert bits(chain.apply(records)) == bits(rest)
    assert chain.features == rest.schema


def test_a_pass_that_learns_only_a_functions_columns_needs_one_fragment():
    seen = []
    Chain({"f": Function("m.hour", function=hour)}).fit(SCHEMA, lambda stage: seen.append(stage.whole) or [stage(table([FULL]))])
    assert seen == [False]


@pytest.mark.parametrize(
    ("entries", "inputs"),
    [
        ({"keep": Select(["n", "x"]), "s": Standardize(["x"])}, ["x", "n"]),
        ({"s": Standardize(["x"])}, ["x", "y", "n", "c", "b"]),
        ({"s": Standardize(["x"]), "out": Drop(["y", "n", "c"])}, ["x", "b"]),
        ({"hot": OneHot(["c"]), "few": Select(["c=a"])}, ["c"]),
        ({"out": Drop(["b"]), "f": Function("m.hour", function=hour), "few": Select(["far"])}, ["x", "y", "n", "c"]),
        ({"f": Function("m.hour", {}, ["x"], ["x", "far"], hour), "few": Select(["far"])}, ["x"]),
    ],
)
def test_inputs_are_the_columns_that_a_request_must_bring(entries, inputs):
    rows = table([FULL, {**FULL, "x": 7.0}])
    chain = fit(entries, rows)
    assert chain.inputs.names == inputs
    assert chain.apply(rows.select(inputs)).equals(chain.apply(rows))


def test_missing_and_mistyped_inputs_are_told_all_at_once():
    chain = fit({"keep": Select(["x", "n", "c"])}, table([FULL]))
    with pytest.raises(DataError) as error:
        chain.apply(pa.table({"xx": [1.0], "n": pa.array([1], pa.int32()), "c": ["a"]}))
    assert str(error.value) == "no column 'x'. Did you mean 'xx'?\ncolumn 'n' is int32, expected int64"


def test_an_entry_that_cannot_work_is_named_before_the_pass():
    with pytest.raises(DataError, match=r"transform\.s: no column 'z'"):
        Chain({"s": Standardize(["z"])}).fit(SCHEMA, lambda stage: pytest.fail("a pass was made"))


def test_a_column_of_one_hot_that_does_not_come_to_be_is_told():
    with pytest.raises(DataError, match=r"transform\.few: no column 'c=zz'"):
        fit({"hot": OneHot(["c"]), "few": Select(["c=zz"])}, table([FULL]))


def test_chunks_and_slices_make_no_difference():
    chain = fit({"s": Standardize(["x"]), "o": OneHot(["c"]), "i": Impute(["n"])}, table([FULL, {**FULL, "x": None, "n": None}]))
    parts = [table([FULL]), table([]), table([{**FULL, "x": None, "n": None, "c": None}]), table([FULL] * 9).slice(5)]
    many = pa.concat_tables(parts)
    assert chain.apply(many).equals(chain.apply(many.combine_chunks()))
    assert chain.apply(table([])).num_rows == 0


def test_code_of_functions_comes_from_where_it_was_recorded():
    chain = fit({"f": Function("m.hour", function=hour)}, table([FULL]))
    written = chain.to_json()
    assert FittedChain.from_json(written, {"m.hour": hour}).apply(table([FULL])).equals(chain.apply(table([FULL])))
    with pytest.raises(DataError, match=r"the recorded code of function m\.hour is not there"):
        FittedChain.from_json(written)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "os.system"}, "kind 'os.system' is not one that this raypipe knows"),
        ({"revision": 99}, "Standardize of revision 99; this raypipe has 1"),
        ({"fitted": {"x": {"mean": 1.0, "scale": 1.0}}, "settings": {"columns": ["y"]}}, "it was changed after it was written"),
    ],
)
def test_json_that_it_cannot_trust_is_refused(change, text):
    written = fit({"keep": Select(["x", "c"]), "s": Standardize(["x"])}, table([FULL])).to_json()
    if "settings" in change:
        written["features"] = written["features"][::-1]
    written["entries"][1] |= {key: value for key, value in change.items() if key != "settings"}
    with pytest.raises(DataError, match=text):
        FittedChain.from_json(written)
    with pytest.raises(DataError, match="has format 7, this raypipe reads 1"):
        FittedChain.from_json({"format": 7})


def test_it_travels_to_a_task():
    chain = fit({"s": Standardize(["x"])}, table([FULL, {**FULL, "x": 9.0}]))
    assert pickle.loads(pickle.dumps(chain)).to_json() == chain.to_json()
    assert list(to_frame(chain.apply(table([FULL])))) == ["x", "y", "n", "c", "b"]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (Standardize(["fat"]), r"transform\.e: no column 'fat'\. Did you mean 'far'\?"),
        (Standardize(["word"]), r"transform\.e: column 'word' is string, expected a number"),
        (OneHot(["pair"]), r"transform\.e: column 'pair' is struct<a: int64>, expected string, integer or bool"),
        (Impute(["far"], "constant", "?"), r"transform\.e: column 'far' is float64, value is '\?'"),
    ],
)
def test_what_only_the_rows_tell_behind_a_function_is_told_as_well(entry, text):
    def words(table):
        made = hour(table).append_column("word", table["c"])
        return made.append_column("pair", pa.array([{"a": 1}] * table.num_rows)) if "pair" in entry.columns else made

    with pytest.raises(DataError, match=text):
        fit({"f": Function("m.words", function=words), "e": entry}, table([FULL]))
