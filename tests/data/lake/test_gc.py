import os
import threading
import time
import uuid

import pyarrow as pa
import pytest

from raypipe.core.errors import Fenced
from raypipe.core.lease import fence, release
from raypipe.core.ledger import Record, Run
from raypipe.core.store import Store
from raypipe.data.lake import catalog, tags
from raypipe.data.lake.compact import compact
from raypipe.data.lake.expire import expire
from raypipe.data.lake.gc import gc
from raypipe.data.lake.restore import restore
from raypipe.data.lake.upsert import append, upsert
from raypipe.data.rows import write_rows
from raypipe.data.statistics.of_table import profile_table
from raypipe.data.table import TableSchema


def put(lake, how, ids, *more):
    rows = pa.table({"id": pa.array(ids, pa.int64()), "v": [uuid.uuid4().hex for _ in ids]})
    return lake.act(lambda work: how(work, "t", TableSchema(rows.schema), write_rows(work.store, work.path, rows), *more))


def end(lake, **which):
    return lake.act(lambda work: expire(work, "t", **which))


def paths(lake):
    return {path for path, _, _ in lake.store.files()}


def collect(lake, **how):
    return gc(lake.ledger, lake.store, **how)


def profiled(lake):
    artifact = lake.ledger.artifact(lake.newest().artifact)
    return profile_table(lake.ledger, lake.store, artifact, inline=True)


@pytest.fixture
def compacted(lake):
    """Three appends, an upsert, and a compaction, after which only the last snapshot is left."""
    for start in (0, 10, 20):
        put(lake, append, range(start, start + 10))
    put(lake, upsert, [5, 15], ["id"])
    lake.act(lambda work: compact(work, "t"))
    lake.rows_before = lake.rows()
    end(lake, keep_last=1)
    return lake


def test_files_are_listed_first_and_deleted_by_a_later_call(compacted):
    lake = compacted
    before = paths(lake)
    first = collect(lake)
    assert (len(first.listed), len(first.deleted), paths(lake)) == (6, 0, before)
    again = collect(lake)
    assert (len(again.listed), again.listed) == (6, first.listed)
    dry = collect(lake, grace_s=0, dry_run=True)
    assert ({g.path for g in dry.deleted}, paths(lake)) == ({g.path for g in first.listed}, before)
    last = collect(lake, grace_s=0)
    assert ({g.path for g in last.deleted}, len(last.listed)) == ({g.path for g in first.listed}, 0)
    assert paths(lake) == before - {g.path for g in first.listed}
    assert lake.rows().equals(lake.rows_before)
    assert collect(lake, grace_s=0).deleted == ()


def test_what_a_tag_or_a_snapshot_names_stays(lake):
    made = [put(lake, append, range(start, start + 10)) for start in (0, 10)]
    made.append(put(lake, upsert, [5], ["id"]))
    tags.make(lake.ledger, "t", "golden", made[2].snapshot)
    rows = lake.rows(made[2])
    lake.act(lambda work: compact(work, "t"))
    put(lake, append, [99])
    end(lake, keep_last=1)
    found = collect(lake, grace_s=0)
    assert found.deleted == ()
    assert lake.rows(made[2]).equals(rows)
    tags.remove(lake.ledger, "t", "golden")
    end(lake, keep_last=1)
    assert len(collect(lake, grace_s=0).deleted) == 4


def test_a_file_that_is_named_again_comes_off_the_list(compacted):
    lake = compacted
    old = put(lake, append, [100])
    lake.overwrite(pa.table({"id": [1], "v": ["x"]}))
    with_old = lake.rows(old)
    put(lake, append, [101])
    assert len(collect(lake).listed) == 6
    lake.act(lambda work: restore(work, "t", old.snapshot))
    end(lake, keep_last=1)
    collect(lake)
    collect(lake, grace_s=0)
    assert lake.rows().equals(with_old)


def attempt(lake, token=1, pipeline="p"):
    path = f"{pipeline}/step/{token:06d}-{uuid.uuid4().hex[:12]}/part.parquet"
    lake.store.write(path, b"half")
    return path


def test_rows_that_a_contract_refused_are_known_as_such_and_collected_once_they_are_old(compacted):
    lake, path = compacted, "refused/shop.rows.jsonl"
    lake.store.write(path, b"{}\n")
    found = collect(lake, grace_s=0)
    assert (found.num_refused, found.num_unknown, path in paths(lake)) == (1, 0, True)
    long_ago = time.time() - 31 * 24 * 3600
    os.utime(lake.store.local(path), (long_ago, long_ago))
    found = collect(lake, grace_s=3600)
    assert (found.num_refused, found.num_unknown, [g.path for g in found.listed]) == (0, 0, [path])
    collect(lake, grace_s=0)
    assert path not in paths(lake)


def test_attempts_that_were_killed_are_collected_and_those_at_work_are_not(compacted):
    lake = compacted
    lake.ledger.start_run(Run("live", "p"))
    lease = lake.ledger.claim("key", "live")
    at_work, killed = attempt(lake), attempt(lake, token=2)
    stranger = attempt(lake, pipeline="of-another-ledger")
    lake.store.write("notes.txt", b"mine")
    found = collect(lake, grace_s=0)
    assert killed in {g.path for g in found.deleted}
    assert {at_work, stranger, "notes.txt"} <= paths(lake)
    assert killed not in paths(lake)
    assert found.num_unknown == 1
    lake.ledger.release(lease)
    collect(lake, grace_s=0)
    assert at_work not in paths(lake)


def test_a_process_that_slept_through_a_collection_is_fenced(lake, monkeypatch):
    put(lake, append, [1])
    lake.ledger.start_run(Run("asleep", "p"))
    lease = lake.ledger.claim("key", "asleep", ttl_s=0.001)
    path = attempt(lake)
    time.sleep(0.01)
    collect(lake, grace_s=0.002)
    assert path not in paths(lake) or collect(lake, grace_s=0).deleted
    with pytest.raises(Fenced, match="gave this lease back already"):
        lake.ledger.publish(lease, Record("Report", "p", "step", "asleep", "key", "d"))


def test_an_artifacts_files_stay_until_it_is_superseded(lake):
    put(lake, append, [1])
    path = attempt(lake)
    lease = lake.ledger.claim("key", "r")
    from raypipe.core.artifact import File

    record = Record("Report", "p", "step", "r", "key", "d", files=[File(path, 4, "0")])
    lake.ledger.publish(lease, record)
    assert collect(lake, grace_s=0).deleted == ()
    lake.ledger.publish(lake.ledger.claim("key", "r"), Record("Report", "p", "step", "r", "key", "d"), replace=True)
    assert [g.path for g in collect(lake, grace_s=0).deleted] == [path]


def test_a_fresh_ledger_has_no_garbage(lake):
    assert collect(lake).listed == ()


def test_duckdb_is_told_of_a_missing_file_rather_than_given_fewer_rows(lake, ask_duckdb):
    put(lake, append, range(10))
    lake.overwrite(pa.table({"y": [1]}), name="other")
    lake.act(lambda work: compact(work, "t"))
    put(lake, upsert, range(10), ["id"])
    end(lake, keep_last=1)
    collect(lake, grace_s=0)
    assert ask_duckdb(lake.url, "select count(*) as n from lake.shop.t")[0]["n"].to_pylist() == [10]
    with pytest.raises(AssertionError, match=r"(?i)no files found|cannot open|no such file"):
        ask_duckdb(lake.url, "select v from lake.shop.t at (version => 2)")
    lake.overwrite(pa.table({"y": [2]}), name="other")
    lake.act(lambda work: expire(work, "other", keep_last=1))
    collect(lake, grace_s=0)
    with lake.ledger.reading() as connection:
        from sqlalchemy import text

        assert connection.execute(text("select count(*) from ducklake_data_file where end_snapshot is not null")).scalar_one() == 1


def test_a_profile_is_needed_as_long_as_its_file_and_garbage_beside_one_that_is_gone(lake):
    for start in (0, 10):
        put(lake, append, range(start, start + 10))
    put(lake, upsert, [5], ["id"])
    profiled(lake)
    profiles = {path for path in paths(lake) if path.endswith(".profile")}
    # One of a whole file, one of the rows that a delete file leaves, one of the upsert's.
    assert len(profiles) == 3
    assert collect(lake).listed == ()
    lake.act(lambda work: compact(work, "t"))
    end(lake, keep_last=1)
    listed = {g.path for g in collect(lake).listed}
    assert profiles <= listed
    assert len(collect(lake, grace_s=0).deleted) == len(listed)
    assert not {path for path in paths(lake) if path.endswith(".profile")}
    assert profiled(lake)["id"].num_rows == 20


@pytest.mark.parametrize("folder", ["0" * 32, "0" * 32 + "-20260101-000000-abcd"])
def test_checkpoints_go_after_thirty_days_those_of_a_forced_training_too(lake, folder):
    put(lake, append, [1])
    old, new = (f"checkpoints/{folder}/{name}/state.json" for name in ("000001-000000000", "000002-000000000"))
    for path, days in ((old, 31), (new, 29)):
        lake.store.write(path, b"{}")
        written = time.time() - days * 24 * 3600
        os.utime(lake.store.local(path), (written, written))
    found = collect(lake, grace_s=0)
    assert ([g.path for g in found.deleted], found.num_unknown) == ([old], 0)
    assert new in paths(lake)


@pytest.mark.parametrize("own_url", ["sqlite"], indirect=True)
def test_an_object_store_is_swept_too(lake, bucket, monkeypatch):
    """Of what a killed attempt wrote, and of checkpoints by their age, half-written ones among them."""
    lake.store = Store.open(f"{bucket}/store")
    put(lake, append, [1])
    left = ["tables/act/000002-0123456789ab/part.parquet", *(f"checkpoints/{'0' * 32}/{'1' * 32}/{n}/state.json" for n in "ab")]
    for path in left:
        lake.store.write(path, b"{}")
    assert [g.path for g in collect(lake, grace_s=0).deleted] == left[:1]
    now = lake.ledger.now
    monkeypatch.setattr(lake.ledger, "now", lambda connection: now(connection) + 31 * 24 * 3600)
    assert [g.path for g in collect(lake, grace_s=0).deleted] == left[1:]
    assert lake.rows()["id"].to_pylist() == [1]


@pytest.mark.parametrize("own_url", ["postgres"], indirect=True)
def test_a_publish_by_one_that_is_taken_for_dead_and_a_collection_do_not_wait_for_each_other(lake):
    """The publish holds its lease, and wants the catalog; the collection ends leases of the dead, and holds the catalog."""
    put(lake, append, range(10))
    lease = lake.ledger.claim("slow", "slow", ttl_s=0.01)
    time.sleep(0.02)
    with lake.ledger.writing() as connection:
        fence(connection, lake.ledger.project, lease)
        collecting = threading.Thread(target=collect, args=(lake,), kwargs={"grace_s": 0})
        collecting.start()
        collecting.join(0.5)
        assert collecting.is_alive()
        catalog.lock(connection)
        release(connection, lake.ledger.project, lease, 1.0)
    collecting.join(20)
    assert not collecting.is_alive()
