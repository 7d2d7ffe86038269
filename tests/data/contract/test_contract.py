"""Contracts: what their settings may be, and what is known of a table that keeps one."""

import pytest

from raypipe.core.errors import ConfigError
from raypipe.data.contract.contract import Column, Contract, Rule

FLIGHTS = Contract(
    {
        "carrier": Column("string", nulls=False),
        "distance": Column("int64", min=0),
        "dep_delay": Column("float64", known="afterwards"),
        "at": Column("timestamp[us, tz=UTC]"),
    }
)


def test_what_is_known_before_anything_runs():
    known = FLIGHTS.columns_of()
    assert known.names == ("carrier", "distance", "dep_delay", "at")
    assert known.types["at"] == "timestamp[us, tz=UTC]"
    assert known.known_afterwards == {"dep_delay"}
    assert FLIGHTS.known_afterwards == ("dep_delay",)
    assert Contract(FLIGHTS.columns, exact=False).columns_of().names is None


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


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("a + 1", "rules.r: 'a + 1' is no condition: it is int64, expected true or false"),
        ("a > c", "rules.r: 'a > c' fails: "),
        ("a > 1 and length(c) < 3", ""),
    ],
)
def test_a_rule_that_is_no_condition_on_the_stated_types_is_told_beforehand(sql: str, told: str):
    columns = {"a": Column("int64"), "c": Column("string")}
    found = Contract(columns, rules={"r": Rule(sql)}).problems()
    assert [line[: len(told)] for line in found] == ([told] if told else [])
