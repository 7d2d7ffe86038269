"""Two writers of one table who meet at every phase: before planning, before the commit, after the other's commit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from raypipe.core.errors import Conflict
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.restore import restore
from raypipe.data.lake.upsert import append, replace, upsert
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema, latest, made

START = pa.table({"k": range(10), "v": ["old"] * 10})


def rows_of(keys, v):
    return pa.table({"k": list(keys), "v": [v] * len(keys)})


def put(how, rows, *more):
    return lambda work: how(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows), *more)


def overwrite(rows):
    return lambda work: made(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows), mode="overwrite")


def exact_append(rows):
    """As an ingest that goes on from its progress."""

    def change(work):
        before = latest(work.ledger, "t")
        return made(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows), mode="append", before=before)

    return change


ACTS = {
    "append": put(append, rows_of([30, 31], "appended")),
    "append in range": put(append, rows_of([4, 5], "appended")),
    "ingest": exact_append(rows_of([50], "ingested")),
    "upsert": put(upsert, rows_of([4, 20], "upserted"), ["k"]),
    "upsert elsewhere": put(upsert, rows_of([900, 901], "far"), ["k"]),
    "replace": put(replace, rows_of([5, 6], "replaced"), ["k"]),
    "delete": lambda work: delete_where(work, "t", "k >= 3 and k <= 4"),
    "compact": lambda work: compact(work, "t"),
    "restore": lambda work: restore(work, "t", 1),
    "overwrite": overwrite(rows_of([7], "anew")),
}


def without(*keys):
    return lambda rows: [row for row in rows if row[0] not in keys]


ROWS = [(k, "old") for k in range(10)]
MODEL = {
    "append": lambda rows: [*rows, (30, "appended"), (31, "appended")],
    "append in range": lambda rows: [*rows, (4, "appended"), (5, "appended")],
    "ingest": lambda rows: [*rows, (50, "ingested")],
    "upsert": lambda rows: [*without(4, 20)(rows), (4, "upserted"), (20, "upserted")],
    "upsert elsewhere": lambda rows: [*without(900, 901)(rows), (900, "far"), (901, "far")],
    "replace": lambda rows: [*without(5, 6)(rows), (5, "replaced"), (6, "replaced")],
    "delete": without(3, 4),
    "compact": lambda rows: rows,
    "restore": lambda rows: ROWS[:6],
    "overwrite": lambda rows: [(7, "anew")],
}
"""What each act makes of a plain list of rows."""
CONFLICTS = {
    # what is computed, then committed after the other: which others it meets
    "append": set(),
    "append in range": set(),
    "overwrite": set(),
    "ingest": {*ACTS} - {"ingest"},
    "restore": {*ACTS} - {"restore"},
    "upsert": {"append in range", "replace", "delete", "compact", "overwrite"},
    "upsert elsewhere": set(),
    "replace": {"append in range", "upsert", "delete", "compact", "restore", "overwrite"},
    "delete": {"append in range", "upsert", "replace", "compact", "overwrite"},
    "compact": {"upsert", "replace", "delete", "restore", "overwrite"},
}


@pytest.fixture
def started(lake):
    """Two files, so that there is something to compact, and a history to go back in."""
    lake.act(put(append, START.slice(0, 6)))
    lake.act(put(append, START.slice(6)))
    return lake


def outcome(lake, other, first, second):
    """`second` is computed, `first` is committed, then `second` tries to, and is done again where it meets a Conflict: whether it did."""
    waiting = ACTS[second](other.work())
    lake.act(ACTS[first])
    try:
        other.publish(waiting)
        return False
    except Conflict:
        other.act(ACTS[second])
        return True


@pytest.mark.parametrize("second", ACTS)
def test_what_commits_last_is_as_if_it_had_begun_last(started, second):
    """After every other act: with the conflict told and the work redone, or without one, the rows are those of one after the other."""
    other = started.other()
    firsts = ACTS if started.url.startswith("sqlite") else ("append in range", "upsert", "compact", "overwrite")
    for first in firsts:
        if first == second:
            continue
        at, base = started.newest().id, started.newest().chain
        met = outcome(started, other, first, second)
        found = [tuple(row.values()) for row in started.rows().to_pylist()]
        assert found == MODEL[second](MODEL[first](ROWS)), (first, second)
        assert met == (first in CONFLICTS[second]), (first, second)
        if started.newest().chain != base:
            started.act(lambda work, at=at: restore(work, "t", at))
    other.close()


def test_two_threads_that_start_and_commit_together(started):
    """A barrier before planning, and one before the commit: nothing is lost and no key comes twice."""
    others = [started.other() for _ in range(4)]
    barrier = threading.Barrier(4)

    def go(number):
        def change(work):
            waiting = put(upsert, rows_of([2, 100 + number], f"w{number}"), ["k"])(work)
            meet(barrier)
            return waiting

        meet(barrier)
        others[number].act(change)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(go, range(4)))
    rows = started.rows()
    keys = rows["k"].to_pylist()
    assert sorted(keys) == sorted({*range(10), 100, 101, 102, 103})
    last = next(v for k, v in zip(keys, rows["v"].to_pylist(), strict=True) if k == 2)
    assert keys[-2:] == [2, 100 + int(last[1])]
    for other in others:
        other.close()


def meet(barrier):
    """With whoever still comes: who does its work again finds no one."""
    try:
        barrier.wait(timeout=2)
    except threading.BrokenBarrierError:
        return


def test_appends_at_once_never_conflict(lake):
    others = [lake.other() for _ in range(4)]
    barrier = threading.Barrier(4)

    def go(number):
        barrier.wait(timeout=30)
        for i in range(5):
            rows = pa.table({"k": [number * 5 + i]})
            waiting = put(append, rows)(others[number].work())
            others[number].publish(waiting)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(go, range(4)))
    assert sorted(lake.rows()["k"].to_pylist()) == list(range(20))
    assert len({s.chain for s in lake.snapshots()}) == 20
    for other in others:
        other.close()


def test_an_artifact_of_an_append_that_was_put_behind_another_has_the_digest_of_what_it_names(lake):
    first = put(append, rows_of([1], "a"))(lake.work())
    second = put(append, rows_of([2], "b"))(lake.work())
    published = [lake.publish(first), lake.publish(second)]
    assert [p.figures["num_rows"] for p in published] == [1, 2]
    assert published[1].digest != second.digest
    assert published[0].digest == first.digest
    again = lake.act(lambda work: compact(work, "t"))
    assert again.digest == published[1].digest


def test_two_upserts_that_both_make_the_table(lake):
    first = put(upsert, rows_of([1, 2], "a"), ["k"])(lake.work())
    second = put(upsert, rows_of([2, 3], "b"), ["k"])(lake.work())
    lake.publish(first)
    with pytest.raises(Conflict, match="was computed from no snapshot"):
        lake.publish(second)
    lake.act(put(upsert, rows_of([2, 3], "b"), ["k"]))
    assert lake.rows()["k"].to_pylist() == [1, 2, 3]


def test_columns_that_changed_meanwhile(lake):
    lake.act(put(append, rows_of([1], "a")))
    waiting = put(append, rows_of([2], "b"))(lake.work())
    lake.overwrite(pa.table({"y": [1.5]}))
    with pytest.raises(Conflict, match="its columns were changed by snapshot 2 meanwhile"):
        lake.publish(waiting)
