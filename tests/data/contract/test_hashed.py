"""Keys of values: equal ones have equal keys, whatever they are laid out as."""

import pyarrow as pa
import pytest

from raypipe.data.contract.hashed import keys, keys_of_rows


def test_zero_has_no_sign():
    assert len(set(keys(pa.chunked_array([[0.0, -0.0]])).tolist())) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1, 300]), pa.array([1, 300], pa.int16())),
        (pa.array(["a", "b"]), pa.array(["a", "b"], pa.large_string())),
        (pa.array(["a", "b"]), pa.array(["a", "b"]).dictionary_encode()),
        (pa.array([0.5, 2.0]), pa.array([0.5, 2.0], pa.float32())),
        (pa.array(["a", "b"]), pa.array([b"a", b"b"])),
    ],
)
def test_the_layout_makes_no_difference(one, other):
    assert keys(pa.chunked_array([one])).tolist() == keys(pa.chunked_array([other])).tolist()


def test_rows_that_lack_a_value_have_no_key():
    at, found = keys_of_rows(pa.table({"a": [1, None, 3, 3], "b": [0.5, 0.5, float("nan"), 0.5]}))
    assert at.tolist() == [0, 3]
    assert len(set(found.tolist())) == 2
