"""Figures by the values of a column, merged over fragments."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.evaluate.metrics import Scores
from raypipe.evaluate.slices import MAX_VALUES, MISSING, Sliced


def flights(num_rows: int = 400) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    carrier = [["AA", "UA", None][i % 3] if i < num_rows - 2 else "HA" for i in range(num_rows)]
    table = pa.table({"carrier": pa.array(carrier).dictionary_encode(), "hour": pa.array([i % 2 for i in range(num_rows)], pa.int8())})
    return table, rng.random(num_rows) < 0.3, rng.random(num_rows)


def test_a_slice_has_the_figures_of_its_rows_alone():
    table, label, probability = flights()
    figures = Sliced.partial(table, label, probability, ["carrier", "hour"]).figures(0.4)
    chosen = np.array(table["carrier"].to_pylist()) == "UA"
    alone = Scores.partial(label[chosen], probability[chosen]).figures(0.4)
    assert figures["slices"]["carrier"]["UA"] == {name: value for name, value in alone.items() if name != "calibration"}
    assert figures["auc"] == Scores.partial(label, probability).figures(0.4)["auc"]
    assert set(figures["slices"]["hour"]) == {"0", "1"}


def test_small_slices_are_counted_and_have_no_figures():
    table, label, probability = flights()
    by_carrier = Sliced.partial(table, label, probability, ["carrier"]).figures(min_rows=30)["slices"]["carrier"]
    assert by_carrier["HA"] == {"rows": 2}
    assert by_carrier[MISSING]["rows"] == 132
    assert sum(row["rows"] for row in by_carrier.values()) == 400


def test_fragments_merge_to_the_figures_of_the_whole():
    table, label, probability = flights()
    cuts = [0, 50, 50, 399, 400]
    parts = [Sliced.partial(table.slice(a, b - a), label[a:b], probability[a:b], ["carrier"]) for a, b in pairwise(cuts)]
    whole = Sliced.partial(table, label, probability, ["carrier"]).figures()
    assert Sliced.merge(parts).figures() == whole
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole


def test_without_rows_or_columns_nothing_breaks():
    table, label, probability = flights()
    assert Sliced.partial(table, label, probability).figures()["slices"] == {}
    assert Sliced.partial(table.slice(0, 0), label[:0], probability[:0], ["carrier"]).figures()["slices"] == {"carrier": {}}
    assert Sliced.merge([]).figures()["rows"] == 0


def test_a_column_that_is_not_there_or_has_too_many_values_is_named():
    table, label, probability = flights()
    with pytest.raises(DataError, match=r"no column 'carier'.*Did you mean 'carrier'"):
        Sliced.partial(table, label, probability, ["carier"])
    many = pa.table({"id": list(range(MAX_VALUES + 1))})
    with pytest.raises(DataError, match=f"'id' has more than {MAX_VALUES} distinct values"):
        Sliced.partial(many, np.zeros(MAX_VALUES + 1), np.zeros(MAX_VALUES + 1), ["id"])
