"""What a contract finds in rows, in words that name the file and the row."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.data.contract.contract import Column, Contract
from raypipe.data.contract.examine import examine
from raypipe.data.contract.findings import merge, refusals, tolerated, words
from raypipe.data.contract.reasons import Place


def found(column, values, type=None, file="a.csv", first=1):
    table = pa.table({"x": pa.array(values, type)})
    return examine(Contract({"x": column}), table, Place(file, np.arange(first, first + len(values))))


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        (Column("int64", min=0), [5, -4, None, -1], "column 'x': 2 of 4 rows below 0 (first: a.csv row 2: -4)"),
        (Column("int64", max=2.5), [1, 3], "column 'x': 1 of 2 rows above 2.5 (first: a.csv row 2: 3)"),
        (Column("float64", min=0), [float("nan"), -0.5], "column 'x': 1 of 2 rows below 0 (first: a.csv row 2: -0.5)"),
        (Column("float64", nulls=False), [1.0, float("nan"), None], "column 'x': 2 of 3 rows without a value (first: a.csv row 2)"),
        (Column("string", nulls=False), [None, ""], "column 'x': 1 of 2 rows without a value (first: a.csv row 1)"),
        (Column("string", allowed=["a", "b"]), ["a", None, "c"], "column 'x': 1 of 3 rows not among a, b (first: a.csv row 3: 'c')"),
        (Column("int64", allowed=[1, 2]), [1, 3], "column 'x': 1 of 2 rows not among 1, 2 (first: a.csv row 2: 3)"),
        (Column("string", pattern="[A-Z]{2}"), ["AA", "AAA", "AA\n"], "2 of 3 rows not matching [A-Z]{2} (first: a.csv row 2: 'AAA')"),
        (Column("bool", allowed=[True]), [True, False], "1 of 2 rows not among True (first: a.csv row 2: False)"),
    ],
)
def test_a_breach_names_column_count_rule_file_row_and_value(column, values, text):
    findings = found(column, values).findings
    (line,) = refusals(findings)
    assert text in line


def test_times_are_compared_with_iso_texts():
    column = Column("timestamp[us, tz=UTC]", min="2013-01-01T00:00:00Z", max="2013-12-31T00:00:00Z")
    assert not [f for f in found(column, [1_370_000_000_000_000], pa.timestamp("us", "UTC")).findings if f["figure"]]
    assert words(found(column, [0], pa.timestamp("us", "UTC")).findings[0]).endswith("(first: a.csv row 1: 1970-01-01 00:00:00+00:00)")
    assert refusals(found(Column("date32", max="2013-01-01"), [20_000], pa.date32()).findings)


def test_every_rule_has_its_figure_broken_or_not():
    findings = found(Column("int64", nulls=False, min=0, max=9), [1, 2]).findings
    assert [(f["rule"], f["bound"], f["figure"], f["rows"]) for f in findings] == [
        ("nulls", False, 0, 2),
        ("min", 0, 0, 2),
        ("max", 9, 0, 2),
    ]


def test_only_drop_and_quarantine_take_rows_away():
    values = [1, -1, None, 5]
    for what, kept in (("fail", values), ("warn", values), ("drop", [1, None, 5]), ("quarantine", [1, None, 5])):
        seen = found(Column("int64", min=0, on_breach=what), values)  # type: ignore[arg-type]
        assert seen.kept["x"].to_pylist() == kept
        assert seen.mask.tolist() == [v in kept for v in values]
        assert (len(refusals(seen.findings)), len(tolerated(seen.findings))) == ((1, 0) if what == "fail" else (0, 1))


def test_findings_merge_in_the_order_of_fragments():
    column = Column("int64", min=0)
    parts = [
        found(column, [-1] * 7, file="a.csv").findings,
        found(column, [1], file="b.csv").findings,
        found(column, [-2] * 7, file="c.csv", first=5).findings,
    ]
    (merged,) = merge(parts)
    assert (merged["figure"], merged["rows"]) == (14, 15)
    assert len(merged["examples"]) == 10
    assert merged["examples"][7] == {"file": "c.csv", "row": 5, "value": -2}
    assert merge([*parts[:2], []]) == merge([merge(parts[:2])])


def test_dictionaries_and_long_values():
    table = pa.table({"x": pa.array(["b" * 200, "a"]).dictionary_encode()})
    findings = examine(Contract({"x": Column("dictionary<string, int32>", pattern="a")}), table, Place("f", np.array([3, 4]))).findings
    assert len(words(findings[0])) < 200
    assert findings[0]["examples"][0]["row"] == 3
