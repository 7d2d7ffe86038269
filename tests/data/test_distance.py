"""Distances between two distributions: values computed by hand, and what holds for any counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.distance import aligned, bin_counts, jensen_shannon, l_infinity, psi, quantile_edges

BINS = st.integers(1, 8).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 10**6), min_size=n, max_size=n).filter(lambda c: sum(c) > 0) for _ in range(2)])
)


def test_psi_by_hand():
    # Shares 0.5, 0.5 and 0.8, 0.2: 0.3 ln 1.6 - 0.3 ln 0.4 = 0.3 ln 4.
    assert psi([50, 50], [8, 2]) == pytest.approx(0.3 * math.log(4))
    # Siddiqi's kind of table: 10, 20, 70 % against 20, 30, 50 %.
    assert psi([10, 20, 70], [20, 30, 50]) == pytest.approx(0.1 * math.log(2) + 0.1 * math.log(1.5) - 0.2 * math.log(5 / 7))


def test_psi_takes_an_empty_bin_for_a_ten_thousandth():
    assert psi([1, 1], [1, 0]) == pytest.approx(0.5 * math.log(2) + (1e-4 - 0.5) * math.log(1e-4 / 0.5))


def test_jensen_shannon_by_hand():
    assert jensen_shannon([1, 0], [0, 1]) == 1
    # m = 0.75, 0.25: KL(p||m) = log2(1/0.75), KL(q||m) = 0.5 log2(0.5/0.75) + 0.5 log2(0.5/0.25).
    expected = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5) / 2
    assert jensen_shannon([4, 0], [3, 3]) == pytest.approx(expected)
    assert jensen_shannon([4, 0], [3, 3]) == pytest.approx(0.311278, abs=1e-6)


def test_l_infinity_by_hand():
    assert l_infinity([10, 20, 70], [20, 30, 50]) == pytest.approx(0.2)
    assert l_infinity([1, 0], [0, 5]) == 1


@settings(deadline=None)
@given(BINS)
def test_what_holds_for_any_counts(counts):
    p, q = counts
    for distance, most in ((psi, math.inf), (jensen_shannon, 1), (l_infinity, 1)):
        assert distance(p, p) == pytest.approx(0, abs=1e-12)
        assert distance(p, q) == pytest.approx(distance(q, p), abs=1e-12)
        assert -1e-12 <= distance(p, q) <= most
        assert distance(p, [7 * n for n in q]) == pytest.approx(distance(p, q), abs=1e-9)
    # Lin's bound by the total variation, and Chebyshev's by it as well.
    variation = sum(abs(a / sum(p) - b / sum(q)) for a, b in zip(p, q, strict=True)) / 2
    assert jensen_shannon(p, q) <= variation + 1e-12
    assert l_infinity(p, q) <= variation + 1e-12


def test_edges_are_the_references_quantiles():
    assert quantile_edges(np.arange(1, 101)).tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert quantile_edges([3, 1, 2], num_bins=2).tolist() == [2]
    assert quantile_edges([1.0] * 95 + [2.0] * 5).tolist() == [1.0]
    assert quantile_edges([1, 2], counts=[1, 3], num_bins=4).tolist() == [1, 2]
    assert quantile_edges([math.nan, 1.0, math.inf], num_bins=2).tolist() == [1.0]


def test_a_bin_ends_with_its_edge_and_nan_has_its_own():
    assert bin_counts([0.0, 1.0, 1.5, 2.0, math.inf, math.nan], np.array([1.0, 2.0])).tolist() == [2, 2, 1, 1]
    assert bin_counts([1, 2, 3], np.array([1, 2]), counts=[5, 6, 7]).tolist() == [5, 6, 7, 0]


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60), st.integers(2, 12), st.integers(0, 60))
def test_pieces_add_up_and_values_with_counts_are_the_values(values, num_bins, at):
    edges = quantile_edges(values, num_bins=num_bins)
    found, counts = np.unique(values, return_counts=True)
    assert quantile_edges(found, counts, num_bins).tolist() == edges.tolist()
    whole = bin_counts(values, edges)
    pieces = bin_counts(np.array(values[:at], dtype=int), edges) + bin_counts(np.array(values[at:], dtype=int), edges)
    assert whole.tolist() == pieces.tolist() == bin_counts(found, edges, counts).tolist()
    assert whole.sum() == len(values)


def test_values_of_a_category_are_aligned():
    values, p, q = aligned({"a": 1, "b": 2}, {"b": 3, "c": 4})
    assert (values, p.tolist(), q.tolist()) == (["a", "b", "c"], [1, 2, 0], [0, 3, 4])


def test_what_has_no_distance_is_told():
    with pytest.raises(DataError, match="counts of 2 and of 3 bins"):
        psi([1, 2], [1, 2, 3])
    with pytest.raises(DataError, match="the other counts are all zero"):
        l_infinity([1, 2], [0, 0])
    with pytest.raises(DataError, match="the reference counts are negative"):
        jensen_shannon([-1, 2], [0, 1])
    with pytest.raises(DataError, match="no quantiles"):
        quantile_edges([math.nan])
