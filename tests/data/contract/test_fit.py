"""Tables that do not fit a contract, told column by column."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
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
