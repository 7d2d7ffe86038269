"""What a policy releases and what it keeps, as readers and later plans find it."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Literal

import pyarrow as pa
import pytest
from sqlalchemy import update

from raypipe.core import schema
from raypipe.core.artifact import Model
from raypipe.core.errors import ConfigError, DataError
from raypipe.core.ledger import Record, Run, StepRecord
from raypipe.core.released import fate, released
from raypipe.core.retention import Retention
from raypipe.data.lake import tags
from raypipe.data.lake.gc import gc
from raypipe.data.lake.keeping import OUTSIDE
from raypipe.data.lake.release import look, released_now
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema, made
from raypipe.registry.versions import move_alias, register, resolve

NOTHING_RECENT = Retention(keep_last=1, keep_for="0s", versions=0, grace="0s")


class Project:
    """A pipeline `p` as its runs leave it: a source, a derived table and a model a run."""

    def __init__(self, lake):
        self.lake, self.ledger, self.store = lake, lake.ledger, lake.store
        self.count = itertools.count(1)

    def put(self, step, kind="Model", parents=(), run="r", rows=None, mode: Literal["append", "overwrite"] = "overwrite", digest=""):
        """An artifact of a step, of its own fingerprint, with a file."""
        key = uuid.uuid4().hex
        lease = self.ledger.claim(key, run)
        path = f"p/{step}/{lease.token:06d}-{uuid.uuid4().hex[:12]}"
        record = {"pipeline": "p", "step": step, "run": run, "fingerprint": key, "parents": [p.id for p in parents]}
        if kind != "Table":
            file = self.store.write(f"{path}/model.bin", f"{next(self.count)}".encode() * 100)
            return self.ledger.publish(lease, Record(kind, digest=digest or file.sha256, path=path, files=[file], **record))
        rows = rows if rows is not None else pa.table({"id": [next(self.count)]})
        work = self.lake.work()
        result = made(work, f"p.{step}", TableSchema(rows.schema), write_rows(self.store, path, rows), mode=mode)
        more = {"digest": result.digest, "files": result.files, "schema": result.schema, "figures": result.figures}
        return self.ledger.publish(lease, Record("Table", path=path, **more, **record), result.commits)

    def life(self, run="r"):
        """Source, table made of it, model made of that."""
        source = self.put("source", "Table", run=run)
        table = self.put("transform", "Table", [source], run=run)
        return source, table, self.put("train", "Model", [table], run=run)

    def version(self, model, alias=None):
        with self.ledger.writing() as connection:
            number = register(connection, self.ledger, "shop", model)
            if alias:
                move_alias(connection, self.ledger, "shop", alias, number)
        return number

    def collect(self, policy=NOTHING_RECENT, **how):
        released_now(self.ledger, policy, **how)
        return gc(self.ledger, self.store, policy=policy)

    def is_whole(self, artifact):
        return self.ledger.find(artifact.fingerprint) is not None and all(self.store.holds(file) for file in artifact.files)

    def is_gone(self, artifact):
        return self.ledger.find(artifact.fingerprint) is None and not any(self.store.holds(file) for file in artifact.files)

    def rows(self, table):
        return self.lake.rows(table)


@pytest.fixture
def project(lake):
    return Project(lake)


def test_what_nothing_keeps_goes_and_its_record_tells_of_it(project):
    lives = [project.life() for _ in range(3)]
    found = look(project.ledger, NOTHING_RECENT)
    assert {held.id for held in found.released} == {a.id for life in lives[:2] for a in life[1:]}
    project.collect()
    assert all(project.is_gone(a) for life in lives[:2] for a in life[1:])
    assert all(project.is_whole(a) for a in (*lives[2], lives[0][0], lives[1][0]))
    old = project.ledger.artifact(lives[0][2].id)
    assert isinstance(old, Model)
    assert old.digest == lives[0][2].digest
    assert [p.id for p in project.ledger.parents(old.id)] == [lives[0][1].id]
    text = fate(project.ledger, project.store, [old])[old.id]
    assert text == f"its bytes were removed by retention on {datetime.now(UTC):%Y-%m-%d} under keep_last=1 keep_for=0s versions=0"
    with pytest.raises(DataError, match="expired"):
        project.rows(lives[0][1])


def test_rows_from_outside_stay_unless_the_policy_says_how_long(project):
    old, *_, new = [project.put("source", "Table", mode="overwrite") for _ in range(3)]
    assert look(project.ledger, NOTHING_RECENT).why[old.id] == OUTSIDE
    project.collect()
    assert project.rows(old).num_rows == 1
    bounded = Retention(keep_last=1, keep_for="0s", grace="0s", snapshots_for="0s")
    project.collect(bounded)
    assert project.is_gone(old)
    assert project.rows(new).num_rows == 1


def test_the_last_of_each_step_and_what_is_recent_stay(project):
    models = [project.put("train") for _ in range(4)]
    assert look(project.ledger, Retention()).released == []
    two = Retention(keep_last=2, keep_for="0s")
    assert [held.id for held in look(project.ledger, two).released] == [m.id for m in models[:2]]
    project.ledger.start_run(Run("later", "p"))
    project.ledger.record_steps([StepRecord("later", "train", "HIT", artifact=models[0].id)])
    project.ledger.end_run("later", "DONE", 0)
    found = look(project.ledger, Retention(keep_last=2, keep_for="1h"), datetime.now(UTC) + timedelta(minutes=30))
    assert found.why[models[0].id] == "made or used within 1h"


def test_a_found_artifact_is_as_good_as_new(project):
    models = [project.put("train") for _ in range(3)]
    with project.ledger.writing() as connection:
        connection.execute(update(schema.artifacts).values(created_at="2020-01-01T00:00:00.000+00:00"))
    project.ledger.start_run(Run("later", "p"))
    project.ledger.record_steps([StepRecord("later", "train", "HIT", artifact=models[0].id)])
    project.ledger.end_run("later", "DONE", 0)
    found = look(project.ledger, Retention(keep_last=1))
    assert [held.id for held in found.released] == [models[1].id]


def test_a_model_with_an_alias_keeps_all_that_it_was_made_from(project):
    lives = [project.life() for _ in range(4)]
    project.version(lives[0][2], "champion")
    project.version(lives[1][2])
    found = look(project.ledger, NOTHING_RECENT)
    assert found.why[lives[0][1].id] == "needed by model shop@1 (champion)"
    newest = Retention(keep_last=1, keep_for="0s", versions=1)
    assert look(project.ledger, newest).why[lives[1][1].id] == "needed by model shop@2"
    project.collect()
    assert all(project.is_whole(a) for a in lives[0])
    assert project.rows(lives[0][1]).num_rows == 1
    assert project.is_gone(lives[1][2])


def test_a_version_made_again_has_its_bytes_again(project):
    """One version for a bundle's digest: it is that of the bytes that are there."""
    first = project.put("train", digest="same")
    project.version(first, "champion")
    project.version(project.put("train"), "champion")
    project.put("source", "Table")
    project.collect()
    assert project.is_gone(first)
    with pytest.raises(ConfigError, match="version 1 was released by retention"), project.ledger.writing() as connection:
        move_alias(connection, project.ledger, "shop", "champion", 1)
    again = project.put("train", digest="same")
    assert project.version(again, "champion") == 1
    assert resolve(project.ledger, "shop@champion")[1].id == again.id
    project.collect()
    assert project.is_whole(again)


def test_a_tagged_snapshot_keeps_its_artifact(project):
    lives = [project.life() for _ in range(3)]
    table = lives[0][1]
    tags.make(project.ledger, "p.transform", "gold", table.snapshot)
    rows = project.rows(table)
    assert look(project.ledger, NOTHING_RECENT).why[table.id] == "tagged 'gold'"
    project.collect()
    assert project.rows(table).equals(rows)
    assert project.is_whole(table)
    tags.remove(project.ledger, "p.transform", "gold")
    project.collect()
    assert project.is_gone(table)


def test_without_tables_only_what_is_no_table_goes(project):
    lives = [project.life() for _ in range(3)]
    project.collect(tables=False)
    assert project.is_gone(lives[0][2])
    assert all(project.is_whole(a) for life in lives for a in life[:2])


def test_a_run_at_work_keeps_what_it_has_met_and_what_it_may_read(project):
    lives = [project.life() for _ in range(3)]
    project.ledger.start_run(Run("live", "p"))
    project.ledger.record_steps([StepRecord("live", "train", "HIT", artifact=lives[0][2].id)])
    found = project.collect()
    assert all(project.is_whole(a) for a in lives[0])
    assert project.ledger.find(lives[1][1].fingerprint) is None, "released: no later run finds it"
    assert project.rows(lives[1][1]).num_rows == 1, "the run may have found it before"
    assert all(project.store.holds(f) for f in lives[1][2].files)
    assert found.read_by == ("live",)
    project.ledger.end_run("live", "DONE", 0)
    project.collect()
    project.collect()
    assert project.is_gone(lives[1][1])
    assert project.is_gone(lives[1][2])


def test_a_run_that_finds_something_between_the_two_transactions_reads_it(project):
    """It plans before the first is committed, and is seen by the second."""
    lives = [project.life() for _ in range(3)]
    project.ledger.start_run(Run("live", "p"))
    planned = project.ledger.find(lives[0][1].fingerprint)
    read = []
    released_now(project.ledger, NOTHING_RECENT, between=lambda: read.append(project.rows(planned)))
    gc(project.ledger, project.store, policy=NOTHING_RECENT)
    assert project.rows(planned).equals(read[0])
    assert project.ledger.find(planned.fingerprint) is None


def test_what_a_run_made_of_something_released_keeps_it_readable(project):
    """Found before, published after: its lineage can be read as long as the newest of its step is made from it."""
    lives = [project.life() for _ in range(3)]
    project.ledger.start_run(Run("live", "p"))
    planned = project.ledger.find(lives[0][1].fingerprint)
    project.collect()
    model = project.put("train", "Model", [planned], run="live")
    project.ledger.end_run("live", "DONE", 0)
    project.collect()
    project.collect()
    assert project.is_whole(model)
    assert project.rows(planned).num_rows == 1


def test_a_follower_an_endpoint_and_a_run_long_silent_hold_nothing_up(project):
    lives = [project.life() for _ in range(3)]
    project.ledger.start_run(Run("follower", "p"))
    project.ledger.claim("follow:p.source", "follower")
    elsewhere = {"host": "other", "boot": "", "pids": 0, "pid": 1, "started": "1"}
    long_ago = (datetime.now(UTC) - timedelta(days=8)).isoformat(timespec="milliseconds")
    project.ledger.start_run(Run("silent", "p", started_at=long_ago, owner=elsewhere))
    project.ledger.claim("serve:shop", "http://127.0.0.1:8000")
    project.collect()
    assert project.is_gone(lives[0][1])


def test_a_collection_that_was_killed_anywhere_ends_the_same(project, monkeypatch):
    """Each transaction is whole or not there, and so is each deletion: what is left is done by the next call."""

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    lives = [project.life() for _ in range(3)]
    with pytest.raises(Killed):
        released_now(project.ledger, NOTHING_RECENT, between=kill)
    released_now(project.ledger, NOTHING_RECENT)
    removed, real = [], type(project.store).remove
    monkeypatch.setattr(type(project.store), "remove", lambda store, path: kill() if removed else removed.append(real(store, path)))
    with pytest.raises(Killed):
        gc(project.ledger, project.store, policy=NOTHING_RECENT)
    monkeypatch.undo()
    project.collect()
    project.collect()
    assert all(project.is_gone(a) for life in lives[:2] for a in life[1:])
    left = {path for path, _, _ in project.store.files()}
    assert left == {f.path for a in (*lives[2], lives[0][0], lives[1][0]) for f in a.files}
    with project.ledger.reading() as connection:
        assert len(released(connection, project.ledger.project)) == 4
