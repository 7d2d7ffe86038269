"""Writes to one table without end: upserts and deletes of keys of its own, compaction, expiry, garbage collection and tags.

`python -m tests.chaos.table_writer URL STORE NUMBER LOG`. What it is about to do, and what was acknowledged, stands in its log, a line of
JSON each, synced: after a kill -9 the table must hold what was acknowledged, and of the operation in hand all or nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from raypipe.core.errors import Conflict, DataError
from raypipe.core.ledger import Ledger, Record, Run
from raypipe.core.step import Work
from raypipe.core.store import Store
from raypipe.data.fragment.together import read_fragments
from raypipe.data.lake import tags
from raypipe.data.lake.compact import compact
from raypipe.data.lake.current import current
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.expire import expire
from raypipe.data.lake.gc import gc
from raypipe.data.lake.put import Manners, put_rows
from raypipe.pipeline.redo import redone

TABLE = "kept"
SCHEMA = pa.schema({"key": pa.int64(), "value": pa.int64()})
KEYS = 200
"""Of each writer: NUMBER * 1,000 and on."""


class Writer:
    def __init__(self, url: str, root: str, number: int, log: Path):
        self.ledger, self.store, self.number, self.log = Ledger.open(url, "chaos"), Store.open(root), number, log
        self.run = f"writer-{number}-{os.getpid()}"
        self.ledger.start_run(Run(self.run, "chaos"))
        self.chance = random.Random(f"{number} {os.getpid()}")
        self.count = int.from_bytes(os.urandom(4), "big")

    def act(self, change: Callable[[Work], Any]) -> Any:
        """As a step is run and published: under a lease of its own, redone where it meets another's commit."""
        lease = self.ledger.claim(uuid.uuid4().hex, self.run)

        def attempt() -> Any:
            path = f"chaos/write/{lease.token:06d}-{uuid.uuid4().hex[:12]}"
            work = Work(
                "chaos", Path(), "chaos", "write", self.ledger, self.store, run=self.run, path=path, fingerprint=lease.key, inline=True
            )
            made = change(work)
            if made.files:
                self.store.sync(path)
            record = Record("Table", "chaos", "write", self.run, lease.key, made.digest, path=path, files=made.files, schema=made.schema)
            return self.ledger.publish(lease, record, made.commits)

        return redone(attempt, lambda text: None)

    def step(self) -> None:
        self.count += 1
        what = self.chance.choices(["upsert", "delete", "compact", "expire", "gc", "tag"], [8, 3, 2, 1, 2, 1])[0]
        with contextlib.suppress(Conflict):  # five times in a row: the others were quicker, and nothing was written
            getattr(self, what)()

    def upsert(self) -> None:
        keys = self.chance.sample(range(self.number * 1000, self.number * 1000 + KEYS), self.chance.randint(1, 20))
        rows = pa.table({"key": keys, "value": [self.count] * len(keys)}, schema=SCHEMA)
        with self.told({"set": dict.fromkeys(map(str, keys), self.count)}):
            self.act(lambda work: put_rows(work, rows, TABLE, Manners("upsert", ("key",))))

    def delete(self) -> None:
        first = self.number * 1000 + self.chance.randrange(KEYS)
        with self.told({"unset": [str(key) for key in range(first, first + 5)]}):
            self.act(lambda work: delete_where(work, TABLE, f"key >= {first} and key < {first + 5}"))

    def compact(self) -> None:
        self.act(lambda work: compact(work, TABLE))

    def expire(self) -> None:
        self.act(lambda work: expire(work, TABLE, keep_last=4))

    def gc(self) -> None:
        gc(self.ledger, self.store, grace_s=0)

    def tag(self) -> None:
        now = current(self.ledger, TABLE)
        assert now
        name = f"t{self.number}-{self.count}"
        with contextlib.suppress(DataError):  # it may have expired meanwhile
            tags.make(self.ledger, TABLE, name, now.snapshot.id)
            self.say({"tag": name, "digest": digest(read_fragments(self.store, now.fragments, SCHEMA))})

    @contextlib.contextmanager
    def told(self, what: dict[str, Any]):
        self.say({"begin": what})
        yield
        self.say({"end": what})

    def say(self, line: dict[str, Any]) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


def digest(rows: pa.Table) -> str:
    """Of the rows in their order."""
    return hashlib.sha256(json.dumps(rows.to_pydict()).encode()).hexdigest()


if __name__ == "__main__":
    writer = Writer(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        writer.step()
