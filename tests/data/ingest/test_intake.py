"""The intake of one file: its rows in the table's columns, sampled by hash, checked, in fragments of a bounded size."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.data.contract.contract import Column, Contract
from raypipe.data.fragment.conform import numbered
from raypipe.data.fragment.fragment import read_fragment
from raypipe.data.ingest import intake
from raypipe.data.ingest.intake import Intake, Numbered, sample_mask
from raypipe.data.lake.target import Target
from raypipe.data.source.files import FilePiece, list_files
from raypipe.data.source.parquet import Parquet

ROWS = pa.table({"x": list(range(1000)), "s": ["a"] * 1000})
CONTRACT = Contract({"x": Column("int64", max=989, on_breach="drop"), "s": Column("string")})


@pytest.fixture
def take(tmp_path, store):
    def taken(table=ROWS, contract: Contract | None = CONTRACT, sample=1.0):
        pq.write_table(table, tmp_path / "a.parquet")
        source = Parquet("a.parquet")
        (file,) = list_files(source, tmp_path, {})
        return Intake(store, "attempt", source, Target(numbered(ROWS.schema)), contract, sample)(
            Numbered(3, FilePiece(file, str(tmp_path / file.path)))
        )

    return taken


def test_what_is_dropped_is_counted(take, store):
    taken = take()
    assert (taken.num_read, taken.num_sampled, taken.num_kept) == (1000, 1000, 990)
    assert [f.path for f in taken.fragments] == ["attempt/00003-a-000.parquet"]
    assert read_fragment(store, taken.fragments[0]).equals(ROWS.slice(0, 990))
    assert taken.findings[0]["examples"][0] == {"file": "a.parquet", "row": 991, "value": 990}


def test_a_large_file_makes_several_fragments(take, monkeypatch, store):
    monkeypatch.setattr(intake, "FRAGMENT_ROWS", 300)
    monkeypatch.setattr("raypipe.data.source.parquet.BATCH_ROWS", 100)
    taken = take()
    assert [f.num_rows for f in taken.fragments] == [300, 300, 300, 90]
    assert pa.concat_tables([read_fragment(store, f) for f in taken.fragments]).equals(ROWS.slice(0, 990))


def test_of_wide_rows_a_fragment_has_fewer(take, monkeypatch, store):
    monkeypatch.setattr(intake, "FRAGMENT_BYTES", 2_000)
    monkeypatch.setattr("raypipe.data.source.parquet.BATCH_ROWS", 100)
    taken = take()
    assert {f.num_rows for f in taken.fragments} == {200, 190}
    assert pa.concat_tables([read_fragment(store, f) for f in taken.fragments]).equals(ROWS.slice(0, 990))


def test_wide_rows_are_read_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("raypipe.data.source.parquet.BATCH_BYTES", 1 << 20)
    wide = pa.table({"x": [bytes([n % 256]) * 60_000 + str(n).encode() for n in range(100)]})
    pq.write_table(wide, tmp_path / "a.parquet", use_dictionary=False)
    source = Parquet("a.parquet")
    (file,) = list_files(source, tmp_path, {})
    batches = list(source.batches(FilePiece(file, str(tmp_path / file.path)), {}))
    assert max(batch.num_rows for batch in batches) == 17
    assert pa.concat_tables(batches).equals(wide)


def test_a_sample_is_of_the_stated_arithmetic(take, store):
    taken = take(sample=0.2)
    seed = int.from_bytes(hashlib.sha256(b"a.parquet").digest()[:8], "big")

    def is_taken(row):
        x = (seed + row * 0x9E3779B97F4A7C15) % 2**64
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        return (x ^ (x >> 31)) < 0.2 * 2**64

    expected = [row for row in range(1, 1001) if is_taken(row)]
    kept = read_fragment(store, taken.fragments[0])["x"].to_pylist()
    assert kept == [row - 1 for row in expected if row <= 990]
    assert taken.num_sampled == len(expected)
    assert taken.findings[0]["rows"] == len(expected)


def test_samples_of_a_file_lie_in_one_another():
    rows = np.arange(1, 100_001)
    small, large = sample_mask("a", rows, 0.01), sample_mask("a", rows, 0.1)
    assert abs(small.mean() - 0.01) < 0.002
    assert not (small & ~large).any()
    assert not (small == sample_mask("b", rows, 0.01)).all()


def test_problems_are_values_so_that_all_files_are_told(take):
    taken = take(ROWS.rename_columns(["x", "t"]))
    assert taken.problems == ("a.parquet: column 't' is not in the contract.", "a.parquet: column 's' is missing")
    assert take(ROWS.rename_columns(["x", "t"]), None).problems == (
        "a.parquet: column 't' is not in the table.",
        "a.parquet: column 's' is missing",
    )


def test_no_rows_make_no_fragment(take):
    assert take(ROWS.slice(0, 0)).fragments == ()
    assert take(ROWS.slice(995)).fragments == ()


def test_an_inexact_contract_takes_the_other_columns_of_the_table(take, store):
    taken = take(ROWS, Contract({"s": Column("string")}, exact=False))
    assert read_fragment(store, taken.fragments[0]).column_names == ["x", "s"]
