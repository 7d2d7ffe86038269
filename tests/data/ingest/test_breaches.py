"""Rows that a contract keeps out: in the table NAME~breaches with file, row and reasons, in the transaction of the table."""

import uuid
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError
from raypipe.core.ledger import Record
from raypipe.core.step import Work
from raypipe.data.contract.contract import Column, Contract
from raypipe.data.fragment.together import read_fragments
from raypipe.data.ingest.ingest import ingest
from raypipe.data.source.parquet import Parquet
from raypipe.data.table import fragments, latest, snapshots

CONTRACT = Contract(
    {
        "n": Column("int64", min=0, max=99, on_breach="quarantine"),
        "s": Column("string", allowed=["a", "b"], nulls=False, on_breach="quarantine"),
        "d": Column("int64", max=9, on_breach="drop"),
    }
)


@pytest.fixture
def work(tmp_path, store, ledger):
    (tmp_path / "data").mkdir()
    lines = []
    made = Work(ledger.project, tmp_path, "flights", "source", ledger, store, run="r1", inline=True, report=lines.append)
    object.__setattr__(made, "lines", lines)
    return made


def put(work, name, n, s, d):
    rows = {"n": pa.array(n, pa.int64()), "s": pa.array(s, pa.string()), "d": pa.array(d, pa.int64())}
    pq.write_table(pa.table(rows), work.project_path / "data" / name)


def run(work, contract=CONTRACT, **how):
    attempt = replace(work, path=f"attempts/{uuid.uuid4().hex}")
    made = ingest(attempt, Parquet("data"), contract, "t", **how)
    fingerprint = uuid.uuid4().hex
    about = {"pipeline": work.pipeline, "step": work.step, "run": work.run, "fingerprint": fingerprint, "digest": made.digest}
    record = Record(kind="Table", **about, files=made.files, schema=made.schema, figures=made.figures)
    return work.ledger.publish(work.ledger.claim(fingerprint, "r1"), record, made.commits)


def breaches(work):
    now = latest(work.ledger, "t~breaches")
    assert now is not None
    artifact = work.ledger.artifact(now.artifact)
    table = replace(artifact, figures={"table": now.name, "snapshot": now.id, "num_rows": now.num_rows})
    parts = fragments(work.ledger, table)
    names = ("n", "s", "d", "raypipe.file", "raypipe.row", "raypipe.reasons")
    types = (pa.int64(), pa.string(), pa.int64(), pa.string(), pa.int64(), pa.list_(pa.string()))
    return [tuple(row.values()) for row in read_fragments(work.store, parts, pa.schema(list(zip(names, types, strict=True)))).to_pylist()]


def test_rows_go_beside_the_table_with_their_place_and_every_reason(work):
    put(work, "a.parquet", [1, -1, 100, 5, -2], ["a", "x", "b", None, "b"], [0, 0, 0, 0, 10])
    made = run(work)
    assert breaches(work) == [
        (-1, "x", 0, "data/a.parquet", 2, ["n: below 0", "s: not among a, b"]),
        (100, "b", 0, "data/a.parquet", 3, ["n: above 99"]),
        (5, None, 0, "data/a.parquet", 4, ["s: without a value"]),
        (-2, "b", 10, "data/a.parquet", 5, ["n: below 0", "d: above 9"]),
    ]
    assert made.num_rows == 1
    assert "4 rows break the contract: they are in table t~breaches, with the reasons" in work.lines


def test_what_is_read_is_kept_dropped_or_in_quarantine(work):
    put(work, "a.parquet", [1, -1, 2, 3], ["a", "a", "a", "a"], [0, 0, 10, 0])
    figures = run(work).figures
    assert {k: figures[k] for k in ("rows_read", "num_rows", "rows_dropped", "rows_quarantined")} == {
        "rows_read": 4,
        "num_rows": 2,
        "rows_dropped": 1,
        "rows_quarantined": 1,
    }


def test_an_append_adds_to_them_and_what_is_made_anew_begins_anew(work):
    put(work, "a.parquet", [-1, 1], ["a", "a"], [0, 0])
    run(work)
    put(work, "b.parquet", [-2, 2], ["a", "a"], [0, 0])
    run(work)
    assert [row[:1] + row[3:5] for row in breaches(work)] == [(-1, "data/a.parquet", 1), (-2, "data/b.parquet", 1)]
    run(work, Contract({**CONTRACT.columns, "n": Column("int64", min=-1, on_breach="quarantine")}))
    assert [row[0] for row in breaches(work)] == [-2]
    run(work, Contract({**CONTRACT.columns, "n": Column("int64", min=-5, on_breach="quarantine")}))
    assert breaches(work) == []
    assert [s.num_rows for s in snapshots(work.ledger, "t~breaches")] == [0, 1, 2, 1]


def test_a_contract_that_keeps_nothing_out_any_more_leaves_none(work):
    put(work, "a.parquet", [-1, 1], ["a", "a"], [0, 0])
    run(work)
    assert run(work, Contract({name: Column(c.type) for name, c in CONTRACT.columns.items()})).num_rows == 2
    assert breaches(work) == []


def test_a_file_that_is_replaced_takes_its_breaches_along(work):
    from raypipe.data.ingest.policy import Policy

    put(work, "a.parquet", [-1, 1], ["a", "a"], [0, 0])
    put(work, "b.parquet", [-2, 2], ["a", "a"], [0, 0])
    run(work)
    put(work, "a.parquet", [3, -4], ["a", "a"], [0, 0])
    table = run(work, policy=Policy(changed="replace"))
    assert [row[0] for row in breaches(work)] == [-2, -4]
    put(work, "a.parquet", [3, 4], ["a", "a"], [0, 0])
    table = run(work, policy=Policy(changed="replace"))
    assert ([row[0] for row in breaches(work)], table.num_rows) == ([-2], 3)


def test_nothing_is_there_of_a_batch_that_is_refused(work):
    put(work, "a.parquet", [-1, 1], ["a", "a"], [0, 50])
    refusing = Contract({**CONTRACT.columns, "d": Column("int64", max=9)})
    with pytest.raises(DataError, match="column 'd': 1 of 2 rows above 9"):
        run(work, refusing)
    assert latest(work.ledger, "t~breaches") is None
    assert latest(work.ledger, "t") is None


def test_a_column_that_comes_later_is_theirs_too(work):
    from raypipe.data.lake.evolve import NewColumns

    loose = Contract(CONTRACT.columns, exact=False)
    put(work, "a.parquet", [-1, 1], ["a", "a"], [0, 0])
    run(work, loose)
    rows = {"n": pa.array([-3, 3]), "s": ["a", "a"], "d": pa.array([0, 0]), "gate": ["A1", "B2"]}
    pq.write_table(pa.table(rows), work.project_path / "data" / "b.parquet")
    run(work, loose, new_columns=NewColumns(add=True, fill=True))
    assert [row[0] for row in breaches(work)] == [-1, -3]
