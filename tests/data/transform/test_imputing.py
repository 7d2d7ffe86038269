"""What is put where there is none."""

import pyarrow as pa
import pytest

from raypipe.data.transform.chain import Chain
from raypipe.data.transform.imputing import Impute

NAN = float("nan")


def learn(entry, rows):
    return Chain({"e": entry}).fit(rows.schema, lambda stage: [stage(rows)])


def column(values, type=None):
    return pa.table({"x": pa.array(values, type)})


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
