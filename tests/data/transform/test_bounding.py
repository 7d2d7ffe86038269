"""Numbers put between bounds and into bins."""

import math

import numpy as np
import pyarrow as pa

from raypipe.data.transform.bounding import Clip, QuantileBins
from raypipe.data.transform.chain import Chain

NAN = float("nan")


def learn(entry, rows):
    return Chain({"e": entry}).fit(rows.schema, lambda stage: [stage(rows)])


def column(values, type=None):
    return pa.table({"x": pa.array(values, type)})


def test_given_bounds_learn_nothing_and_leave_what_is_missing():
    rows = column([-5.0, 0.5, math.inf, None, NAN], pa.float32())
    found = learn(Clip(["x"], 0, 1.5), rows).apply(rows)["x"]
    assert found.type == pa.float32()
    assert found.to_pylist()[:4] == [0.0, 0.5, 1.5, None]
    assert math.isnan(found.to_pylist()[4])


def test_one_bound_is_enough_and_integers_become_floats():
    rows = column([-5, 5, None])
    found = learn(Clip(["x"], high=0), rows).apply(rows)["x"]
    assert (found.type, found.to_pylist()) == (pa.float64(), [-5.0, 0.0, None])


def test_quantiles_are_those_of_the_training_part():
    values = np.random.default_rng(5).normal(size=1000)
    chain = learn(Clip(["x"], quantiles=[0.05, 0.95]), column(values))
    low, high = np.quantile(values, [0.05, 0.95])
    np.testing.assert_allclose(chain.apply(column([-9.0, 9.0]))["x"].to_numpy(), [low, high], rtol=1e-12)


def test_bins_are_of_one_size_and_missing_values_have_none():
    chain = learn(QuantileBins(["x"], 4), column(list(range(100))))
    assert chain.fitted["e"]["x"]["edges"] == [24.75, 49.5, 74.25]
    counts = np.bincount(chain.apply(column(list(range(100))))["x"].to_numpy())
    assert counts.tolist() == [25, 25, 25, 25]
    assert chain.apply(column([-(10**6), 10**6, None]))["x"].to_pylist() == [0, 3, -1]
    floats = learn(QuantileBins(["x"], 2), column([1.0, 2.0, NAN, None]))
    assert floats.apply(column([NAN, math.inf, -math.inf, 1.5]))["x"].to_pylist() == [-1, 1, 0, 1]


def test_fewer_values_than_bins_is_said():
    chain = learn(QuantileBins(["x"], 10), column([0] * 50 + [1] * 50))
    assert chain.notes() == ["e: column 'x' has 3 bins, not 10: it has few values"]
    assert chain.apply(column([0, 1]))["x"].to_pylist() == [0, 2]
