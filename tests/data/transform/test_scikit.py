"""Scikit-learn's transformers, learnt and applied without it: the same numbers."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.scikit import ScikitLearn

VALUES = np.random.default_rng(4).lognormal(1.0, 1.2, 3000) - 1.0
POSITIVE = np.random.default_rng(5).gamma(2.0, 3.0, 3000)


def learn(entry, *parts):
    return Chain({"e": entry}).fit(parts[0].schema, lambda stage: [stage(part) for part in parts])


def column(values, type=None):
    return pa.table({"x": pa.array(values, type)})


@pytest.mark.parametrize(
    ("name", "settings", "values", "apart"),
    [
        ("MinMaxScaler", {}, VALUES, 1e-7),
        ("MinMaxScaler", {"feature_range": [-2, 3]}, VALUES, 1e-6),
        ("MaxAbsScaler", {}, VALUES, 1e-7),
        ("PowerTransformer", {}, VALUES, 1e-4),
        ("PowerTransformer", {"method": "box-cox"}, POSITIVE, 1e-4),
        ("PowerTransformer", {"standardize": False}, VALUES, 1e-4),
        ("QuantileTransformer", {"n_quantiles": 100}, VALUES, 1e-6),
        ("QuantileTransformer", {"n_quantiles": 50, "output_distribution": "normal"}, VALUES, 1e-5),
        ("QuantileTransformer", {"n_quantiles": 50}, np.round(VALUES), 1e-6),
        ("KBinsDiscretizer", {"n_bins": 7}, VALUES, 0),
        ("KBinsDiscretizer", {"strategy": "uniform"}, VALUES, 0),
    ],
)
def test_it_gives_what_scikit_learn_gives(name, settings, values, apart):
    from sklearn import preprocessing

    more = {"encode": "ordinal", "quantile_method": "linear"} if name == "KBinsDiscretizer" else {}
    theirs = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()} | more
    fitted = getattr(preprocessing, name)(**theirs).fit(values[:, None])
    asked = np.append(values, [values.min(), values.max()])
    found = learn(ScikitLearn(["x"], name, settings), column(values[:1000]), column(values[1000:])).apply(column(asked))["x"].to_numpy()
    np.testing.assert_allclose(found, fitted.transform(asked[:, None])[:, 0], rtol=apart, atol=apart)


@pytest.mark.parametrize("name", ["MinMaxScaler", "PowerTransformer", "QuantileTransformer", "KBinsDiscretizer"])
def test_missing_values_stay_and_far_ones_are_taken(name):
    chain = learn(ScikitLearn(["x"], name), column([1.0, 2.0, 5.0, None, math.nan]))
    found = chain.apply(column([None, math.nan, 1e300, -1e300]))["x"].to_pylist()
    if name == "KBinsDiscretizer":
        assert found[:2] == [-1, -1]
        assert found[2] > found[3] == 0
    else:
        assert found[0] is None
        assert math.isnan(found[1])
        assert found[2] > found[3]


def test_what_it_learnt_is_plain_numbers():
    chain = learn(ScikitLearn(["x"], "QuantileTransformer", {"n_quantiles": 3}), column([0.0, 1.0, 2.0]))
    assert json.loads(json.dumps(chain.fitted))["e"]["x"] == {"quantiles": [0.0, 1.0, 2.0], "shares": [0.0, 0.5, 1.0], "bits": 52}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (ScikitLearn(["x"], "PCA"), "transformer 'PCA' is not one that raypipe applies"),
        (ScikitLearn(["x"], "PowerTransfomer"), "Did you mean 'PowerTransformer'?"),
        (ScikitLearn(["x"], "MinMaxScaler", {"clip": True}), "'clip' is no setting of MinMaxScaler"),
        (ScikitLearn(["x"], "MinMaxScaler", {"feature_range": [1, 0]}), "feature_range is [1, 0], expected two numbers in order"),
        (ScikitLearn(["x"], "PowerTransformer", {"method": "log"}), "method is 'log', expected yeo-johnson or box-cox"),
        (ScikitLearn(["x"], "PowerTransformer", {"standardize": 1}), "standardize is 1, expected true or false"),
        (ScikitLearn(["x"], "KBinsDiscretizer", {"n_bins": 1}), "n_bins is 1, expected 2 to 100,000"),
        (
            ScikitLearn(["x"], "PowerTransformer", {"method": "box-cox"}),
            "has values down to -1: box-cox takes positive ones only",
        ),
        (ScikitLearn(["c"], "MinMaxScaler"), "column 'c' is string, expected a number"),
        (ScikitLearn(["tiny"], "MinMaxScaler"), "column 'tiny' has values within 4.94066e-324: too near to each other to scale by"),
        (ScikitLearn(["tiny"], "MaxAbsScaler"), "column 'tiny' has values within 4.94066e-324"),
        (ScikitLearn(["empty"], "MinMaxScaler"), "column 'empty' has no value in the training part"),
        (ScikitLearn(["empty"], "PowerTransformer"), "column 'empty' has no value"),
        (ScikitLearn(["empty"], "QuantileTransformer"), "column 'empty' has no value"),
    ],
)
def test_what_it_does_not_do_is_refused(entry, text):
    rows = pa.table({"x": [-1.0, 2.0], "c": ["a", "b"], "tiny": [0.0, 5e-324], "empty": pa.array([None, math.nan], pa.float64())})
    with pytest.raises(DataError) as error:
        learn(entry, rows)
    assert text in str(error.value)
