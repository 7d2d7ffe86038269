"""The checks of a column's values: which of them break a rule."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.data.contract import checks


def at(rule, limit, values, type=None):
    return checks.broken(rule, limit, pa.chunked_array([pa.array(values, type)])).tolist()


@pytest.mark.parametrize(
    ("rule", "limit", "values", "type", "broken"),
    [
        ("min", 0.5, [2**60 + 1, 0, None, 1], pa.int64(), [1]),
        ("max", 2.5, [2, 3, -(2**60)], pa.int64(), [1]),
        ("min", 0, [2**63 + 5, 0], pa.uint64(), []),
        ("min", -1, [0, 255], pa.uint8(), []),
        ("max", 260, [0, 255], pa.uint8(), []),
        ("min", 260, [0, None, 255], pa.uint8(), [0, 2]),
        ("max", -1, [0, None], pa.uint8(), [0]),
        ("max", 1e19, [2**64 - 1, 5], pa.uint64(), [0]),
        ("min", float("-inf"), [1], pa.int64(), []),
        ("allowed", [1, 2], [1, None, 3], pa.int32(), [2]),
        ("allowed", [0.5], [0.5, float("nan"), 1.0], pa.float64(), [2]),
        ("nulls", False, [1.0, None, float("nan")], pa.float64(), [1, 2]),
    ],
)
def test_values_that_break_a_rule(rule, limit, values, type, broken):
    assert at(rule, limit, values, type) == broken


@given(
    st.lists(st.sampled_from(["a", "bb", None, "c\n"]), min_size=1, max_size=30),
    st.sampled_from(["nulls", "allowed", "pattern", "min_length"]),
)
def test_a_dictionary_is_judged_as_its_values(values, rule):
    limit = {"nulls": False, "allowed": ["a"], "pattern": "[a-z]+", "min_length": 2}[rule]
    column = pa.array(values, pa.string())
    coded = pa.chunked_array([column.dictionary_encode(), column.slice(0, 1).dictionary_encode()])
    assert checks.broken(rule, limit, coded).tolist() == checks.broken(rule, limit, coded.cast(pa.string())).tolist()


TEXTS = st.lists(st.sampled_from(["a", "b", "ab", "", None, "c\n", "é"]), min_size=1, max_size=60)


@given(TEXTS)
def test_text_that_repeats_is_matched_once_each_with_the_same_result(values):
    column = pa.chunked_array([pa.array(values, pa.string())])
    slow = checks.broken("pattern", "[a-z]+", column).tolist()
    few = checks.FEW
    try:
        checks.FEW = 4
        assert checks.broken("pattern", "[a-z]+", column).tolist() == slow
    finally:
        checks.FEW = few
    assert slow == [i for i, v in enumerate(values) if v is not None and v not in ("a", "b", "ab")]
