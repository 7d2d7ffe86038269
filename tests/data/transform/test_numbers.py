"""The states of numeric columns: they merge to what one pass over all rows would have found."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.transform import numbers

values = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.just(float("nan"))), max_size=40)


def moments_of(parts):
    states = [numbers.moments(pa.array(part, pa.float64())) for part in parts]
    merged = states[0]
    for state in states[1:]:
        merged = numbers.merge_moments(merged, state)
    return merged


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=5))
def test_moments_do_not_depend_on_the_fragments(parts):
    whole, merged = moments_of([[v for part in parts for v in part]]), moments_of(parts)
    assert {k: merged[k] for k in ("n", "num_nulls", "num_nans", "min", "max")} == {
        k: whole[k] for k in ("n", "num_nulls", "num_nans", "min", "max")
    }
    size = max(abs(whole["min"] or 0), abs(whole["max"] or 0), 1e-300)
    assert abs(merged["mean"] - whole["mean"]) <= 1e-12 * size
    assert abs(merged["m2"] - whole["m2"]) <= 1e-12 * size * size * max(whole["n"], 1) + 1e-300  # squares of tiny numbers are subnormal


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=5))
def test_the_median_is_exact_whatever_the_fragments(parts):
    seen = [v for part in parts for v in part if v is not None and not np.isnan(v)]
    state = numbers.merge_distinct([numbers.distinct(pa.array(part, pa.float64())) for part in parts])
    if seen:
        assert numbers.median("x", state) == pytest.approx(float(np.median(seen)), rel=1e-15, abs=0)
    else:
        with pytest.raises(DataError, match="no value"):
            numbers.median("x", state)


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=40), min_size=1, max_size=5), st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.9, 1.0]))
def test_quantiles_are_numpys(parts, share):
    seen = [v for part in parts for v in part] or [0.0]
    state = numbers.merge_distinct([numbers.distinct(pa.array(part, pa.float64())) for part in [*parts, seen]])
    expected = float(np.quantile(seen + seen, share))
    assert numbers.quantiles("x", state, [share])[0] == pytest.approx(expected, rel=1e-12, abs=1e-12 * max(map(abs, seen)) + 1e-300)


def test_too_many_distinct_values_are_shortened_the_same_whatever_the_fragments(monkeypatch):
    values = np.random.default_rng(3).normal(100, 30, 5000)
    exact = np.quantile(values, [0.1, 0.5])
    monkeypatch.setattr(numbers, "NUM_DISTINCT", 1000)
    whole = numbers.distinct(pa.array(values))
    parts = [numbers.distinct(pa.array(part)) for part in np.split(values, [700, 4000])]
    assert numbers.merge_distinct(parts) == numbers.merge_distinct(parts[::-1]) == whole
    np.testing.assert_allclose(numbers.quantiles("x", whole, [0.1, 0.5]), exact, rtol=2.0 ** -whole["bits"])
    (note,) = numbers.rounding_notes("x", whole["bits"])
    assert note.startswith("column 'x' has more than 1,000 distinct values: its quantiles are exact to a relative ")
    assert numbers.rounding_notes("x", numbers.distinct(pa.array([1.0]))["bits"]) == []


def test_an_infinite_value_stays_in_sight_through_a_merge():
    assert moments_of([[1.0], [float("inf")], [2.0]])["num_infinite"] == 1


def test_large_integers_are_taken_as_doubles():
    assert numbers.filled(pa.array([2**60 + 1, None]), 0.5, keep=False).to_pylist() == [float(2**60), 0.5]
