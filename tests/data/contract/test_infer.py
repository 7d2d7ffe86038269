"""A contract inferred from rows: it accepts those very rows, read back from its YAML too, and says what was seen."""

import datetime
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import hypothesis.extra.numpy as hnp
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.config.contract import read_contract
from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.core.store import Store
from raypipe.data.contract.column import Column
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.infer import infer
from raypipe.data.contract.trial import trial
from raypipe.data.contract.written import to_yaml
from raypipe.data.types import parse_type


@dataclass(frozen=True)
class Rows:
    """Rows in memory as something that a contract reads."""

    table: pa.Table
    name: str = "rows"
    tells_rows: bool = True
    size: int = 0

    @property
    def path(self):
        return self.name

    def batches(self, columns=None):
        for start in range(0, max(self.table.num_rows, 1), 7):
            piece = self.table.slice(start, 7)
            yield (piece.select(columns) if columns else piece), np.arange(start + 1, start + 1 + piece.num_rows)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scratch")
    return Work("p", folder, "by-hand", "infer", None, Store.open(folder), path="trial", inline=True)  # type: ignore[arg-type]


def column_of(type, values):
    return st.lists(st.one_of(st.none(), values), min_size=1, max_size=30).map(lambda found: pa.array(found, type))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COLUMNS = st.one_of(
    column_of(pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    column_of(pa.uint64(), st.integers(0, 2**64 - 1)),
    column_of(pa.int8(), st.integers(-128, 127)),
    column_of(pa.float64(), st.floats()),
    column_of(pa.float32(), st.floats(width=32)),
    column_of(pa.string(), TEXT),
    column_of(pa.string(), st.sampled_from(["on", "1e5", "null", "a: b", "#", "'", "${x}", "2013-01-01", "é"])),
    column_of(pa.bool_(), st.booleans()),
    column_of(pa.date32(), st.dates()),
    column_of(pa.timestamp("us"), st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))),
    column_of(
        pa.timestamp("ms", "America/New_York"),
        st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.just(datetime.UTC)),
    ),
    column_of(pa.decimal128(12, 3), st.decimals(-10000, 10000, places=3)),
    column_of(pa.decimal64(12, 3), st.decimals(-10000, 10000, places=3)),
    column_of(pa.float16(), st.floats(width=16)),
    column_of(pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]), st.just({"a": 1, "b": ["x"]})),
    column_of(pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=2)),
    column_of(pa.binary(), st.binary(max_size=4)),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(column=COLUMNS, repeat=st.sampled_from([1, 12]))
def test_the_very_rows_keep_it(work, column, repeat):
    rows = Rows(pa.table({"on: x": pa.concat_arrays([column] * repeat)}))
    path = Path(work.store.root) / "c.yaml"
    path.write_text(to_yaml(infer(work, [rows]), "rows"))
    found = trial(work, read_contract(path), [rows])
    assert found.passed, [found.problems, [rule for rule in found.rules if not rule["passed"]], path.read_text()]


@settings(max_examples=60)
@given(hnp.arrays(np.float64, 20, elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_ranges_are_rounded_outwards(work, values):
    column = infer(work, [Rows(pa.table({"x": values}))]).contract.columns["x"]
    assert column.min is not None
    assert column.max is not None
    assert column.min <= values.min()  # type: ignore[operator]
    assert column.max >= values.max()  # type: ignore[operator]


def of(work, **columns):
    return infer(work, [Rows(pa.table(columns))]).contract.columns


@pytest.mark.parametrize(
    ("values", "column"),
    [
        (list(range(17, 4984)), Column("int64", nulls=False, min=0, max=5000, unique=True)),
        ([0.013, 99.5], Column("float64", nulls=False, min=0, max=100)),
        ([2013, 2013], Column("int64", nulls=False, min=2000, max=2100)),
        ([1, None, 3], Column("int64", nulls=0.5, min=1, max=3)),
        (["a", "b"] * 10, Column("string", nulls=False, allowed=["a", "b"])),
        (["a", "b"], Column("string", nulls=False, min_length=1, max_length=1, unique=True)),
        (["a" * 23, "b" * 4, "b" * 4], Column("string", nulls=False, max_length=30)),
        ([Decimal("1.5")] * 2, Column("decimal128(2, 1)", nulls=False, min=1.5, max=1.5)),
        ([float("inf"), 1.0], Column("float64", nulls=False)),
        ([datetime.date(2013, 5, 2)], Column("date32", nulls=False, min="2013-05-02")),
    ],
)
def test_what_is_proposed(work, values, column):
    assert of(work, x=pa.array(values))["x"] == column


@pytest.mark.parametrize(
    ("missing", "told"),
    [(1000, "all missing"), (999, "7 to 7, 99.9 % missing"), (500, "7 to 7, 50 % missing"), (1, "7 to 7, 0.1 % missing")],
)
def test_how_much_is_missing_is_told_without_an_exponent(work, missing: int, told: str):
    rows = Rows(pa.table({"x": pa.array([None] * missing + [7] * (1000 - missing), pa.int64())}))
    assert infer(work, [rows]).seen["x"] == told


def test_files_of_other_columns_are_told(work):
    parts = [Rows(pa.table({"a": [1]}), "a.csv"), Rows(pa.table({"a": ["x"], "b": [1]}), "b.csv")]
    with pytest.raises(DataError) as error:
        infer(work, parts)
    assert str(error.value).splitlines() == [
        "b.csv: column 'b' is in none of the files before",
        "b.csv: column 'a' is string, in the files before int64",
    ]


def test_a_column_that_no_contract_can_state_is_left_out_and_told(work):
    spans = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    found = infer(work, [Rows(pa.table({"a": [1], "s": spans}))])
    assert (list(found.contract.columns), found.contract.exact) == (["a"], False)
    assert "# s: left out, month_day_nano_interval has no name in a contract" in to_yaml(found, "rows")
    with pytest.raises(DataError, match="no column is of a type that a contract can name: s month_day_nano_interval"):
        infer(work, [Rows(pa.table({"s": spans}))])


def test_the_largest_integers_have_bounds(work):
    largest = Rows(pa.table({"x": pa.array([0, 2**64 - 1], pa.uint64())}))
    assert trial(work, infer(work, [largest]).contract, [largest]).passed
    for type_, limit, figure in (("uint64", 2**63 + 5, 1), ("float64", 2**63, 1), ("decimal128(38, 0)", 2**64 - 2, 1), ("int64", 2**64, 0)):
        values = [0, 2**63 - 1 if type_ == "int64" else 2**64 - 1]
        rows = Rows(pa.table({"x": pa.array(list(map(float, values)) if type_ == "float64" else values, parse_type(type_))}))
        found = trial(work, Contract({"x": Column(type_, max=limit)}), [rows])
        assert {rule["rule"]: rule["figure"] for rule in found.rules}["max"] == figure, type_


def test_no_rows_tell_nothing(work):
    with pytest.raises(DataError, match="there are no rows to infer a contract from"):
        infer(work, [Rows(pa.table({"a": pa.array([], pa.int64())}))])
