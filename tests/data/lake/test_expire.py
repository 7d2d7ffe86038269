import uuid
from datetime import timedelta

import pyarrow as pa
import pytest
from sqlalchemy import text

from raypipe.core.errors import DataError
from raypipe.core.ledger import Record, Run, StepRecord
from raypipe.data.lake import tags
from raypipe.data.lake.expire import expirable, expire
from raypipe.data.lake.upsert import append
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema


def add(lake, *ids):
    rows = pa.table({"id": pa.array(ids, pa.int64())})
    return lake.act(lambda work: append(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows)))


def child(lake, kind, *parents, step="train", fingerprint=None):
    """Something that was made from these artifacts."""
    fingerprint = fingerprint or uuid.uuid4().hex
    lease = lake.ledger.claim(fingerprint, "r1")
    record = Record(kind, "p", step, "r1", fingerprint, uuid.uuid4().hex, parents=[p.id for p in parents])
    return lake.ledger.publish(lease, record)


def end(lake, **which):
    return lake.act(lambda work: expire(work, "t", **which))


def left(lake):
    return [s.id for s in lake.snapshots()]


def test_old_snapshots_end_and_the_newest_stays(lake):
    for i in range(6):
        last = add(lake, i)
    ended = end(lake, keep_last=2)
    assert left(lake) == [6, 5]
    assert {k: ended.figures[k] for k in ("expired", "kept", "snapshot", "num_rows")} == {
        "expired": 4,
        "kept": 0,
        "snapshot": 6,
        "num_rows": 6,
    }
    assert ended.digest == last.digest
    assert lake.rows(last)["id"].to_pylist() == list(range(6))
    with pytest.raises(DataError, match=r"snapshot 2 has expired on \S+; the oldest that is kept is 5, the newest 6"):
        lake.rows(lake.ledger.artifact(last.id).__class__(**{**last.__dict__, "figures": {**last.figures, "snapshot": 2}}))
    assert lake.rows(add(lake, 6))["id"].to_pylist() == list(range(7))


def test_by_age_and_number_together(lake):
    for i in range(4):
        add(lake, i)
    with lake.ledger.writing() as connection:
        connection.execute(text("update raypipe_snapshots set created_at = '2020-01-01T00:00:00.000+00:00' where snapshot_id <= 3"))
    assert end(lake, older_than=timedelta(days=36_500)).figures["expired"] == 0
    assert [s.id for s in expirable(lake.ledger, "t", older_than=timedelta(days=1))] == [1, 2, 3]
    assert end(lake, older_than=timedelta(days=1), keep_last=3).figures["expired"] == 1
    assert left(lake) == [4, 3, 2]


def test_what_is_needed_does_not_end(lake):
    made = [add(lake, i) for i in range(8)]
    tags.make(lake.ledger, "t", "golden", made[0].snapshot)
    model = child(lake, "Model", made[1], step="train")
    with lake.ledger.writing() as connection:
        about = {"p": "shop", "m": "m", "d": model.digest, "a": model.id}
        connection.execute(text("insert into raypipe_model_versions values (:p, :m, 1, :d, :a, '2026', 'me')"), about)
    child(lake, "Model", made[2], step="train")
    child(lake, "Evaluation", child(lake, "Model", made[3], step="train"), step="evaluate")
    lake.ledger.start_run(Run("live", "p"))
    lake.ledger.record_steps([StepRecord("live", "source", "HIT", artifact=made[4].id)])
    assert end(lake, keep_last=1).figures["kept"] == 4
    assert left(lake) == [8, 5, 4, 2, 1]
    lake.ledger.end_run("live", "DONE", 0)
    tags.remove(lake.ledger, "t", "golden")
    end(lake, keep_last=1)
    assert left(lake) == [8, 4, 2]


def test_artifacts_of_ended_snapshots_are_made_again(lake):
    first, second = add(lake, 1), add(lake, 2)
    end(lake, keep_last=1)
    assert lake.ledger.find(first.fingerprint) is None
    assert lake.ledger.find(second.fingerprint) is not None
    assert lake.ledger.artifact(first.id) is not None


def test_another_table_keeps_its_own(lake):
    other = lake.overwrite(pa.table({"y": [1]}), name="other")
    for i in range(3):
        add(lake, i)
    end(lake, keep_last=1)
    assert lake.rows(other)["y"].to_pylist() == [1]


def test_what_cannot_be_is_told(lake):
    with pytest.raises(DataError, match="there is no table 't'"):
        end(lake, keep_last=1)
    add(lake, 1)
    with pytest.raises(DataError, match="say `older_than`, `keep_last`, or both"):
        end(lake)
    with pytest.raises(DataError, match="keep_last is 0, expected at least 1"):
        end(lake, keep_last=0)


def test_duckdb_still_reads_what_is_left(lake, ask_duckdb):
    for i in range(5):
        add(lake, i)
    end(lake, keep_last=2)
    found = ask_duckdb(lake.url, *(f"select count(*) as n from lake.shop.t at (version => {n})" for n in (4, 5)))
    assert [t["n"][0].as_py() for t in found] == [4, 5]
