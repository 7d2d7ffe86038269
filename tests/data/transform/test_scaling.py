"""Scaling: what is learnt, what becomes of missing values, what is refused, in the settings of any fitted transform too."""

import math
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.bounding import Clip, QuantileBins
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.encoding import Frequency, OneHot, Ordinal
from raypipe.data.transform.imputing import Impute
from raypipe.data.transform.scaling import RobustScale, Standardize

NAN = float("nan")


def learn(entry, rows):
    return Chain({"e": entry}).fit(rows.schema, lambda stage: [stage(rows)])


def column(values, type=None):
    return pa.table({"x": pa.array(values, type)})


def test_standardize_is_scikit_learns_scaler():
    from sklearn.preprocessing import StandardScaler

    values = np.random.default_rng(1).normal(1e6, 3, 1000)
    found = learn(Standardize(["x"]), column(values)).apply(column(values))["x"].to_numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, StandardScaler().fit_transform(values[:, None])[:, 0], rtol=1e-6)


def test_standardize_leaves_nulls_and_nans_out_and_in_place():
    rows = column([1.0, None, NAN, 3.0], pa.float64())
    chain = learn(Standardize(["x"]), rows)
    assert chain.fitted["e"]["x"] == {"mean": 2.0, "scale": 1.0, "constant": False, "n": 2, "num_nulls": 1, "num_nans": 1}
    found = chain.apply(rows)["x"].to_pylist()
    assert (found[0], found[1], found[3]) == (-1.0, None, 1.0)
    assert math.isnan(found[2])


@pytest.mark.parametrize("value", [0.1, 1e300, 5e-324, 7])
def test_a_column_that_never_varies_is_scaled_by_one_and_said(value):
    chain = learn(Standardize(["x"]), column([value] * 7))
    assert chain.apply(column([value]))["x"].to_pylist() == [0.0]
    assert chain.notes() == [f"e: column 'x' is always {value:g}: its scale is 1"]


@pytest.mark.parametrize(
    ("entry", "values", "text"),
    [
        (Standardize(["x"]), [None, NAN], r"column 'x' has no value in the training part \(1 nulls, 1 NaN\)"),
        (Standardize(["x"]), [1.0, math.inf], "column 'x' has 1 infinite values in the training part"),
        (Standardize(["x"]), [1e200, -1e200], "too large to find their variance"),
        (Standardize(["x"]), ["a"], "column 'x' is string, expected a number"),
        (Impute(["x"], "mean"), ["a"], "column 'x' is string, expected a number"),
        (Impute(["x"], "median"), [None, NAN], "no value in the training part"),
        (Impute(["x"], "constant", 1.5), [1, None], "column 'x' is int64, value is 1.5"),
        (Impute(["x"], "constant", True), [1, None], "column 'x' is int64, value is True"),
        (OneHot(["x"]), [1.5], "column 'x' is float64, expected string, integer or bool"),
        (OneHot(["x"], min_count=2), ["a", "b"], "no category with 2 rows or more"),
        (OneHot(["x"], max_categories=2), ["a", "b", "c"], "column 'x' has 3 categories, max_categories is 2"),
        (Ordinal(["y"]), ["a"], "no column 'y'"),
        (RobustScale(["x"]), [None, NAN], "no value in the training part"),
        (RobustScale(["x"]), [math.inf, math.inf, 1.0], "infinite quantile"),
        (RobustScale(["x"]), [-1.7e308, -1.7e308, 1.7e308, 1.7e308], "too far apart to scale by"),
        (Clip(["x"], 0), ["a"], "column 'x' is string, expected a number"),
        (QuantileBins(["x"]), ["a"], "column 'x' is string, expected a number"),
        (QuantileBins(["x"]), [None, NAN], "no value in the training part"),
    ],
)
def test_what_cannot_be_learnt_is_refused(entry, values, text):
    type = pa.float64() if isinstance(values[-1], float) else None
    with pytest.raises(DataError, match=f"transform.e: .*{text}"):
        learn(entry, column(values, type))


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (Impute(["x"], "mode"), "with_ is 'mode', expected mean, median or constant"),  # type: ignore[arg-type]
        (Impute(["x"], "constant"), "needs a value"),
        (Impute(["x"], "mean", 3), "a value goes with with_: constant"),
        (Impute(["x"], "constant", NAN), "expected a finite number"),
        (OneHot(["x"], min_count=0), "min_count is 0"),
        (OneHot(["x"], max_categories=0), "max_categories is 0"),
        (Frequency([]), "columns is empty"),
        (Clip(["x"]), "no bound is given"),
        (Clip(["x"], 2, 1), "low is 2, high is 1"),
        (Clip(["x"], NAN), "low is nan, expected a finite number"),
        (Clip(["x"], 1, quantiles=[0.1, 0.9]), "low and quantiles: give one of them"),
        (Clip(["x"], quantiles=[0.9, 0.1]), "expected two shares in order"),
        (QuantileBins(["x"], 1), "num_bins is 1, expected 2 to 10,000"),
    ],
)
def test_bad_settings_are_told(entry, text):
    assert text in "\n".join(entry.problems())


def test_robust_scale_is_scikit_learns():
    from sklearn.preprocessing import RobustScaler

    values = np.random.default_rng(1).standard_cauchy(999)
    found = learn(RobustScale(["x"]), column(values)).apply(column(values))["x"].to_numpy()
    np.testing.assert_allclose(found, RobustScaler().fit_transform(values[:, None])[:, 0], rtol=1e-6)


def test_robust_scale_leaves_missing_values_and_takes_infinite_ones():
    rows = column([1.0, 2.0, 3.0, 4.0, math.inf, None, NAN], pa.float64())
    chain = learn(RobustScale(["x"]), rows)
    assert chain.fitted["e"]["x"] == {"median": 3.0, "scale": 2.0, "constant": False, "bits": 52}
    found = chain.apply(rows)["x"].to_pylist()
    assert found[:6] == [-1.0, -0.5, 0.0, 0.5, math.inf, None]
    assert math.isnan(found[6])


def test_quartiles_at_one_value_are_said():
    chain = learn(RobustScale(["x"]), column([5, 5, 5, 9]))
    assert chain.notes() == []
    chain = learn(RobustScale(["x"]), column([5, 5, 5, 5, 9]))
    assert chain.notes() == ["e: column 'x' has both quartiles at one value: its scale is 1"]
    assert chain.apply(column([9]))["x"].to_pylist() == [4.0]


def test_a_decimal_is_told_how_to_become_a_number():
    rows = column([Decimal("1.5"), Decimal("2.5")], pa.decimal128(10, 2))
    told = r"column 'x' is decimal128\(10, 2\), expected a number: put raypipe.Derive in front, with x: cast\(x as double\)"
    with pytest.raises(DataError, match=told):
        learn(Standardize(["x"]), rows)
    chain = Chain({"double": Derive({"x": "cast(x as double)"}), "e": Standardize(["x"])}).fit(rows.schema, lambda stage: [stage(rows)])
    assert chain.apply(rows)["x"].to_pylist() == [-1.0, 1.0]
