"""Hashes of values: the same everywhere, and no two alike in data that people have."""

import decimal
import itertools

import numpy as np
import pyarrow as pa

from raypipe.data.statistics.hashes import bytes_hashes, number_hashes


def texts():
    yield [str(decimal.Decimal(i) * 10**20 + decimal.Decimal("0.01")) for i in range(20_000)]
    yield [
        f"{y}-{m:02d}-{d:02d}T{h:02d}:{s:02d}"
        for y, m, d, h, s in itertools.product(range(2000, 2006), range(12), range(28), range(24), (0, 30))
    ]
    yield [f"user-{i:012d}" for i in range(100_000)]
    yield [str(i) for i in range(-50_000, 50_000)]
    yield [f"{i:x}" * 5 for i in range(50_000)]
    yield ["\0" * i for i in range(300)] + ["a" + "\0" * i for i in range(300)]
    yield ["x" * i for i in range(400)] + ["x" * i + "y" for i in range(400)]


def test_no_two_texts_meet():
    for some in texts():
        assert len(np.unique(bytes_hashes(pa.array(some)))) == len(set(some))


def test_a_text_has_the_same_hash_wherever_it_stands():
    some = ["", "a", "abcdefgh", "abcdefghi", "ä" * 200, "🎉"] * 10
    whole = bytes_hashes(pa.array(some))
    assert (bytes_hashes(pa.array(some).slice(7, 30)) == whole[7:37]).all()
    assert (bytes_hashes(pa.array(some, pa.large_string())) == whole).all()
    assert (bytes_hashes(pa.array([s.encode() for s in some])) == whole).all()
    assert whole[1] == 11737689999527068821


def test_numbers_are_one_value_whatever_their_width():
    assert (number_hashes(np.array([1, -1], np.int8)) == number_hashes(np.array([1, -1]))).all()
    assert (number_hashes(np.array([0.5, -0.0], np.float32)) == number_hashes(np.array([0.5, 0.0]))).all()
    assert len(np.unique(number_hashes(np.arange(-50_000, 50_000)))) == 100_000
