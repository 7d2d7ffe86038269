"""The fitted transforms: what they learn, what they make of unseen and missing values, what they refuse."""

import math

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.encoding import Frequency, OneHot, Ordinal
from raypipe.data.transform.imputing import Impute
from raypipe.data.transform.scaling import Standardize

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
    ],
)
def test_bad_settings_are_told(entry, text):
    assert text in "\n".join(entry.problems())


@pytest.mark.parametrize(
    ("with_", "values", "type", "expected"),
    [
        ("mean", [1, None, 4], pa.int64(), [1.0, 2.5, 4.0]),
        ("median", [1.0, NAN, None, 7.0, 9.0], pa.float32(), [1.0, 7.0, 7.0, 7.0, 9.0]),
        ("median", [4, 1, None, 3, 2], pa.int16(), [4.0, 1.0, 2.5, 3.0, 2.0]),
    ],
)
def test_impute_fills_what_is_missing(with_, values, type, expected):
    rows = column(values, type)
    found = learn(Impute(["x"], with_), rows).apply(rows)["x"]
    assert found.to_pylist() == expected
    assert found.type == (type if pa.types.is_floating(type) else pa.float64())


@pytest.mark.parametrize(
    ("value", "values", "type"), [("?", ["a", None], pa.string()), (0, [5, None], pa.int8()), (False, [True, None], pa.bool_())]
)
def test_a_constant_keeps_the_type(value, values, type):
    rows = column(values, type)
    found = learn(Impute(["x"], "constant", value), rows).apply(rows)["x"]
    assert (found.to_pylist(), found.type) == ([values[0], value], type)


def test_a_dictionary_becomes_its_values_where_it_is_filled():
    rows = pa.table({"x": pa.array(["a", None]).dictionary_encode()})
    assert learn(Impute(["x"], "constant", "?"), rows).apply(rows)["x"].type == pa.string()


def test_one_hot_names_and_sorts_its_columns():
    rows = pa.table({"a": [1, 2], "carrier": ["UA", "AA"], "z": [True, None]})
    out = learn(OneHot(["carrier", "z"]), rows).apply(rows)
    assert out.to_pydict() == {"a": [1, 2], "carrier=AA": [0, 1], "carrier=UA": [1, 0], "z=true": [1, 0]}
    assert out.schema.field("carrier=AA").type == pa.uint8()


def test_unseen_rare_and_missing_categories_are_all_zeros():
    chain = learn(OneHot(["x"], min_count=2), column(["a", "a", "b"]))
    assert chain.apply(column(["a", "b", "new", None])).to_pydict() == {"x=a": [1, 0, 0, 0]}


@pytest.mark.parametrize("encode", [False, True])
def test_ordinal_and_frequency(encode):
    rows = column(["b", "a", "b", None])
    asked = column(["a", "b", "c", None])
    if encode:
        rows, asked = (t.set_column(0, "x", t["x"].dictionary_encode()) for t in (rows, asked))
    assert learn(Ordinal(["x"]), rows).apply(asked)["x"].to_pylist() == [0, 1, -1, -1]
    assert learn(Frequency(["x"]), rows).apply(asked)["x"].to_pylist() == [0.25, 0.5, 0.0, 0.0]


def test_two_columns_of_one_name_are_refused():
    rows = pa.table({"x": ["a"], "x=a": [1]})
    with pytest.raises(DataError, match="two columns would be named 'x=a'"):
        learn(OneHot(["x"]), rows)
