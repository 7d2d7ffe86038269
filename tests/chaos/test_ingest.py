"""Exactly once: ingesters of files, rows and messages killed at random, two at a time; and snapshots that never change.

RAYPIPE_CHAOS=long kills 200 times and more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from raypipe.core.artifact import Table
from raypipe.data.table import read, snapshots
from raypipe.pipeline.plan import Scene
from tests.chaos import form, ingester
from tests.kafka import MockKafka

ROOT = Path(__file__).parents[2]
KINDS = ("files", "sql", "kafka")
NUM_KILLS = form.amount(240, 12)
"""Each of two processes."""
NUM_SNAPSHOTS = form.amount(100, 30)


class World:
    """Three sources that records come to, each with a number that no other one has."""

    def __init__(self, folder: Path, kafka: MockKafka):
        self.folder, self.kafka, self.chance = folder, kafka, form.chance(7)
        self.fed: dict[str, list[tuple[int, str]]] = {kind: [] for kind in KINDS}
        (folder / "landing").mkdir()
        with closing(sqlite3.connect(folder / "records.db")) as database:
            database.execute("create table records (id integer, text text, at integer)")
            database.execute("pragma journal_mode=wal")
        kafka.topic("records", 8)

    def feed(self, kind: str) -> None:
        first = len(self.fed[kind])
        records = [(n, f"{kind} {n} " + "x" * self.chance.randint(0, 40)) for n in range(first, first + self.chance.randint(20, 120))]
        getattr(self, f"_feed_{kind}")(records)
        self.fed[kind] += records

    def _feed_files(self, records: list[tuple[int, str]]) -> None:
        for start in range(0, len(records), 40):
            part = self.folder / "part"
            part.write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in records[start : start + 40]))
            part.rename(self.folder / "landing" / f"{records[start][0]:09d}.csv")

    def _feed_sql(self, records: list[tuple[int, str]]) -> None:
        """Some come late: their watermark lies below the greatest one."""
        rows = [(n, text, 10 * n - self.chance.choice((0, 0, 0, 300, 900))) for n, text in records]
        with closing(sqlite3.connect(self.folder / "records.db", timeout=30)) as database, database:
            database.executemany("insert into records values (?, ?, ?)", rows)

    def _feed_kafka(self, records: list[tuple[int, str]]) -> None:
        producer = self.kafka.producer()
        for n, text in records:
            producer.produce("records", json.dumps({"id": n, "text": text}).encode(), partition=self.chance.randrange(8))
        assert producer.flush(10) == 0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    kafka = MockKafka()
    yield World(tmp_path, kafka)
    kafka.close()


@pytest.fixture
def scene(tmp_path: Path, world: World) -> Iterator[Scene]:
    opened = ingester.scene(tmp_path, f"sqlite:///{tmp_path}/ledger.db", str(tmp_path / "store"))
    yield opened
    opened.ledger.close()


def content(scene: Scene, kind: str, snapshot: int | None = None) -> list[tuple[int, str]]:
    found = next(s for s in snapshots(scene.ledger, f"{kind}.source") if snapshot in (None, s.id))
    artifact = scene.ledger.artifact(found.artifact)
    assert isinstance(artifact, Table)
    rows = read(scene.ledger, scene.store, artifact)
    return list(zip(rows["id"].to_pylist(), rows["text"].to_pylist(), strict=True))


def digest(records: list[tuple[int, str]]) -> str:
    return hashlib.sha256(json.dumps(records).encode()).hexdigest()


def versions(scene: Scene, kind: str) -> list[int]:
    with scene.ledger.reading() as connection:
        from raypipe.data.lake.snapshot import snapshots as all_of

        return [s.id for s in all_of(connection, scene.ledger.project, f"{kind}.source")]


def test_killed_at_random_two_at_a_time_every_record_comes_once_and_snapshots_never_change(world: World, scene: Scene):
    command = [sys.executable, "-m", "tests.chaos.ingester", str(world.folder), scene.ledger.url, scene.store.root, world.kafka.servers]
    forker = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert forker.stdin
    assert forker.stdout
    chance, said, seen = form.chance(NUM_KILLS), [], {}
    window_s = 0.4
    for number in range(NUM_KILLS):
        kind = KINDS[number % len(KINDS)]
        world.feed(kind)
        before = len(versions(scene, kind))
        print(kind, file=forker.stdin, flush=True)
        while not (line := forker.stdout.readline()).startswith("pids "):
            said.append(line)
        pids = [int(pid) for pid in line.split()[1:]]
        for pid in chance.sample(pids, 2):
            time.sleep(chance.uniform(0, window_s / 2))
            with contextlib.suppress(ProcessLookupError):  # it ended by itself, and has said why
                os.kill(pid, signal.SIGKILL)
        while not (line := forker.stdout.readline()).startswith("dead"):
            said.append(line)
        now = versions(scene, kind)
        window_s = min(10.0, max(0.1, window_s * (0.95 if len(now) > before else 1.5)))  # so that lives reach a commit, and not many
        if now and (kind, now[0]) not in seen:
            seen[kind, now[0]] = digest(content(scene, kind, now[0]))
    forker.communicate(timeout=30)
    assert said == []
    for kind in KINDS:
        ingester.finish(kind, scene, world.kafka.servers)
        assert digest(sorted(content(scene, kind))) == digest(sorted(world.fed[kind])), kind
    print(f"{2 * NUM_KILLS} kills, {[(kind, len(world.fed[kind]), len(versions(scene, kind))) for kind in KINDS]}, {len(seen)} kept")
    assert len(seen) >= max(1, NUM_KILLS // 10)
    assert {key: digest(content(scene, *key)) for key in seen} == seen


def test_many_snapshots_later_every_one_reads_as_it_did(world: World, scene: Scene):
    kept = {}
    for number in range(NUM_SNAPSHOTS + 2):
        kind = "kafka" if number % 10 == 9 else KINDS[number % 2]
        world.feed(kind)
        ingester.finish(kind, scene, world.kafka.servers)
        newest = versions(scene, kind)[0]
        kept[kind, newest] = digest(content(scene, kind, newest))
    assert sum(len(versions(scene, kind)) for kind in KINDS) >= NUM_SNAPSHOTS
    assert {key: digest(content(scene, *key)) for key in kept} == kept
