import pyarrow as pa
import pytest

from raypipe.core.errors import DataError, StoreError
from raypipe.data.lake import tags
from raypipe.data.lake.alter import alter
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.evolve import Alter
from raypipe.data.lake.expire import expire
from raypipe.data.lake.restore import restore
from raypipe.data.lake.upsert import append, upsert
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema


def put(lake, how, rows, *more):
    return lake.act(lambda work: how(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows), *more))


def back(lake, to):
    return lake.act(lambda work: restore(work, "t", to))


A, B = pa.table({"id": [1, 2, 3], "v": ["a", "b", "c"]}), pa.table({"id": [3, 4], "v": ["C", "d"]})


def test_every_snapshot_can_be_had_again_without_a_byte_copied(lake):
    made = [put(lake, append, A), put(lake, upsert, B, ["id"])]
    made.append(lake.act(lambda work: delete_where(work, "t", "id = 1")))
    made.append(lake.act(lambda work: compact(work, "t")))
    made.append(lake.overwrite(B))
    before, size = [lake.rows(table) for table in made], lake.store.size()
    for table, rows in zip(made, before, strict=True):
        restored = back(lake, table.snapshot) if lake.newest().id != table.snapshot else None
        if restored:
            assert lake.rows(restored).equals(rows)
            assert restored.digest == table.digest
            assert restored.figures["restored"] == table.snapshot
    assert lake.store.size() == size
    assert [lake.rows(table) for table in made] == before
    assert lake.rows(put(lake, append, pa.table({"id": [9], "v": ["z"]})))["id"].to_pylist() == [3, 4, 9]


def test_other_columns_come_back(lake):
    first = put(lake, append, A)
    lake.overwrite(pa.table({"y": [1.5]}))
    restored = back(lake, first.snapshot)
    assert lake.rows(restored).equals(A)
    assert lake.rows(put(lake, upsert, B, ["id"]))["v"].to_pylist() == ["a", "b", "C", "d"]


def test_by_a_tag(lake):
    first = put(lake, append, A)
    tags.make(lake.ledger, "t", "golden", first.snapshot)
    put(lake, upsert, B, ["id"])
    assert lake.rows(back(lake, "golden")).equals(A)


def test_what_cannot_be_restored_is_told(lake):
    first = put(lake, append, A)
    with pytest.raises(DataError, match="table t: is at snapshot 1 already"):
        back(lake, 1)
    lake.overwrite(B)
    lake.store.local(first.files[0].path).unlink()
    with pytest.raises(StoreError, match=r"table t: snapshot 1 cannot be restored: .* is not in the store any more"):
        back(lake, 1)


def test_columns_that_were_altered_come_back_as_they_were_and_again(lake, ask_duckdb):
    made = [put(lake, append, A)]
    change = Alter(add={"w": "float64"}, rename={"v": "text"})
    made.append(lake.act(lambda work: alter(work, "t", change)))
    made.append(put(lake, append, pa.table({"id": [7], "text": ["x"], "w": [1.5]})))
    made.append(lake.act(lambda work: delete_where(work, "t", "id = 2")))
    before = [lake.rows(table) for table in made]
    for i in (0, 2, 1, 3, 0):
        made.append(back(lake, made[i].snapshot))
        before.append(before[i])
        assert lake.rows(made[-1]).equals(before[i])
    assert lake.rows(put(lake, upsert, B, ["id"]))["v"].to_pylist() == ["a", "b", "C", "d"]
    assert [lake.rows(table) for table in made] == before
    found = ask_duckdb(lake.url, *(f"select * from lake.shop.t at (version => {table.snapshot})" for table in made))
    for rows, there in zip(before, found, strict=True):
        assert there.sort_by("id").equals(rows.sort_by("id"))


def test_a_snapshot_that_expired_meanwhile_is_not_restored(lake):
    for rows in (A, B):
        put(lake, append, rows)
    waiting = restore(lake.work(), "t", 1)
    lake.act(lambda work: expire(work, "t", keep_last=1))
    with pytest.raises(DataError, match="snapshot 1 has expired on"):
        lake.publish(waiting)
