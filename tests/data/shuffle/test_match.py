"""Matches of two tables are those that DuckDB's join finds."""

from __future__ import annotations

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.data.shuffle.engine import as_keys
from raypipe.data.shuffle.match import Matching, comparable, matches, zipped
from tests.data.shuffle.tables import plain, rows, tables

KEYS = ["text", "number", "money", "at", "count", "flag"]


@settings(max_examples=25)
@given(left=tables(KEYS), right=tables(KEYS), on=st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True))
def test_matches_are_those_of_duckdb(left, right, on):
    types, wrong = comparable(left.schema, right.schema, [(name, name) for name in on], "on")
    assert wrong == []
    asked = Matching("left", left.schema, right.schema, tuple(on), tuple(on), {}, None, types)
    found = matches(asked, as_keys(left, on), as_keys(right, on))
    with duckdb.connect() as connection:
        connection.register("l", left)
        condition = " and ".join(f'l."{name}" = r."{name}"' for name in on)
        sql = f"select l.row, r.row from l join r on {condition} order by all"
        expected = connection.register("r", right).sql(sql).fetchall()
    assert list(zip(found.left.tolist(), found.right.tolist(), strict=True)) == expected
    assert found.counts.pairs == len(expected)
    assert found.counts.matched == len({row for row, _ in expected})


@settings(max_examples=30)
@given(left=tables(["count"]), at=st.lists(st.integers(0, 11), max_size=20))
def test_rows_that_came_back_stand_beside_their_own(left, at):
    at = sorted(place for place in at if place < left.num_rows)
    right = pa.schema([pa.field("k", pa.int64()), pa.field("x", pa.string())])
    asked = Matching("left", left.schema, right, ("count",), ("k",), {"x": "x"})
    returned = pa.table({"raypipe_at": pa.array(at, pa.int64()), "r:x": pa.array([f"{i}" for i in range(len(at))], pa.string())})
    made = zipped(asked, left, returned)
    expected = [
        (plain(row["count"]), row["row"], found)
        for row in left.to_pylist()
        for found in ([f"{i}" for i, place in enumerate(at) if place == row["row"]] or [None])
    ]
    assert rows(made) == expected
