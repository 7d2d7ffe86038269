"""Rows struck out by their place: whole files end, parts are said in delete files, earlier deletes stay."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.step import Work
from raypipe.data.fragment.fragment import read_fragment, write_fragment
from raypipe.data.ingest.progress import Rows
from raypipe.data.ingest.replaced import after_strike, strike_rows


@pytest.fixture
def work(tmp_path, ledger, store):
    return Work(ledger.project, tmp_path, "p", "s", ledger, store, run="r", path="attempt", inline=True)


def files(work, *sizes):
    made, first = [], 0
    for number, size in enumerate(sizes):
        fragment = write_fragment(work.store, f"t/{number}.parquet", pa.table({"n": range(first, first + size)}))
        object.__setattr__(fragment, "first_row", first)
        made.append(fragment)
        first += size
    return made


def left(work, fragments, struck):
    return [n for f in after_strike(fragments, struck) for n in read_fragment(work.store, f)["n"].to_pylist()]


@pytest.mark.parametrize("rows", [[Rows(0, 3)], [Rows(2, 4)], [Rows(3, 4)], [Rows(0, 1), Rows(5, 5)], [Rows(0, 10)], [Rows(9, 1)]])
def test_rows_by_their_place(work, rows):
    fragments = files(work, 3, 4, 3)
    struck = strike_rows(work, fragments, rows)
    gone = {n for r in rows for n in range(r.first, r.first + r.num)}
    assert left(work, fragments, struck) == [n for n in range(10) if n not in gone]
    assert struck.num_rows == len(gone)


def test_a_file_that_loses_all_its_rows_ends(work):
    fragments = files(work, 3, 4, 3)
    struck = strike_rows(work, fragments, [Rows(2, 6)])
    assert [f.path for f in struck.ended] == ["t/1.parquet"]
    assert [(f.path, d.num_rows) for f, d in struck.deletes] == [("t/0.parquet", 1), ("t/2.parquet", 1)]


def test_places_count_the_rows_that_are_left(work):
    fragments = files(work, 6, 4)
    once = after_strike(fragments, strike_rows(work, fragments, [Rows(1, 2)]))
    object.__setattr__(once[1], "first_row", 4)
    twice = strike_rows(Work(**{**work.__dict__, "path": "second"}), once, [Rows(1, 2)])
    assert left(work, once, twice) == [0, 5, 6, 7, 8, 9]
    assert np.array_equal(np.array([d.num_rows for _, d in twice.deletes]), [4])
