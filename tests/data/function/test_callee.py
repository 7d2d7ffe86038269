"""A function as it is called: a table in the form that it takes, and back; types, nulls, and what each library cannot hold."""

import datetime
import decimal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute
import pytest

from raypipe.core.errors import DataError, Terminated
from raypipe.core.form import Form, Kind
from raypipe.data.function.callee import Callee, from_form, to_form

pc: Any = pyarrow.compute
D = decimal.Decimal
KINDS: tuple[Kind, ...] = ("arrow", "numpy", "pandas", "polars", "lazy")
MOMENT = datetime.datetime(2020, 1, 1, 1, 2, 3, 456_789)

COLUMNS: dict[str, pa.Array] = {
    "bool": pa.array([True, None]),
    "int8": pa.array([-128, None], pa.int8()),
    "uint64": pa.array([2**64 - 1, None], pa.uint64()),
    "int64": pa.array([2**53 + 1, None]),
    "float16": pa.array(np.array([1.5, -0.0], np.float16)),
    "float32": pa.array([1.5, None], pa.float32()),
    "float64": pa.array([float("nan"), None, -0.0]),
    "text": pa.array(["ü", None]),
    "large_text": pa.array(["ü", None], pa.large_string()),
    "text_view": pa.array(["longer than twelve bytes", None], pa.string_view()),
    "bytes": pa.array([b"\x00", None]),
    "fixed_bytes": pa.array([b"ab", None], pa.binary(2)),
    "date": pa.array([1, None], pa.date32()),
    "date64": pa.array([86_400_000, None], pa.date64()),
    "seconds": pa.array([1, None], pa.timestamp("s")),
    "micros": pa.array([MOMENT, None], pa.timestamp("us", "UTC")),
    "nanos": pa.array([2**60 + 1, None], pa.timestamp("ns", "Europe/Berlin")),
    "time": pa.array([1, None], pa.time32("s")),
    "time_us": pa.array([1, None], pa.time64("us")),
    "duration": pa.array([1, None], pa.duration("s")),
    "decimal": pa.array([D("1.23"), None], pa.decimal128(12, 2)),
    "decimal256": pa.array([D("1.23"), None], pa.decimal256(60, 2)),
    "list": pa.array([[1, 2], None, []]),
    "large_list": pa.array([[1], None], pa.large_list(pa.int8())),
    "embedding": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    "embedding_nulls": pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
    "tensor": pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(8, dtype=np.float32).reshape(2, 2, 2)),
    "struct": pa.array([{"a": 1, "b": "x"}, None]),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
    "dictionary_int": pa.array([3, None]).dictionary_encode(),
    "null": pa.nulls(2),
}
REFUSED = {
    "numpy": {"bool", "int8", "uint64", "int64", "dictionary_int", "embedding_nulls"},
    "polars": {"decimal256"},
    "lazy": {"decimal256"},
}
"""What a library cannot hold as it is; in NumPy's case for the nulls in it."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_that_a_function_lets_be_comes_back_bit_for_bit(name: str, kind: Kind):
    table = pa.table({name: COLUMNS[name]})
    if name in REFUSED.get(kind, ()):
        with pytest.raises(DataError, match=f"column '{name}' is "):
            to_form(Form(kind), table)
        return
    given = to_form(Form(kind), table)
    made = given.collect() if kind == "lazy" else given
    back = from_form(Form(kind), made, [(Form(kind), given, table)])
    assert back.schema.equals(table.schema)
    assert repr(back.column(0).to_pylist()) == repr(table.column(0).to_pylist())


@pytest.mark.parametrize("name", sorted(set(COLUMNS) - REFUSED["numpy"]))
def test_numpys_dtype_is_told_by_the_type_alone(name: str):
    table = pa.table({name: COLUMNS[name]})
    whole = to_form(Form("numpy"), table)[name]
    for row in range(table.num_rows):
        alone = to_form(Form("numpy"), table.slice(row, 1))[name]
        assert (alone.dtype, alone.shape[1:]) == (whole.dtype, whole.shape[1:])
        assert not alone.flags.writeable


def called(kind: Kind, function: Callable[..., Any], table: pa.Table, **settings: Any) -> pa.Table:
    return Callee("m.f", function, settings, Form(kind), Form(kind))(table)


FLIGHTS = pa.table({"distance": pa.array([100, 0, 300], pa.int32()), "hours": [0.5, 1.0, None], "carrier": ["UA", None, "AA"]})


def speed_numpy(batch):
    return {**batch, "speed": batch["distance"] / batch["hours"]}


def speed_pandas(frame):
    frame["speed"] = frame["distance"] / frame["hours"]
    return frame


def speed_polars(frame):
    return frame.with_columns(speed=pl.col("distance") / pl.col("hours"))


@pytest.mark.parametrize(
    ("kind", "function", "missing"),
    [("numpy", speed_numpy, "nan"), ("pandas", speed_pandas, "None"), ("polars", speed_polars, "None"), ("lazy", speed_polars, "None")],
)
def test_a_column_made_in_each_form(kind: Kind, function: Callable[..., Any], missing: str):
    made = called(kind, function, FLIGHTS)
    assert made.schema.equals(FLIGHTS.append_column("speed", pa.nulls(3, pa.float64())).schema)
    assert made.select(FLIGHTS.column_names).equals(FLIGHTS)
    assert repr(made["speed"].to_pylist()) == f"[200.0, 0.0, {missing}]"


@pytest.mark.parametrize(
    ("kind", "function", "type_"),
    [
        ("numpy", lambda b: {"x": np.char.upper(np.array(["a", "b", "c"]))}, pa.string()),
        ("numpy", lambda b: {"x": np.zeros((3, 4), np.float32)}, pa.list_(pa.float32(), 4)),
        ("numpy", lambda b: {"x": np.zeros((3, 2, 2), np.uint8)}, pa.fixed_shape_tensor(pa.uint8(), [2, 2])),
        ("numpy", lambda b: {"x": np.ma.masked_array([1, 2, 3], mask=np.array([False, True, False]))}, pa.int64()),
        ("numpy", lambda b: {"distance": b["distance"].astype("datetime64[D]")}, pa.date32()),
        ("numpy", lambda b: {"carrier": np.array([["x"], [], None], object)}, pa.list_(pa.string())),
        ("pandas", lambda f: f.assign(x=["a", "b", None])[["x"]], pa.string()),
        ("pandas", lambda f: f.assign(x=pd.Categorical(["a", "b", "a"]))[["x"]], pa.dictionary(pa.int32(), pa.string())),
        ("pandas", lambda f: f.assign(x=pd.array([1, None, 3], "Int16"))[["x"]], pa.int16()),
        ("pandas", lambda f: f.assign(x=np.array([1, 2, 3], np.float32))[["x"]], pa.float32()),
        ("polars", lambda f: f.select(x=pl.lit("a")), pa.string()),
        ("polars", lambda f: f.select(x=pl.concat_list("carrier")), pa.list_(pa.string())),
    ],
)
def test_the_type_of_a_column_that_a_function_makes(kind: Kind, function: Callable[..., Any], type_: pa.DataType):
    assert called(kind, function, FLIGHTS).schema.types == [type_]


def test_nan_that_a_function_computes_is_no_null():
    frame = called("pandas", lambda f: pd.DataFrame({"x": np.array([1.0, np.nan, np.inf])}), FLIGHTS)
    assert frame["x"].null_count == 0
    assert repr(frame["x"].to_pylist()) == "[1.0, nan, inf]"
    assert called("numpy", lambda b: {"x": np.array([1.0, np.nan, np.inf])}, FLIGHTS)["x"].null_count == 0


def writes(batch):
    batch["hours"][0] = 7.0
    return batch


BAD = [
    ("arrow", lambda t: None, "function m.f returned NoneType, expected a pyarrow.Table. In rows 1 to 3"),
    ("numpy", lambda b: [1], "returned list, expected dict"),
    ("numpy", lambda b: {"a": np.zeros(3), "b": np.zeros(2)}, "returned arrays of unlike lengths: a 3, b 2"),
    ("numpy", lambda b: {"a": 1.0}, "returned column 'a' as float, expected a numpy.ndarray with a value a row"),
    ("numpy", lambda b: {1: np.zeros(3)}, "returned a column named 1; names are text"),
    (
        "numpy",
        lambda b: {"a": np.array([1, "x", None], object)},
        r"returned column 'a' with int \(first in row 1\) and str \(first in row 2\)",
    ),
    ("numpy", writes, r"raised ValueError: assignment destination is read-only \(line \d+ of .*test_callee.py: batch.*copy"),
    ("pandas", lambda f: f["hours"], "returned Series, expected a pandas.DataFrame"),
    ("pandas", lambda f: f.groupby("carrier").sum(), r"an index named 'carrier', which no table has: put .reset_index\(\) behind it"),
    ("pandas", lambda f: f.assign(x=[1, "a", None]), r"returned column 'x' with int \(first in row 1\) and str \(first in row 2\)"),
    ("pandas", lambda f: pd.concat([f, f], axis=1), "returned column 'carrier' twice"),
    ("pandas", lambda f: pd.DataFrame({0: [1]}), "returned a column named 0; names are text"),
    ("polars", lambda f: f.lazy(), "returned LazyFrame, expected a polars.DataFrame"),
    (
        "polars",
        lambda f: f.with_columns(pl.Series("x", [object()] * 3, pl.Object)),
        "returned column 'x' as Object, which no table can hold",
    ),
    ("lazy", lambda f: f.collect(), "returned DataFrame, expected a polars.LazyFrame"),
]


@pytest.mark.parametrize(("kind", "function", "text"), BAD)
def test_what_is_returned_wrong(kind: Kind, function: Callable[..., Any], text: str):
    with pytest.raises(DataError, match=text):
        called(kind, function, FLIGHTS)


def test_a_value_that_the_columns_type_cannot_hold():
    table = pa.table({"at": pa.array([1], pa.timestamp("s"))})
    with pytest.raises(DataError, match=r"returned column 'at' with a value that timestamp\[s\], the type it had, cannot hold"):
        called("polars", lambda f: f.with_columns(pl.col("at") + pl.duration(milliseconds=1)), table)


def test_what_a_pandas_function_writes_reaches_nobody_else():
    def clear(frame):
        frame["hours"] = 0.0
        frame.loc[0, "distance"] = -1
        return frame

    before = FLIGHTS.to_pydict()
    called("pandas", clear, FLIGHTS)
    assert FLIGHTS.to_pydict() == before


def test_one_form_in_another_out():
    made = Callee("m.f", lambda f: {"n": np.arange(f.height)}, {}, Form("polars"), Form("numpy"))(FLIGHTS)
    assert made.to_pydict() == {"n": [0, 1, 2]}


def leaves(table: pa.Table) -> pa.Table:
    if 300 in table["distance"].to_pylist():
        sys.exit(3)
    return table


def test_a_function_that_leaves_the_program_has_failed():
    told = r"function m\.f raised SystemExit: 3 \(line \d+ of .*: sys\.exit\(3\)\)\. In row 3: distance=300"
    with pytest.raises(DataError, match=told):
        called("arrow", leaves, FLIGHTS)


def test_what_ends_a_worker_of_ray_s_or_the_program_is_no_error_of_the_function():
    def ended(table: pa.Table) -> pa.Table:
        end = SystemExit(0)
        end.ray_terminate_msg = "exited by exit_actor()"  # type: ignore[attr-defined]
        raise end

    def stopped(table: pa.Table) -> pa.Table:
        raise Terminated

    with pytest.raises(SystemExit):
        called("arrow", ended, FLIGHTS)
    with pytest.raises(Terminated):
        called("arrow", stopped, FLIGHTS)
