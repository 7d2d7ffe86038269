"""What a run does to the ledger and the store, without Ray: claim, stage files, publish, step after step. It is there to be killed.

python -m tests.chaos.driver URL STORE steps NUM     makes steps 0 to NUM and ends
python -m tests.chaos.driver URL STORE stop          claims and stages one step, waits for a line, then publishes it
python -m tests.chaos.driver URL STORE fork          for each number it reads, forks a life that makes steps from there on
"""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
import time
import uuid
from collections.abc import Iterable

from sqlalchemy import Connection, func, insert, select, text

from raypipe.core import lease as leases
from raypipe.core import schema, sqlite
from raypipe.core.artifact import File
from raypipe.core.errors import Fenced, LeaseHeld, RaypipeError
from raypipe.core.lease import Heartbeat, Lease
from raypipe.core.ledger import Ledger, Record
from raypipe.core.store import Store

NAME = "m"
ZOMBIE_S = 0.8
"""The time to live of a lease whose holder is to be stopped for longer."""


def say(text: str) -> None:
    os.write(1, (text + "\n").encode())


def register(ledger: Ledger, step: str):
    """The commit: the next version of one model, so that what is lost or doubled leaves a gap or a repetition."""
    table = schema.model_versions

    def commit(connection: Connection, artifact_id: str) -> dict[str, int]:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(1)"))
        version = 1 + (connection.execute(select(func.max(table.c.version)).where(table.c.project == ledger.project)).scalar() or 0)
        row = {"name": NAME, "version": version, "model_digest": step, "artifact_id": artifact_id, "created_at": "", "who": ""}
        connection.execute(insert(table).values(project=ledger.project, **row))
        return {"version": version}

    return commit


def stage(store: Store, step: str) -> tuple[str, tuple[File, ...]]:
    """Three files in a folder of this attempt's own, made durable."""
    path = f"work/{step}/{uuid.uuid4().hex}"
    files = []
    for number in range(3):
        with store.create(f"{path}/part/{number}.bin") as writer:
            for piece in range(4):
                writer.write(f"{step} {number} {piece} ".encode() * 500)
        files.append(writer.file)
    store.sync(path)
    return path, tuple(files)


def publish(ledger: Ledger, lease: Lease, run: str, step: str, path: str, files: tuple[File, ...]) -> None:
    digest = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()
    record = Record("Model", "chaos", step, run, step, digest, path, files)
    made = ledger.publish(lease, record, [register(ledger, step)])
    say(f"made {made.fingerprint} {made.figures['version']} {made.run}")


def work(ledger: Ledger, store: Store, run: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        step = f"step-{number}"
        while (there := ledger.find(step)) is None:
            try:
                lease = ledger.claim(step, run, ttl_s=30)
            except LeaseHeld as held:
                say(f"held {held}")
                time.sleep(0.005)
                continue
            with Heartbeat(ledger, lease) as heart:
                path, files = stage(store, step)
                heart.check()
                publish(ledger, lease, run, step, path, files)
        if there and not all(map(store.holds, there.files)):
            say(f"broken {step}")


def stop(ledger: Ledger, store: Store) -> None:
    lease = ledger.claim("step-0", "zombie", ttl_s=ZOMBIE_S)
    with Heartbeat(ledger, lease) as heart:
        path, files = stage(store, "step-0")
        say("staged")
        sys.stdin.readline()
        try:
            heart.check()
        except Fenced:
            say("warned")
        publish(ledger, lease, "zombie", "step-0", path, files)


def fork(url: str, store: Store) -> None:
    """A fork costs a hundredth of a new interpreter, and it is a process like any other: its pid is told, so that it can be killed."""
    Ledger.open(url, "chaos").close()  # so that the imports are done
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                work(Ledger.open(url, "chaos"), store, f"run-{os.getpid()}", itertools.count(int(line)))
            except BaseException as error:
                say(f"error {error!r}")
            os._exit(1)
        say(f"pid {pid}")
        os.waitpid(pid, 0)
        say(f"dead {pid}")


def main() -> int:
    url, root, mode, *rest = sys.argv[1:]
    if "unfenced" in rest:  # the planted bug: publishing without asking for the token
        leases.fence = lambda connection, project, lease: None
    if "relaxed" in rest:  # another one: commits that the disk need not have
        sqlite.SETTINGS = (*sqlite.SETTINGS, "PRAGMA synchronous=NORMAL")
    store = Store.open(root)
    try:
        if mode == "fork":
            fork(url, store)
        elif mode == "stop":
            stop(Ledger.open(url, "chaos"), store)
        else:
            work(Ledger.open(url, "chaos"), store, f"run-{os.getpid()}", range(int(rest[0])))
    except RaypipeError as error:
        say(f"{type(error).__name__} {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
