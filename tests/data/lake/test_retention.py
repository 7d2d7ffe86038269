"""Random histories under random policies: what is kept can be read, what plans find is there, and what nothing keeps goes."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import select, update

from raypipe.core import schema
from raypipe.core.artifact import Table
from raypipe.core.ledger import Ledger, Record, Run, StepRecord
from raypipe.core.retention import Retention
from raypipe.core.step import Work
from raypipe.core.store import Store
from raypipe.data.lake import catalog, tags
from raypipe.data.lake.gc import gc
from raypipe.data.lake.release import look, released_now
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema, made, read
from raypipe.registry.endpoints import set_endpoint
from raypipe.registry.versions import aliases, move_alias, names, register, resolve, versions


class Killed(BaseException):
    """A process that ends here."""


class History:
    """A pipeline of source, table and model, as random runs, people and collections change it."""

    def __init__(self, ledger: Ledger, store: Store, tmp_path, seed: int):
        self.ledger, self.store, self.tmp_path, self.chance = ledger, store, tmp_path, random.Random(seed)
        self.rows: dict[str, pa.Table] = {}
        """What each table artifact held when it was made."""
        self.live: dict[str, list[Any]] = {}
        """Run at work -> the tables that it has found."""
        self.now, self.days = datetime.now(UTC), 0.0

    def run(self):
        """A run that makes what is not there, and ends, or stays at work."""
        run = f"run-{uuid.uuid4().hex[:8]}"
        self.ledger.start_run(Run(run, "p"))
        source = self.found("source", f"s{self.chance.randrange(2)}", (), run)
        table = self.found("transform", f"t{self.chance.randrange(3)}", (source,), run)
        self.live[run] = [table]
        self.found("train", f"m{self.chance.randrange(2)}", (table,), run)
        if self.chance.random() < 0.8:
            self.end(run)
        else:  # found, and not recorded yet
            self.live[run].append(self.tables()[0])

    def found(self, step, content, parents, run):
        """The artifact of that fingerprint, made where no plan would find it."""
        key = "/".join([step, content, *(p.digest for p in parents)])
        found = self.ledger.find(key)
        if found is None:
            found = self.made(step, key, parents, run)
            self.age(found)
        state = StepRecord(run, step, "RUN" if found.run == run else "HIT", artifact=found.id)
        self.ledger.record_steps([state])
        return found

    def made(self, step, key, parents, run):
        lease = self.ledger.claim(key, run)
        path = f"p/{step}/{lease.token:06d}-{uuid.uuid4().hex[:12]}"
        about = {"pipeline": "p", "step": step, "run": run, "fingerprint": key, "path": path, "parents": [p.id for p in parents]}
        if step == "train":
            file = self.store.write(f"{path}/model.bin", key.encode() * 10)
            return self.ledger.publish(lease, Record("Model", digest=key, files=[file], **about))
        rows = pa.table({"key": [key], "n": [len(self.rows)]})
        work = Work("test", self.tmp_path, "p", step, self.ledger, self.store, run=run, path=path, inline=True)
        result = made(work, f"p.{step}", TableSchema(rows.schema), write_rows(self.store, path, rows), mode="overwrite")
        record = Record("Table", digest=key, files=result.files, schema=result.schema, figures=result.figures, **about)
        table = self.ledger.publish(lease, record, result.commits)
        self.rows[table.id] = rows
        return table

    def age(self, artifact):
        """As though it had been made earlier: of runs that follow each other, each is younger than the last."""
        at = (self.now - timedelta(days=100 - self.days)).isoformat(timespec="milliseconds")
        self.days += self.chance.random() * 2
        with self.ledger.writing() as connection:
            a, s = schema.artifacts, catalog.snapshots
            connection.execute(update(a).where(a.c.id == artifact.id).values(created_at=at))
            connection.execute(update(schema.steps).where(schema.steps.c.artifact == artifact.id).values(at=at))
            if isinstance(artifact, Table):
                connection.execute(update(s).where(s.c.artifact == artifact.id).values(created_at=at))

    def end(self, run):
        self.live.pop(run, None)
        self.ledger.end_run(run, "DONE", 0)

    def end_one(self):
        if self.live:
            self.end(self.chance.choice(sorted(self.live)))

    def tag(self):
        there = self.tables()
        if there:
            tags.make(self.ledger, "p.transform", f"tag{self.chance.randrange(3)}", self.chance.choice(there).snapshot, force=True)

    def untag(self):
        found = tags.tags(self.ledger)
        if found:
            one = self.chance.choice(found)
            tags.remove(self.ledger, one.table, one.name)

    def register(self):
        models = self.artifacts("Model")
        if models:
            with self.ledger.writing() as connection:
                number = register(connection, self.ledger, "shop", self.chance.choice(models))
                if self.chance.random() < 0.4:
                    move_alias(connection, self.ledger, "shop", self.chance.choice(["champion", "candidate"]), number)
                if self.chance.random() < 0.2:
                    set_endpoint(connection, self.ledger, "shop", number, {})

    def tables(self):
        return [a for a in self.artifacts("Table") if a.step == "transform"]

    def artifacts(self, kind: str) -> list[Any]:
        a = schema.artifacts.c
        with self.ledger.reading() as connection:
            ids = connection.execute(select(a.id).where(a.kind == kind, a.superseded_at.is_(None)).order_by(a.number)).scalars().all()
        return [found for id in ids if (found := self.ledger.artifact(id))]

    def policy(self):
        c = self.chance
        return Retention(
            keep_last=c.randint(1, 4),
            keep_for=c.choice(["0s", "20d", "80d"]),
            versions=c.randint(0, 3),
            snapshots_for=c.choice([None, "50d"]),
            grace="0s",
        )

    def collect(self, policy):
        """Killed at a random point, now and then, and done again later."""
        left, real = self.chance.choice([None, 0, 1, 3]), Store.remove

        def remove(path):
            nonlocal left
            if left is not None:
                if left == 0:
                    raise Killed
                left -= 1
            real(self.store, path)

        def between():
            if left == 0 and self.chance.random() < 0.5:
                raise Killed

        object.__setattr__(self.store, "remove", remove)
        try:
            released_now(self.ledger, policy, now=self.now, tables=self.chance.random() < 0.8, between=between)
            gc(self.ledger, self.store, policy=policy)
        except Killed:
            pass
        finally:
            object.__delattr__(self.store, "remove")

    def holds(self):
        """What must be true at any time."""
        for artifact in (*self.artifacts("Table"), *self.artifacts("Model")):
            assert all(self.store.holds(file) for file in artifact.files), f"a plan finds {artifact.step}, and its bytes are gone"
            if isinstance(artifact, Table):
                self.reads(artifact)
        for name in names(self.ledger):
            for alias in aliases(self.ledger, name):
                self.serves(f"{name}@{alias}")
        for tag in tags.tags(self.ledger):
            with self.ledger.reading() as connection:
                s = catalog.snapshots.c
                maker = connection.execute(select(s.artifact).where(s.snapshot_id == tag.snapshot)).scalar_one()
            self.reads(self.ledger.artifact(maker))
        for found in self.live.values():
            for table in found:
                self.reads(table)

    def serves(self, ref):
        _, model = resolve(self.ledger, ref)
        assert all(self.store.read(file) for file in model.files)
        for parent in self.ledger.parents(model.id):
            self.reads(parent)
            for source in self.ledger.parents(parent.id):
                self.reads(source)

    def reads(self, table):
        assert read(self.ledger, self.store, table).equals(self.rows[table.id])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_kept_can_be_read_and_nothing_else_stays(ledger: Ledger, store: Store, tmp_path, seed: int):
    history = History(ledger, store, tmp_path, seed)
    for _ in range(3):
        history.run()
    acts = [history.run] * 6 + [history.tag, history.untag, history.register, history.register, history.end_one]
    for _ in range(30):
        history.chance.choice(acts)()
        if history.chance.random() < 0.3:
            history.collect(history.policy())
            history.holds()
    for run in sorted(history.live):
        history.end(run)
    policy = history.policy()
    for _ in range(3):
        released_now(ledger, policy, now=history.now)
        gc(ledger, store, policy=policy)
    history.holds()
    assert_nothing_else(history, policy)


def assert_nothing_else(history: History, policy: Retention):
    """With no reason everything is gone, and a second look finds nothing to do."""
    found = look(history.ledger, policy, history.now)
    assert (found.released, list(found.ending)) == ([], [])
    assert all(found.why.get(id) for id in found.artifacts)
    named = {file.path for a in (*history.artifacts("Table"), *history.artifacts("Model")) for file in a.files}
    for version in versions(history.ledger, "shop"):
        if version.artifact_id in found.needed.artifacts:
            model = history.ledger.artifact(version.artifact_id)
            assert model is not None
            named |= {file.path for file in model.files}
    there = {path for path, _, _ in history.store.files()}
    with history.ledger.reading() as connection:
        d = catalog.lake["data_file"].c
        named |= set(connection.execute(select(d.path)).scalars())
    assert there <= named
