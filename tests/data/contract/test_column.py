"""A column of a contract: what its settings may be."""

import re

import pytest

from raypipe.data.contract.column import Column
from raypipe.data.contract.contract import Contract


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (Column("text"), "'text' is no type. Types: int64"),
        (Column("int64", min=3, max=1), "min 3 is above max 1"),
        (Column("int64", min="a"), "min is 'a', which is no int64"),
        (Column("bool", max=1), "max is 1, which is no bool"),
        (Column("date32", min="2013-02-30"), "min is '2013-02-30', which is no date32, such as '2026-01-31'"),
        (
            Column("timestamp[us, tz=UTC]", max="2013-02-03"),
            "max is '2013-02-03', which is no timestamp[us, tz=UTC], such as '2026-01-31T00:00:00Z'",
        ),
        (Column("timestamp[us]", min="2014-01-01", max="2013-01-01"), "is above max"),
        (Column("int64", allowed=[1, 1.5]), "allowed has 1.5, which is no int64"),
        (Column("string", allowed=[]), "allowed is empty"),
        (Column("int64", pattern="a"), "pattern is for text, the type is int64"),
        (Column("string", pattern="("), "pattern '(': "),
        (Column("string", pattern="(?=a)b"), "RE2 knows no look-around"),
        (Column("string", unique=True, on_breach="drop"), "unique cannot go with on_breach: drop"),
        (Column("list<int64>", unique=True), "unique is for text, numbers, times and bytes, the type is list<int64>"),
        (Column("struct<a: int8>", references={"table": "t"}), "references is for text, numbers, times and bytes"),  # type: ignore[arg-type]
        (Column("string", on_breach="ignore"), "on_breach is 'ignore', expected fail, quarantine, drop or warn"),  # type: ignore[arg-type]
        (Column("string", known="later"), "known is 'later', expected before or afterwards"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be_are_told(column, text):
    found = Contract({"x": column}).problems()
    assert [line for line in found if re.match(f"columns.x: .*{re.escape(text)}", line)], found


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (Column("int64", nulls=1.5), "nulls is 1.5, expected a share from 0 to 1"),
        (Column("int64", tolerance=-1), "tolerance is -1, expected a share from 0 to 1"),
        (Column("int64", min_length=1), "min_length is for text, the type is int64"),
        (Column("string", min_length=3, max_length=2), "min_length 3 is above max_length 2"),
        (Column("string", on_breach={"patern": "drop"}), "on_breach.patern: no such rule. Did you mean 'pattern'?"),
        (Column("string", on_breach={"min": "dorp"}), "on_breach.min is 'dorp'"),  # type: ignore[dict-item]
        (
            Column("int64", nulls=0.1, min=0, on_breach="drop"),
            "nulls as a share cannot go with on_breach: drop: no single row breaks it. Say for which rules it is: on_breach: {min: drop}",
        ),
        (Column("int64", distance={"against": "t", "at_most": 0}), "distance.at_most is 0, expected more than 0"),  # type: ignore[arg-type]
    ],
)
def test_settings_of_shares_and_breaches(column, text):
    assert [line for line in column.problems() if text in line], column.problems()


def test_what_is_done_is_said_by_rule_or_for_all():
    assert Column("int64", on_breach={"min": "quarantine"}).breach("min") == "quarantine"
    assert Column("int64", on_breach={"min": "quarantine"}).breach("max") == "fail"
    assert Column("int64", on_breach={"min": "quarantine", "max": "drop"}).takes_out == {"quarantine", "drop"}
    assert Column("int64", on_breach="warn").takes_out == set()


def test_what_comes_once_together_can_be_told_apart():
    contract = Contract({"n": Column("int64"), "l": Column("list<int64>")}, unique=[["n", "l"]])
    assert contract.problems() == ["unique[0]: column 'l' is list<int64>; what comes once is text, numbers, times or bytes"]
