import datetime

import numpy as np
import pyarrow as pa
import pytest

from raypipe.data.lake import compact as compaction
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.upsert import append, upsert
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema, fragments


def put(lake, how, rows, *more):
    return lake.act(lambda work: how(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows), *more))


def rows_of(*ids):
    return pa.table({"id": pa.array(ids, pa.int64()), "v": [f"v{i}" for i in ids]})


def test_small_files_become_one_and_no_row_moves(lake):
    for start in range(0, 50, 5):
        last = put(lake, append, rows_of(*range(start, start + 5)))
    before = lake.rows(last)
    compacted = lake.act(lambda work: compact(work, "t"))
    assert (compacted.figures["files_before"], compacted.figures["files_after"], compacted.figures["num_fragments"]) == (10, 1, 1)
    assert lake.rows(compacted).equals(before)
    assert lake.rows(last).equals(before)
    assert compacted.digest == last.digest
    after = put(lake, append, rows_of(99))
    assert lake.rows(after)["id"].to_pylist() == [*range(50), 99]


def test_delete_files_are_folded(lake):
    put(lake, append, rows_of(*range(10)))
    put(lake, upsert, rows_of(3, 12), ["id"])
    deleted = lake.act(lambda work: delete_where(work, "t", "id < 2"))
    compacted = lake.act(lambda work: compact(work, "t"))
    assert lake.rows(compacted)["id"].to_pylist() == [2, 4, 5, 6, 7, 8, 9, 3, 12]
    assert lake.rows(compacted).equals(lake.rows(deleted))
    newest = lake.newest()
    assert (newest.num_rows, newest.num_deleted, newest.num_files, newest.chain == lake.snapshots()[1].chain) == (9, 0, 1, True)


def test_full_files_stay_and_keep_their_place(lake, monkeypatch):
    monkeypatch.setattr(compaction, "FRAGMENT_ROWS", 20)
    for ids in (range(3), range(3, 5), range(5, 20), range(20, 22), range(22, 24), range(24, 40)):
        put(lake, append, rows_of(*ids))
    compacted = lake.act(lambda work: compact(work, "t"))
    assert [f.num_rows for f in fragments(lake.ledger, compacted)] == [5, 15, 4, 16]
    assert lake.rows(compacted)["id"].to_pylist() == list(range(40))
    put(lake, append, rows_of(40))
    put(lake, append, rows_of(41))
    lake.act(lambda work: delete_where(work, "t", "id = 6"))
    again = lake.act(lambda work: compact(work, "t"))
    assert [f.num_rows for f in fragments(lake.ledger, again)] == [5, 14, 4, 16, 2]
    assert lake.rows(again)["id"].to_pylist() == [*range(6), *range(7, 42)]


def test_few_deleted_rows_can_be_let_be(lake, monkeypatch):
    monkeypatch.setattr(compaction, "FRAGMENT_ROWS", 20)
    put(lake, append, rows_of(*range(20)))
    put(lake, append, rows_of(*range(20, 40)))
    lake.act(lambda work: delete_where(work, "t", "id in (1, 21, 22, 23, 24, 25)"))
    compacted = lake.act(lambda work: compact(work, "t", min_deleted=0.1))
    assert [(f.num_rows, f.num_deleted) for f in fragments(lake.ledger, compacted)] == [(20, 1), (15, 0)]


def test_nothing_to_do_makes_no_snapshot(lake):
    put(lake, append, rows_of(1, 2))
    assert lake.act(lambda work: compact(work, "t")).figures["snapshot"] == 1
    assert len(lake.snapshots()) == 1


@pytest.mark.parametrize("own_url", ["sqlite"], indirect=True)
def test_exact_types_survive(lake):
    def part(n):
        tensor = pa.array([[n, n + 1]] * 2, pa.list_(pa.uint8(), 2))
        return pa.table(
            {
                "tensor": pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), [2]), tensor),
                "half": pa.array(np.array([n, 2], np.float16)),
                "dictionary": pa.array([f"a{n}", None]).dictionary_encode(),
                "numbers": pa.array([n, None]).dictionary_encode(),
                "ns": pa.array([n, None], pa.timestamp("ns", "Europe/Berlin")),
                "view": pa.array(["x", None], pa.string_view()),
                "list_view": pa.array([[n], None], pa.list_view(pa.int8())),
                "date": pa.array([datetime.date(2020, 1, n + 1), None], pa.date64()),
            }
        )

    for n in range(3):
        last = put(lake, append, part(n))
    compacted = lake.act(lambda work: compact(work, "t"))
    assert compacted.figures["num_fragments"] == 1
    assert lake.rows(compacted).schema.equals(part(0).schema)
    assert lake.rows(compacted).to_pylist() == lake.rows(last).to_pylist()


def test_files_of_a_partition_that_lie_in_turns_are_joined_where_rows_may_move(lake):
    from raypipe.data.lake.partition import layout
    from raypipe.data.lake.put import Manners, put_rows

    for start in range(0, 30, 10):
        rows = pa.table({"id": pa.array(range(start, start + 10), pa.int64()), "part": ["a", "b"] * 5})
        last = lake.act(lambda work, rows=rows: put_rows(work, rows, "t", Manners(layout=layout(["part"]))))
    assert last.figures["num_fragments"] == 6
    kept = lake.act(lambda work: compact(work, "t"))
    assert (kept.figures["num_fragments"], kept.digest) == (6, last.digest)
    moved = lake.act(lambda work: compact(work, "t", keep_order=False))
    assert moved.figures["num_fragments"] == 2
    assert moved.digest != last.digest
    assert lake.rows(moved)["id"].to_pylist() == [*range(0, 30, 2), *range(1, 30, 2)]
    again = lake.act(lambda work: compact(work, "t", keep_order=False))
    assert again.digest == moved.digest
