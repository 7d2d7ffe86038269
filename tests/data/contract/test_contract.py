"""Contracts: what their settings may be, and tables that do not fit them, told column by column."""

import pyarrow as pa
import pytest

from raypipe.core.errors import ConfigError, DataError
from raypipe.data.contract.contract import Column, Contract
from raypipe.data.contract.fit import fit

FLIGHTS = Contract(
    {
        "carrier": Column("string", nulls=False),
        "distance": Column("int64", min=0),
        "dep_delay": Column("float64", known="afterwards"),
        "at": Column("timestamp[us, tz=UTC]"),
    }
)
GOOD = pa.table(
    {
        "carrier": ["AA"],
        "distance": [1],
        "dep_delay": [0.5],
        "at": pa.array([0], pa.timestamp("us", "UTC")),
    }
)


def told(contract, table):
    with pytest.raises(DataError) as error:
        contract.fit(table)
    return str(error.value).splitlines()


def test_a_table_that_fits_comes_back_in_the_contracts_order():
    assert FLIGHTS.fit(GOOD.select(["at", "dep_delay", "distance", "carrier"])).equals(GOOD)


def test_a_misspelt_column_is_told_once_with_the_nearest_name():
    assert told(FLIGHTS, GOOD.rename_columns(["carrier", "distance", "dep_delya", "at"])) == [
        "column 'dep_delya' is not in the contract. Did you mean 'dep_delay'?"
    ]


def test_missing_extra_and_retyped_columns_are_told_all_at_once():
    table = GOOD.drop_columns(["at"]).append_column("remarks", pa.array(["B1"])).set_column(1, "distance", pa.array(["far"]))
    assert told(FLIGHTS, table) == [
        "column 'remarks' is not in the contract.",
        "column 'at' is missing",
        "column 'distance' is string, the contract says int64",
    ]


@pytest.mark.parametrize("type", [pa.int32(), pa.float64(), pa.uint64(), pa.string()])
def test_a_type_is_not_widened_in_silence(type):
    assert told(FLIGHTS, GOOD.set_column(1, "distance", GOOD["distance"].cast(type)))[0].startswith("column 'distance' is ")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("carrier", pa.array(["AA"], pa.large_string())),
        ("carrier", pa.array(["AA"]).dictionary_encode()),
        ("at", pa.array([0], pa.timestamp("ms", "America/New_York"))),
        ("at", pa.array([0], pa.timestamp("ns", "UTC"))),
        ("dep_delay", pa.nulls(1)),
    ],
)
def test_what_is_only_laid_out_otherwise_fits(name, values):
    place = GOOD.column_names.index(name)
    assert FLIGHTS.fit(GOOD.set_column(place, name, values)).schema == GOOD.schema


def test_a_time_that_does_not_go_into_the_unit_is_refused():
    table = GOOD.set_column(3, "at", pa.array([1], pa.timestamp("ns", "UTC")))
    assert told(FLIGHTS, table)[0].startswith("column 'at' is timestamp[ns, tz=UTC] and does not go into timestamp[us, tz=UTC]")


def test_a_column_that_is_there_twice_is_refused():
    assert "column 'distance' is there twice" in told(FLIGHTS, GOOD.append_column("distance", pa.array([2])))


def test_an_inexact_contract_lets_further_columns_through_but_no_misspelt_ones():
    loose = Contract(FLIGHTS.columns, exact=False)
    assert loose.fit(GOOD.append_column("gate", pa.array(["B1"]))).column_names == [*GOOD.column_names, "gate"]
    assert told(loose, GOOD.rename_columns(["carrier", "distence", "dep_delay", "at"])) == [
        "column 'distence' is not in the contract. Did you mean 'distance'?"
    ]


def test_a_table_can_be_fitted_to_another_one():
    with pytest.raises(DataError, match="column 'x' is string, the table has int64"):
        fit(pa.table({"x": ["a"]}), {"x": pa.int64()}, "the table")


def test_what_is_known_before_anything_runs():
    known = FLIGHTS.columns_of()
    assert known.names == ("carrier", "distance", "dep_delay", "at")
    assert known.types["at"] == "timestamp[us, tz=UTC]"
    assert known.known_afterwards == {"dep_delay"}
    assert FLIGHTS.known_afterwards == ("dep_delay",)
    assert Contract(FLIGHTS.columns, exact=False).columns_of().names is None


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (Column("text"), "'text' is no type. Types: int64"),
        (Column("int64", min=3, max=1), "min 3 is above max 1"),
        (Column("int64", min="a"), "min is 'a', which is no int64"),
        (Column("bool", max=1), "max is 1, which is no bool"),
        (Column("date32", min="2013-02-30"), "min is '2013-02-30', which is no date32"),
        (Column("timestamp[us]", min="2014-01-01", max="2013-01-01"), "is above max"),
        (Column("int64", allowed=[1, 1.5]), "allowed has 1.5, which is no int64"),
        (Column("string", allowed=[]), "allowed is empty"),
        (Column("int64", pattern="a"), "pattern is for text, the type is int64"),
        (Column("string", pattern="("), r"pattern '\(': "),
        (Column("string", pattern="(?=a)b"), "RE2 knows no look-around"),
        (Column("string", unique=True, on_breach="drop"), "unique cannot go with on_breach: drop"),
        (Column("string", on_breach="ignore"), "on_breach is 'ignore', expected fail, quarantine, drop or warn"),  # type: ignore[arg-type]
        (Column("string", known="later"), "known is 'later', expected before or afterwards"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be_are_told(column, text):
    import re

    found = Contract({"x": column}).problems()
    assert [line for line in found if re.match(f"columns.x: .*{text}", line)], found


def test_sound_settings_have_no_problem():
    assert FLIGHTS.problems() == []
    assert Column("timestamp[us]", min="2013-01-01").problems() == []
    assert Column("int64", min=0.5, allowed=[1, 2]).problems() == []
    assert Contract({}).problems() == ["columns is empty, expected at least one column"]


def test_columns_can_be_written_as_settings():
    assert Contract({"distance": {"type": "int64", "min": 0}}).columns["distance"] == Column("int64", min=0)  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match=r"columns.x.mim: 'mim' is no setting of a column\. Did you mean 'min'\?"):
        Contract({"x": {"type": "int64", "mim": 0}})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match=r"columns\.x: type is missing"):
        Contract({"x": {"min": 0}})  # type: ignore[dict-item]


def test_only_what_shapes_rows_shapes_them():
    def of(**changes):
        return Contract({"x": Column(**{"type": "int64", **changes})})

    assert of().shapes_rows() == of(min=0, nulls=False, known="afterwards").shapes_rows()
    assert of().shapes_rows() != of(min=0, on_breach="drop").shapes_rows()
    assert of().shapes_rows() != of(type="int32").shapes_rows()
    assert of().digest() != of(min=0).digest()
