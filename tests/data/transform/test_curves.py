"""Curves of one column, learnt from distinct values and their counts."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raypipe.data.transform import curves, numbers


def state(values):
    return numbers.distinct(pa.array(values, pa.float64()))


def test_counts_weigh_as_rows_do():
    from scipy.stats import yeojohnson

    values = np.repeat([0.5, 1.0, 4.0, 9.0], [500, 300, 100, 20])
    learnt = curves.power("x", state(values), {"method": "yeo-johnson", "standardize": True})
    found: Any = yeojohnson(values)
    assert learnt["exponent"] == pytest.approx(found[1], abs=1e-5)
    assert learnt["mean"] == pytest.approx(found[0].mean(), rel=1e-5)


def test_a_column_of_one_value_stays_as_it_is():
    learnt = curves.power("x", state([3.0, 3.0]), {"method": "yeo-johnson", "standardize": True})
    assert (learnt["exponent"], learnt["mean"], learnt["scale"]) == (1.0, pytest.approx(3.0), 1.0)
    assert curves.min_max("x", numbers.moments(pa.array([2.0, 2.0])), {"feature_range": [0, 1]}) == {"scale": 1.0, "shift": -2.0}


@pytest.mark.parametrize("exponent", [-2.0, 0.0, 0.5, 1.0, 2.0, 3.5])
def test_a_power_has_no_hole_and_no_error(exponent):
    found = [curves.power_of(v, exponent, "yeo-johnson") for v in (-math.inf, -1e300, -1.0, -0.0, 1e-9, 1.0, 1e300, math.inf)]
    assert found == sorted(found)
    assert math.isnan(curves.power_of(0.0, exponent, "box-cox"))


def test_quantiles_of_one_value_share_the_middle():
    curve = curves.quantile_of([0.0, 1.0, 1.0, 1.0, 5.0], [0.0, 0.25, 0.5, 0.75, 1.0], normal=False)
    assert [curve(v) for v in (-1.0, 0.5, 1.0, 3.0, 9.0)] == [0.0, 0.125, 0.5, 0.875, 1.0]
    scores = curves.quantile_of([0.0, 1.0], [0.0, 1.0], normal=True)
    assert (scores(-math.inf), scores(math.inf)) == (pytest.approx(-5.199337582), pytest.approx(5.199337582))


def test_edges_are_inside_of_what_was_seen():
    assert curves.edges("x", numbers.moments(pa.array([0.0, 10.0])), {"n_bins": 4, "strategy": "uniform"}) == {"edges": [2.5, 5.0, 7.5]}
    assert curves.edges("x", state([1.0] * 9 + [2.0]), {"n_bins": 3, "strategy": "quantile"})["edges"] == []
