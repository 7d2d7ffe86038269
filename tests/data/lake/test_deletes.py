import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.upsert import append
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema, fragments

A = pa.table({"id": [1, 2, 3, 4], "s": ["a", None, "c", "d"]})
B = pa.table({"id": [5, 6], "s": ["e", "f"]})


def add(lake, rows):
    return lake.act(lambda work: append(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows)))


def delete(lake, where):
    return lake.act(lambda work: delete_where(work, "t", where))


def test_deleted_rows_are_gone_and_earlier_snapshots_have_them(lake):
    first, second = add(lake, A), add(lake, B)
    third = delete(lake, "id >= 3 and id <= 5")
    assert third.figures == {"rows_deleted": 3, "table": "t", "snapshot": 3, "num_rows": 3, "num_fragments": 2}
    fourth = delete(lake, [("id", "=", 2)])
    assert lake.rows(fourth).to_pydict() == {"id": [1, 6], "s": ["a", "f"]}
    assert lake.rows(third)["id"].to_pylist() == [1, 2, 6]
    assert lake.rows(second).equals(pa.concat_tables([A, B]))
    assert lake.rows(first).equals(A)
    assert [f.first_row for f in fragments(lake.ledger, third)] == [0, 2]
    newest = lake.newest()
    assert (newest.num_rows, newest.num_deleted, newest.mode) == (2, 4, "delete")


def test_a_file_without_a_row_left_ends(lake):
    add(lake, A)
    add(lake, B)
    third = delete(lake, "id > 4")
    assert third.figures["num_fragments"] == 1
    assert lake.rows(third).equals(A)
    assert lake.rows(delete(lake, "id is not null")).equals(A.slice(0, 0))
    assert lake.rows(add(lake, B)).equals(B)


def test_files_that_cannot_match_are_not_opened(lake):
    add(lake, A)
    add(lake, B)
    lake.store.local(fragments(lake.ledger, lake.ledger.artifact(lake.newest().artifact))[0].path).unlink()
    assert delete(lake, "id = 6").figures["rows_deleted"] == 1
    assert "1 of 2 files may hold such rows" in lake.told


def test_deleting_nothing_keeps_the_snapshot(lake):
    first = add(lake, A)
    again = delete(lake, "id = 99")
    assert (again.figures["snapshot"], again.figures["rows_deleted"]) == (first.snapshot, 0)
    assert again.digest == first.digest
    assert len(lake.snapshots()) == 1


def test_nulls_meet_no_condition(lake):
    add(lake, A)
    assert delete(lake, "s != 'a'").figures["rows_deleted"] == 2
    assert lake.rows()["s"].to_pylist() == ["a", None]


def test_what_cannot_be_deleted_is_told(lake):
    with pytest.raises(DataError, match="there is no table 't'"):
        delete(lake, "id = 1")
    add(lake, A)
    with pytest.raises(DataError, match=r"there is no column 'idd'. Did you mean 'id'\?"):
        delete(lake, "idd = 1")
    with pytest.raises(DataError, match="without a condition it would delete every row"):
        delete(lake, [])
