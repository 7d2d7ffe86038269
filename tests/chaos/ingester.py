"""An ingester that is there to be killed: for each line it reads, it forks two lives that take from one source into one table.

python -m tests.chaos.ingester FOLDER LEDGER STORE SERVERS      reads KIND (files, sql, kafka), one a line

One life follows the source, the other one runs the pipeline again and again: neither waits for the other before it has read.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from raypipe.core.cluster import Debug
from raypipe.core.ledger import Ledger
from raypipe.core.place import Place
from raypipe.core.store import Store
from raypipe.data.contract.contract import Column, Contract
from raypipe.data.source.csv import Csv
from raypipe.data.source.kafka import Kafka
from raypipe.data.source.sql import Sql
from raypipe.loop.follow import Follow, Pace, follow
from raypipe.pipeline.driver import Options
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene
from raypipe.pipeline.run import run
from raypipe.steps.ingest import Ingest

PROJECT = "chaos"
CONTRACT = Contract({"id": Column("int64"), "text": Column("string")})
PACE = Pace(num_rows=60, num_bytes=4000, seconds=0.0, poll_s=0.005, tries=3)


def pipeline(kind: str, servers: str) -> Pipeline:
    source = {
        "files": Csv("landing"),
        "sql": Sql(table="records", url="sqlite:///records.db", watermark="at", overlap=1000, key=["id"], columns=["id", "text"]),
        "kafka": Kafka("records", servers, readers=2),
    }[kind]
    return Pipeline(kind, source=Ingest(source, CONTRACT), contract=None, transform=None)


def scene(folder: Path, url: str, store: str) -> Scene:
    return Scene(Place(folder, PROJECT, url, store), Ledger.open(url, PROJECT), Store.open(store))


def follows(kind: str, where: Scene, servers: str) -> None:
    follow(Follow(pipeline(kind, servers), where, [], PACE), threading.Event())


def runs(kind: str, where: Scene, servers: str) -> None:
    while True:
        result = run(pipeline(kind, servers), where, Options(cluster=Debug()))
        if result.error and "meanwhile" not in result.error:
            say(f"error {kind} {result.error}")


def finish(kind: str, where: Scene, servers: str) -> None:
    """A last one, unharmed, takes what is left."""
    follow(Follow(pipeline(kind, servers), where, [], Pace(poll_s=0.005), forever=False), threading.Event())


def say(text: str) -> None:
    os.write(1, (text.replace("\n", " ") + "\n").encode())


def fork(life: Callable[[str, Scene, str], None], kind: str, where: tuple[Path, str, str], servers: str) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            life(kind, scene(*where), servers)
        except BaseException as error:
            say(f"error {kind} {error!r}")
        os._exit(1)
    return pid


def main() -> None:
    folder, url, store, servers = sys.argv[1:]
    where = (Path(folder), url, store)
    Ledger.open(url, PROJECT).close()  # so that the imports are done
    for line in sys.stdin:
        pids = [fork(life, line.strip(), where, servers) for life in (follows, runs)]
        say(f"pids {' '.join(map(str, pids))}")
        for pid in pids:
            os.waitpid(pid, 0)
        say("dead")


if __name__ == "__main__":
    main()
