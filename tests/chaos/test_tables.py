"""Several writers of one table, each killed again and again: what was acknowledged is there, once, and what a tag names never changes.

They upsert, delete, compact, expire and collect garbage (without any grace) side by side. RAYPIPE_CHAOS=long kills 200 times."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa

from raypipe.core.artifact import Table
from raypipe.core.ledger import Ledger
from raypipe.core.store import Store
from raypipe.data.fragment.together import read_fragments
from raypipe.data.lake import snapshot as snapshots_
from raypipe.data.lake import tags
from raypipe.data.lake.current import current
from raypipe.data.table import read, snapshots
from tests.chaos import form
from tests.chaos.table_writer import SCHEMA, TABLE, Writer, digest

ROOT = Path(__file__).parents[2]
NUM_WRITERS = 3
KILLS = form.amount(200, 5)


def start(url: str, store: Store, number: int, log: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.chaos.table_writer", url, store.root, str(number), str(log)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdin
    if process.stdout.readline() != "ready\n":
        raise AssertionError(process.communicate()[1])
    print(file=process.stdin, flush=True)
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """Only a process that is at work is killed: one that ended by itself has failed."""
    assert process.poll() is None, process.communicate()[1]
    process.kill()
    process.communicate()


def expected(log: Path) -> tuple[dict[str, int], dict[str, int], dict[str, str]]:
    """By a writer's log: keys with their values as acknowledged; with the operation in hand; digests of tags."""
    rows: dict[str, int] = {}
    maybe, tagged = rows, {}
    for text in log.read_text().splitlines():
        line = json.loads(text)
        if "tag" in line:
            tagged[line["tag"]] = line["digest"]
        if "begin" in line:
            maybe = applied(rows, line["begin"])
        if "end" in line:
            rows = maybe
    return rows, maybe, tagged


def applied(rows: dict[str, int], what: dict) -> dict[str, int]:
    return {key: value for key, value in {**rows, **what.get("set", {})}.items() if key not in what.get("unset", [])}


def verify(ledger: Ledger, store: Store, logs: list[Path]) -> None:
    now = current(ledger, TABLE)
    assert now
    rows = read_fragments(store, now.fragments, SCHEMA)
    found = dict(zip(map(str, rows["key"].to_pylist()), rows["value"].to_pylist(), strict=True))
    assert len(found) == rows.num_rows == now.snapshot.num_rows, "a key is there twice"
    for number, log in enumerate(logs):
        own = {key: value for key, value in found.items() if int(key) // 1000 == number}
        acknowledged, maybe, tagged = expected(log)
        assert own in (acknowledged, maybe), (number, own.items() ^ acknowledged.items(), own.items() ^ maybe.items())
        for name, was in tagged.items():
            assert digest(rows_of(ledger, store, name)) == was, name
    for snapshot in snapshots(ledger, TABLE):
        artifact = ledger.artifact(snapshot.artifact)
        assert isinstance(artifact, Table)
        assert read(ledger, store, artifact).num_rows == snapshot.num_rows


def rows_of(ledger: Ledger, store: Store, at: str) -> pa.Table:
    with ledger.reading() as connection:
        found = snapshots_.at(connection, ledger.project, TABLE, at)
        return read_fragments(store, snapshots_.data_files(connection, found), SCHEMA)


def test_writers_killed_again_and_again_lose_and_double_nothing(own_url: str, tmp_path: Path, store: Store):
    logs = [tmp_path / f"{number}.log" for number in range(NUM_WRITERS)]
    ledger = Ledger.open(own_url, "chaos")
    first = Writer(own_url, store.root, 0, logs[0])
    first.upsert()
    chance = form.chance(KILLS)
    processes = {}
    for log in logs[1:]:
        log.touch()
    for kill_number in range(KILLS):
        for number in range(NUM_WRITERS):
            if number not in processes:
                settle(ledger, store, number, logs[number])
                processes[number] = start(own_url, store, number, logs[number])
        time.sleep(chance.uniform(0.05, 1.0))
        kill(processes.pop(kill_number % NUM_WRITERS))
    for process in processes.values():
        kill(process)
    verify(ledger, store, logs)
    assert tags.tags(ledger, TABLE), "nothing was tagged: nothing was tried"
    first.ledger.close()
    ledger.close()


def settle(ledger: Ledger, store: Store, number: int, log: Path) -> None:
    """What became of the operation in hand when its writer was killed, as the log goes on from: all of it or nothing."""
    acknowledged, maybe, _ = expected(log)
    if acknowledged == maybe:
        return
    now = current(ledger, TABLE)
    assert now
    rows = read_fragments(store, now.fragments, SCHEMA)
    pairs = zip(map(str, rows["key"].to_pylist()), rows["value"].to_pylist(), strict=True)
    own = {key: value for key, value in pairs if int(key) // 1000 == number}
    assert own in (acknowledged, maybe), (number, own.items() ^ acknowledged.items())
    with log.open("a") as file:
        file.write(json.dumps({"begin": {"set": own, "unset": [k for k in acknowledged if k not in own]}}) + "\n")
        file.write(json.dumps({"end": {}}) + "\n")
