from dataclasses import replace

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.ledger import Record
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.evolve import NewColumns
from raypipe.data.lake.partition import layout
from raypipe.data.lake.put import Manners, put
from raypipe.data.table import fragments

A, B = pa.table({"k": [1, 2], "v": ["a", "b"]}), pa.table({"k": [2, 3], "v": ["B", "C"]})


def given(lake, rows):
    return lake.overwrite(rows, name="given")


def into(lake, rows, mode, *by, **how):
    table = given(lake, rows)
    return lake.act(lambda work: put(work, table, "t", Manners(mode, by, **how)))


def test_each_mode(lake):
    into(lake, A, "append")
    assert into(lake, B, "append").figures["rows_added"] == 2
    assert lake.rows()["v"].to_pylist() == ["a", "b", "B", "C"]
    into(lake, A, "overwrite")
    into(lake, B, "upsert", "k")
    assert lake.rows()["v"].to_pylist() == ["a", "B", "C"]
    into(lake, pa.table({"k": [1], "v": ["x"]}), "replace", "k")
    assert lake.rows()["v"].to_pylist() == ["B", "C", "x"]


def test_deleted_rows_of_the_other_table_are_not_put(lake):
    given(lake, A)
    table = lake.act(lambda work: delete_where(work, "given", "k = 1"))
    lake.act(lambda work: put(work, table, "t", Manners()))
    assert lake.rows()["k"].to_pylist() == [2]


def test_new_columns_where_they_are_allowed(lake):
    into(lake, A, "append")
    wider = pa.table({"k": [5], "v": ["e"], "w": [1.5]})
    with pytest.raises(DataError, match="'w'"):
        into(lake, wider, "append")
    first = lake.newest()
    into(lake, wider, "upsert", "k", new_columns=NewColumns(add=True))
    assert lake.rows().to_pydict() == {"k": [1, 2, 5], "v": ["a", "b", "e"], "w": [None, None, 1.5]}
    assert lake.rows(lake.ledger.artifact(first.artifact)).equals(A)
    lake.act(lambda work: delete_where(work, "t", "w is null and k = 1"))
    lake.act(lambda work: compact(work, "t"))
    assert lake.rows().to_pydict() == {"k": [2, 5], "v": ["b", "e"], "w": [None, 1.5]}


def test_partitions_stay_apart_when_they_are_compacted(lake):
    for rows in (A, B):
        table = into(lake, rows, "append", layout=layout(["k"]))
    assert [f.partition for f in fragments(lake.ledger, table)] == [(("k", "1"),), (("k", "2"),), (("k", "2"),), (("k", "3"),)]
    compacted = lake.act(lambda work: compact(work, "t"))
    assert [(f.partition, f.num_rows) for f in fragments(lake.ledger, compacted)] == [
        ((("k", "1"),), 1), ((("k", "2"),), 2), ((("k", "3"),), 1),
    ]  # fmt: skip


def test_the_same_work_appends_once(lake):
    table = given(lake, A)

    def publish(replace_=False):
        work = replace(lake.work(), fingerprint="f")
        made = put(work, table, "t", Manners())
        lease = lake.ledger.claim("f", "r1")
        record = Record(
            "Table", "tables", "act", "r1", "f", made.digest, files=made.files, schema=made.schema, figures=made.figures
        )  # fmt: skip
        return lake.ledger.publish(lease, record, made.commits, replace=replace_)

    first = publish()
    again = publish(replace_=True)
    assert (again.id != first.id, again.figures["snapshot"], again.figures["rows_added"]) == (True, first.figures["snapshot"], 0)
    assert "these rows were put into t as snapshot 2: not again" in lake.told
    assert lake.rows().equals(A)
