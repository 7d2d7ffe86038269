"""The plain text that a person reads."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from raypipe.evaluate.metrics import Scores
from raypipe.evaluate.report import report
from raypipe.evaluate.slices import Sliced


def test_the_report_names_what_a_careful_reader_wants():
    rng = np.random.default_rng(0)
    label, probability = rng.random(500) < 0.25, rng.random(500)
    table = pa.table({"carrier": [["AA", "UA", "B6", "DL"][i % 4] if i else "HA" for i in range(500)]})
    text = report(Sliced.partial(table, label, probability, ["carrier"]).figures(0.31), max_slices=4)
    assert [line.split()[0] for line in text.split("By carrier\n")[1].splitlines()] == ["carrier", "B6", "DL", "UA", "AA", "and"]
    lines = text.splitlines()
    assert lines[0].startswith("500 rows, ")
    for words in ("AUC", "average precision", "Brier score", "log loss", "F1 at threshold 0.3100", "Calibration", "By carrier"):
        assert words in text
    assert "HA" not in text
    assert lines[-1] == "  and 1 smaller"
    assert len({len(line) for line in text.split("By carrier\n")[1].splitlines()[:-1]}) == 1, "columns are aligned"


def test_what_could_not_be_had_says_why():
    text = report(Scores.partial(np.zeros(3), np.zeros(3)).figures())
    assert "none  (all 3 rows are negative)" in text
    assert "no rows" in report(Scores.merge([]).figures())


def test_a_slice_of_too_few_rows_is_listed():
    table = pa.table({"origin": ["EWR"] * 40 + ["LGA"] * 2})
    text = report(Sliced.partial(table, np.arange(42) % 2, np.full(42, 0.5), ["origin"]).figures())
    assert [line.split() for line in text.splitlines() if "LGA" in line] == [["LGA", "2", *["too", "few"] * 5]]


def test_a_stated_error_is_shown():
    figures = Scores.partial(np.array([0, 1]), np.array([0.2, 0.8])).figures() | {"errors": {"auc": 0.0004}}
    assert "AUC                              1.0000  (within 0.0004)" in report(figures)
