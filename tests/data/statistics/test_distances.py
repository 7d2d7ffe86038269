"""Distances between columns by their profiles: those of the rows themselves, whatever was merged."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.distance import bin_counts, psi, quantile_edges
from raypipe.data.statistics.distances import bins, distance
from raypipe.data.statistics.profile import Profile, merge


def column(values, type_=None):
    return Profile.of(pa.table({"x": pa.array(values, type_)}))["x"]


def test_of_few_numbers_it_is_that_of_the_rows():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 500, 5_000), rng.integers(50, 600, 3_000)
    edges = quantile_edges(a)
    expected = psi(bin_counts(a, edges), bin_counts(b, edges))
    assert distance(column(a), column(b), "psi") == pytest.approx(expected, abs=1e-12)
    assert bins(column(a), column(b)).error == 0


def test_of_many_numbers_it_is_near_that_of_the_rows_and_says_how_near():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=60_000), rng.normal(0.3, 1.2, size=60_000)
    parts = [Profile.of(pa.table({"x": some})) for some in np.array_split(a, 7)]
    reference = merge(parts)["x"]
    found = bins(reference, column(b))
    assert found.reference.sum() == found.other.sum() == 60_000
    edges = quantile_edges(a)
    true = bin_counts(a, edges)
    assert np.abs(found.reference - true).max() / 60_000 <= 2 * found.error
    assert 0 < found.error < 0.003
    assert distance(reference, column(b), "psi") == pytest.approx(psi(true, bin_counts(b, edges)), abs=0.01)


def test_of_texts_it_is_by_value_with_one_bin_for_the_others_and_one_for_what_is_missing():
    a, b = column(["JFK"] * 6 + ["EWR"] * 2 + [None] * 2), column(["JFK"] * 5 + ["LGA"] * 5)
    found = bins(a, b)
    assert found.names == ["JFK", "EWR", "others", "missing"]
    assert found.reference.tolist() == [6, 2, 0, 2]
    assert found.other.tolist() == [5, 0, 5, 0]
    assert distance(a, b, "l_infinity") == pytest.approx(0.5)
    assert distance(a, a, "jensen_shannon") == 0


def test_nan_and_null_are_one_bin():
    a, b = column([1.0, 2.0, None, float("nan")]), column([1.0, 2.0, 2.0, 2.0])
    assert distance(a, b, "l_infinity") == pytest.approx(0.5)


def test_a_reference_of_nulls_alone_and_integers_beside_floats():
    assert distance(column([None, None], pa.float64()), column([1.0, None]), "l_infinity") == pytest.approx(0.5)
    assert distance(column([1, 2, 3, 4]), column([1.0, 2.0, 3.0, 4.0]), "psi") == pytest.approx(0)


@pytest.mark.parametrize(
    ("a", "b", "measure", "told"),
    [
        ([1], ["a"], "psi", "the reference is int64 and the other side string"),
        ([1], [], "psi", "has no rows"),
        ([[1]], [[1]], "psi", "list<int64>"),
        ([1], [1], "pis", "there is no measure 'pis'"),
    ],
)
def test_what_has_no_distance_is_refused(a, b, measure, told):
    with pytest.raises(DataError, match=told):
        distance(column(a), column(b, None if b else pa.int64()), measure)
