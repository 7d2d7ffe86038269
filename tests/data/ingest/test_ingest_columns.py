"""Ingesting into a table whose files are parted, and whose columns grow."""

import uuid
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError
from raypipe.core.ledger import Record
from raypipe.core.step import Work
from raypipe.data.contract.contract import Column, Contract
from raypipe.data.ingest.ingest import ingest
from raypipe.data.lake.alter import alter
from raypipe.data.lake.evolve import Alter, NewColumns
from raypipe.data.lake.partition import layout
from raypipe.data.source.csv import Csv
from raypipe.data.source.parquet import Parquet
from raypipe.data.table import fragments, read

EVERYTHING = NewColumns(add=True, widen=True, fill=True)


@pytest.fixture
def work(tmp_path, store, ledger):
    (tmp_path / "data").mkdir()
    return Work(ledger.project, tmp_path, "shop", "source", ledger, store, run="r1", inline=True)


def put(work, file, **columns):
    pq.write_table(pa.table(columns), work.project_path / "data" / file)


def publish(work, made):
    fingerprint = uuid.uuid4().hex
    lease = work.ledger.claim(fingerprint, "r1")
    about = {"digest": made.digest, "files": made.files, "schema": made.schema, "figures": made.figures}
    record = Record(kind="Table", pipeline=work.pipeline, step=work.step, run=work.run, fingerprint=fingerprint, **about)
    return work.ledger.publish(lease, record, made.commits)


def run(work, contract=None, source=None, **how):
    attempt = replace(work, path=f"attempts/{uuid.uuid4().hex}")
    return publish(work, ingest(attempt, source or Parquet("data"), contract, "t", **how))


def rows(work, table):
    return read(work.ledger, work.store, table)


def test_files_are_parted_and_sorted_and_stay_so(work):
    put(work, "a.parquet", n=[3, 1, 2], r=["eu", "us", "eu"])
    run(work, layout=layout(["r"], ["n"]))
    put(work, "b.parquet", n=[5, 4], r=["eu", "eu"])
    table = run(work)
    assert [f.path.split("/")[2:] for f in fragments(work.ledger, table)] == [
        ["r=eu", "00000-a-000.parquet"], ["r=us", "00000-a-001.parquet"], ["r=eu", "00000-b-000.parquet"],
    ]  # fmt: skip
    assert rows(work, table)["n"].to_pylist() == [2, 3, 1, 4, 5]


def test_other_columns_are_refused_by_name(work):
    put(work, "a.parquet", n=pa.array([1], pa.int32()), s=["a"])
    run(work)
    put(work, "b.parquet", n=pa.array([2], pa.int64()), x=["b"])
    with pytest.raises(DataError) as caught:
        run(work)
    assert all(f"'{name}'" in str(caught.value) for name in ("n", "s", "x"))


def test_columns_that_may_change(work):
    put(work, "a.parquet", n=pa.array([1], pa.int32()), s=["a"])
    first = run(work, new_columns=EVERYTHING)
    put(work, "b.parquet", n=pa.array([2**40], pa.int64()), x=["b"])
    put(work, "c.parquet", n=pa.array([3], pa.int16()), s=["c"], y=[1.5])
    second = run(work, new_columns=EVERYTHING)
    assert rows(work, second).to_pydict() == {"n": [1, 2**40, 3], "s": ["a", None, "c"], "x": [None, "b", None], "y": [None, None, 1.5]}
    assert rows(work, first).schema == pa.schema([("n", pa.int32()), ("s", pa.string())])
    put(work, "d.parquet", n=pa.array([4], pa.int64()))
    assert rows(work, run(work, new_columns=NewColumns(fill=True)))["n"].to_pylist() == [1, 2**40, 3, 4]


def test_columns_that_grow_from_text(work):
    (work.project_path / "data" / "a.csv").write_text("n,s\n1,a\n")
    run(work, source=Csv("data"), new_columns=EVERYTHING)
    (work.project_path / "data" / "b.csv").write_text("n,s,x\n2,b,0.5\n")
    assert rows(work, run(work, source=Csv("data"), new_columns=EVERYTHING)).to_pydict() == {
        "n": [1, 2], "s": ["a", "b"], "x": [None, 0.5],
    }  # fmt: skip


def test_a_contract_that_leaves_columns_open_lets_them_grow(work):
    contract = Contract({"n": Column("int64", min=0)}, exact=False)
    put(work, "a.parquet", n=[1])
    run(work, contract)
    put(work, "b.parquet", n=[2], x=["b"])
    assert rows(work, run(work, contract, new_columns=NewColumns(add=True))).to_pydict() == {"n": [1, 2], "x": [None, "b"]}


def test_an_altered_table_is_gone_on_with(work):
    put(work, "a.parquet", n=[1], s=["a"])
    run(work)
    made = alter(replace(work, path="alter/1"), "t", Alter(add={"x": "int8"}, default={"x": 7}, rename={"s": "name"}))
    publish(work, made)
    put(work, "b.parquet", n=[2], name=["b"], x=pa.array([8], pa.int8()))
    table = run(work)
    assert rows(work, table).to_pydict() == {"n": [1, 2], "name": ["a", "b"], "x": [7, 8]}


def test_a_partition_column_that_changed_type(work):
    put(work, "a.parquet", n=pa.array([1], pa.int32()))
    run(work, layout=layout(["n"]))
    put(work, "b.parquet", n=pa.array([2], pa.int64()))
    with pytest.raises(DataError, match="column 'n': the table is partitioned by n, so that its type cannot change from int32 to int64"):
        run(work, new_columns=EVERYTHING)


def test_names_of_all_kinds_are_safe(work):
    put(work, "a.parquet", n=[1, 2, 3, 4], **{"a/../b =": ["x=y", "../../etc", "é ü", "a%2Fb"]})
    table = run(work, layout=layout(["a/../b ="]))
    parts = fragments(work.ledger, table)
    assert {f.path.split("/")[2] for f in parts} == {
        "a%2F..%2Fb%20%3D=..%2F..%2Fetc", "a%2F..%2Fb%20%3D=a%252Fb", "a%2F..%2Fb%20%3D=x%3Dy", "a%2F..%2Fb%20%3D=%C3%A9%20%C3%BC",
    }  # fmt: skip
    assert all(work.store.local(f.path).is_relative_to(work.store.root) for f in parts)
    assert sorted(rows(work, table)["n"].to_pylist()) == [1, 2, 3, 4]
