"""Profiles kept beside fragments: computed once, found again, refused where they are not what they should be."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from raypipe.data.fragment.conform import numbered
from raypipe.data.fragment.fragment import Fragment, read_coded, write_fragment
from raypipe.data.statistics import kept
from raypipe.data.statistics.describe import describe
from raypipe.data.statistics.encoded import Kept, from_bytes, to_bytes
from raypipe.data.statistics.kept import profile_of, profile_path, write_profile
from raypipe.data.statistics.profile import Profile


def rows(start: int, num_rows: int = 3_000) -> pa.Table:
    rng = np.random.default_rng(start)
    return pa.table({"x": rng.normal(size=num_rows), "name": [f"n{start + i}" for i in range(num_rows)], "n": np.arange(num_rows) + start})


@pytest.fixture
def fragments(store) -> list[Fragment]:
    return [write_fragment(store, f"p/s/000001-abc/part-{i}.parquet", rows(i * 3_000)) for i in range(3)]


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The data files that were read, with the columns."""
    found = []

    def counted(store, fragment, columns=None):
        found.append(fragment.path if columns is None else f"{fragment.path} {','.join(columns)}")
        return read_coded(store, fragment, columns)

    monkeypatch.setattr(kept, "read_coded", counted)
    return found


def test_a_second_profile_reads_no_data_file_and_after_an_append_only_the_new_one(store, fragments, reads):
    first = profile_of(store, fragments, inline=True)
    assert len(reads) == 3
    again = profile_of(store, fragments, inline=True)
    assert len(reads) == 3
    assert again.num_rows == first.num_rows == 9_000
    assert to_bytes(Kept(again)) == to_bytes(Kept(first))
    new = write_fragment(store, "p/s/000002-abc/part-0.parquet", rows(9_000))
    assert profile_of(store, [*fragments, new], inline=True).num_rows == 12_000
    assert reads[3:] == [new.path]


def test_what_was_written_with_the_rows_is_not_read_again(store, reads):
    table = rows(0)
    fragment = write_fragment(store, "p/s/000001-abc/part-0.parquet", table)
    write_profile(store, fragment, table)
    assert profile_of(store, [fragment], inline=True)["x"].num_values == 3_000
    assert not reads


def test_columns_that_are_asked_for_first_are_kept_and_the_others_read_later(store, fragments, reads):
    part = fragments[:1]
    assert list(profile_of(store, part, inline=True, columns=["x"]).columns) == ["x"]
    assert list(profile_of(store, part, inline=True, columns=["n", "x"]).columns) == ["n", "x"]
    path = part[0].path
    assert reads == [f"{path} x", f"{path} n"]
    assert list(profile_of(store, part, inline=True).columns) == ["x", "name", "n"]
    assert reads[2:] == [path]


@pytest.mark.parametrize("harm", ["flip", "cut", "other", "version", "foreign"])
def test_a_profile_that_is_not_what_it_should_be_is_computed_anew_and_that_is_said(store, fragments, reads, harm):
    first = profile_of(store, fragments[:1], inline=True)
    path = store.local(profile_path(fragments[0].path))
    data = path.read_bytes()
    other = to_bytes(Kept(first, "0" * 64, fragments[0].columns, {}, True))
    harmed = {
        "flip": data[:200] + bytes([data[200] ^ 1]) + data[201:],
        "cut": data[:-10],
        "other": other,
        "version": data.replace(b"PROFILE 2", b"PROFILE 1"),
        "foreign": b"PK\x03\x04",
    }
    path.write_bytes(harmed[harm])
    told, reads[:] = [], []
    again = profile_of(store, fragments[:1], inline=True, report=told.append)
    assert to_bytes(Kept(again)) == to_bytes(Kept(first))
    assert reads == [fragments[0].path]
    assert len(told) == 1
    assert "computed anew" in told[0]
    assert path.read_bytes() == data


def test_bytes_come_back_as_they_were():
    table = rows(0).append_column("b", pa.array([True] * 3_000)).append_column("l", pa.array([[1, 2]] * 3_000))
    profile = Profile.of(table)
    again = from_bytes(to_bytes(Kept(profile, "a"))).profile
    assert to_bytes(Kept(again, "a")) == to_bytes(Kept(profile, "a"))
    assert len(to_bytes(Kept(profile))) < 100_000


def test_a_renamed_column_is_not_read_again_and_a_widened_or_new_one_is(store, reads):
    table = pa.table({"x": pa.array([1, 2, 2], pa.int32()), "n": pa.array([1, 2, 3], pa.int32())})
    fragment = write_fragment(store, "p/s/000001-abc/part-0.parquet", table)
    write_profile(store, fragment, table)
    ids = {column.name: column.metadata for column in numbered(table.schema)}
    default = {**ids["n"], b"PARQUET:field_id": b"9"}
    now = pa.schema(
        [
            pa.field("was_x", pa.int32(), metadata=ids["x"]),
            pa.field("n", pa.int64(), metadata=ids["n"]),
            pa.field("new", pa.string(), metadata=default),
        ]
    )
    evolved = replace(fragment, as_now=now)
    assert profile_of(store, [evolved], inline=True, columns=["was_x"])["was_x"].name == "was_x"
    assert not reads
    found = profile_of(store, [evolved], inline=True)
    assert [(c.name, c.type, c.num_nulls) for c in found.columns.values()] == [
        ("was_x", "int32", 0),
        ("n", "int64", 0),
        ("new", "string", 3),
    ]
    assert reads == [f"{fragment.path} n,new"]
    profile_of(store, [evolved], inline=True)
    assert len(reads) == 1


def test_a_large_file_is_measured_in_pieces(store, monkeypatch):
    monkeypatch.setattr(kept, "ROWS_AT_ONCE", 100_000)
    table = rows(0, 300_000)
    fragment = write_fragment(store, "p/s/000001-abc/part-0.parquet", table)
    found = profile_of(store, [fragment], inline=True)
    assert found.num_rows == 300_000
    assert abs(describe(found["name"])["distinct"]["value"] / 300_000 - 1) < 0.03
    assert describe(found["n"])["distinct"] == {"value": 300_000, "exact": True}


@pytest.mark.usefixtures("ray_cluster")
def test_on_a_cluster_it_is_the_same(store, fragments):
    by_ray = profile_of(store, fragments, inline=False)
    for fragment in fragments:
        store.remove(profile_path(fragment.path))
    assert to_bytes(Kept(by_ray)) == to_bytes(Kept(profile_of(store, fragments, inline=True)))


def test_text_of_few_values_is_counted_by_its_codes_and_stays_text(store):
    table = pa.table({"plan": [["free", "pro", None][i % 3] for i in range(30_000)], "name": [f"n{i}" for i in range(30_000)]})
    fragment = write_fragment(store, "p/s/000001-abc/part-0.parquet", table)
    coded, schema = read_coded(store, fragment)
    assert [str(column.type) for column in coded.columns] == ["dictionary<values=string, indices=int32, ordered=0>", "string"]
    assert [str(column.type) for column in schema] == ["string", "string"]
    assert to_bytes(Kept(profile_of(store, [fragment], inline=True))) == to_bytes(Kept(Profile.of(table)))
