"""Hashes that other machines, other days and other row counts must give as well."""

import hashlib

import pyarrow as pa

from raypipe.data.transform.hashes import MISSING, bits_of, hash_text, row_hash, row_hashes


def test_the_hash_of_a_text_is_fixed():
    # Of blake2b(b"\x1fAA", digest_size=8): a change of these numbers would move every category to another column.
    assert hash_text("AA") == int.from_bytes(hashlib.blake2b(b"\x1fAA", digest_size=8).digest(), "little")
    assert hash_text("AA", "s") != hash_text("AA")


def test_rows_are_hashed_alike_alone_and_together():
    columns = [pa.array([1.5, -0.0, None, float("nan")]), pa.array(["a", None, "é", ""]), pa.array([2**63, 0, 1, None], pa.uint64())]
    together = row_hashes(columns).tolist()
    bits = [bits_of(column.type) for column in columns]
    assert [row_hash(values, bits) for values in zip(*(column.to_pylist() for column in columns), strict=True)] == together
    assert len(set(together)) == 4


def test_zero_has_one_hash_and_missing_values_too():
    assert len(set(row_hashes([pa.array([0.0, -0.0])]).tolist())) == 1
    assert len(set(row_hashes([pa.array([None, float("nan")])]).tolist())) == 1
    assert row_hashes([pa.nulls(1)]).tolist() == [row_hash([None], [bits_of(pa.null())])]
    assert MISSING < 2**64


def test_a_dictionary_is_hashed_by_its_values():
    plain = pa.array(["b", None, "a", "b"])
    assert row_hashes([plain]).tolist() == row_hashes([plain.dictionary_encode()]).tolist()
