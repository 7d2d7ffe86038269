"""Rows held to a contract: what each rule breaks, what becomes of the rows, and the place and reasons that go with them."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.contract.contract import Column, Contract, Freshness, Rule
from raypipe.data.contract.examine import examine
from raypipe.data.contract.findings import merge, refusals, tolerated, words
from raypipe.data.contract.reasons import Place


def look(contract, rows):
    table = pa.table(rows)
    place = Place("a.csv", np.arange(1, table.num_rows + 1))
    return examine(contract, table, place)


def of(column, values, type=None):
    return look(Contract({"x": column}), {"x": pa.array(values, type)})


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        (Column("string", min_length=2), ["ab", "é", None], "1 of 3 rows shorter than 2 (first: a.csv row 2: 'é')"),
        (Column("string", max_length=2), ["ab", "éèê"], "1 of 2 rows longer than 2 (first: a.csv row 2: 'éèê')"),
        (Column("float64", nulls=0.5), [1.0, None, float("nan")], "2 of 3 rows without a value, 66.667% where 50.000% may be"),
        (Column("int64", max=1, tolerance=0.3), [1, 2, 3], "2 of 3 rows above 1, 66.667% where 30.000% may be"),
        (Column("int64", max=1, tolerance=0.3, on_breach="drop"), [1, 2, 3], "2 of 3 rows above 1, 66.667% where 30.000% may be"),
    ],
)
def test_what_is_refused(column, values, text):
    (line,) = refusals(of(column, values).findings)
    assert text in line


@pytest.mark.parametrize(
    "column",
    [
        Column("int64", nulls=0.25, max=1, on_breach={"max": "warn"}),
        Column("int64", nulls=0.25, max=1, tolerance=0.5),
        Column("int64", nulls=0.25, max=1, on_breach={"max": "quarantine"}, tolerance=0.5),
    ],
)
def test_what_is_let_through(column):
    assert refusals(of(column, [1, 1, None, 2], pa.int64()).findings) == []


def test_a_table_may_lack_some_values_and_no_row_is_to_blame():
    seen = of(Column("int64", nulls=0.1, min=0, on_breach={"min": "quarantine"}), [1, None, -1], pa.int64())
    assert seen.kept["x"].to_pylist() == [1, None]
    assert seen.refused is None
    assert [words(f).split(" (")[0] for f in seen.findings if f["figure"]] == [
        "column 'x': 1 of 3 rows without a value, 33.333% where 10.000% may be",
        "column 'x': 1 of 3 rows below 0",
    ]


LATER = Contract({"dep": Column("int64"), "arr": Column("int64")}, rules={"later": Rule("arr > dep", on_breach="quarantine")})


def test_a_rule_over_columns_is_told_with_their_values():
    seen = look(LATER, {"dep": [1, 5, 7], "arr": [2, 3, None]})
    assert tolerated(seen.findings) == [
        "rule 'later': 1 of 3 rows for which it does not hold that arr > dep (first: a.csv row 2: arr 3, dep 5): in quarantine"
    ]
    assert seen.quarantined is not None
    (row,) = seen.quarantined.to_pylist()
    assert (row["arr"], row["raypipe.row"], row["raypipe.reasons"]) == (3, 2, ["later: not (arr > dep)"])


def test_where_a_rule_is_null_it_is_kept_unless_it_says_otherwise():
    strict = Contract(LATER.columns, rules={"later": Rule("arr > dep", nulls="fail")})
    assert look(LATER, {"dep": [1], "arr": pa.nulls(1, pa.int64())}).findings[0]["figure"] == 0
    assert look(strict, {"dep": [1], "arr": pa.nulls(1, pa.int64())}).findings[0]["figure"] == 1


def test_a_rule_that_is_no_condition():
    with pytest.raises(DataError, match=r"rule 'x': 'arr \+ dep' is no condition: it is int64, expected true or false"):
        look(Contract(LATER.columns, rules={"x": Rule("arr + dep")}), {"dep": [1], "arr": [2]})


@pytest.mark.parametrize(
    ("values", "newest"),
    [
        (pa.array([0, 3_600_000_000], pa.timestamp("us", "America/New_York")), "1970-01-01T01:00:00+00:00"),
        (pa.array([1], pa.date32()), "1970-01-02T00:00:00+00:00"),
        (pa.array([datetime.datetime(2026, 1, 2)], pa.timestamp("ns")), "2026-01-02T00:00:00+00:00"),
        (pa.nulls(2, pa.timestamp("s")), None),
    ],
)
def test_the_newest_value_is_noted_in_utc(values, newest):
    contract = Contract({"x": Column("timestamp[us]")}, freshness=Freshness("x", "36h"))
    found = look(contract, {"x": values}).findings
    assert found[-1]["newest"] == newest
    earlier = [{**found[-1], "newest": "1969-01-01T00:00:00+00:00"}]
    assert merge([found, earlier])[-1]["newest"] == (newest or "1969-01-01T00:00:00+00:00")


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=1, max_size=40), st.sampled_from(["drop", "quarantine"]))
def test_every_row_is_kept_dropped_or_in_quarantine(values, breach):
    columns = {"x": Column("int64", min=-2, max=3, on_breach=breach), "y": Column("int64", nulls=False, on_breach="quarantine")}
    seen = look(Contract(columns), {"x": pa.array(values, pa.int64()), "y": pa.array(values, pa.int64())})
    out = [v for v in values if v is None or not -2 <= v <= 3]
    quarantined = [v for v in out if breach == "quarantine" or v is None]
    assert seen.kept["x"].to_pylist() == [v for v in values if v not in out]
    assert (seen.quarantined["x"].to_pylist() if seen.quarantined else []) == quarantined
    assert all(row["raypipe.reasons"] for row in (seen.quarantined.to_pylist() if seen.quarantined else []))
