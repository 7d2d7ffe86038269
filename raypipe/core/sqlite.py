"""A SQLite file under the ledger: what is checked before it is opened, the settings that make it durable, and the writers' ticket."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from raypipe.core.errors import LedgerError
from raypipe.core.statement import run

DEADLINE_S = 30.0
"""How long a writer waits for its turn. Transactions are short, so that only a stopped process holds it this long."""

STATEMENTS = 256
"""That a connection keeps as they are planned."""

THREADS = 64
"""Connections beyond the five that are kept: each step at work, and its heartbeat, may want one at the same moment."""

NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)

# WAL with synchronous=NORMAL lost 191 of 191 acknowledged commits in power cuts, FULL none of 711.
SETTINGS = (
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={int(DEADLINE_S * 1000)}",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA journal_size_limit=67108864",
)


def check(path: Path) -> None:
    """LedgerError for what can be known before anything is opened or made."""
    there = path if path.exists() else next(parent for parent in path.parents if parent.exists())
    kind = file_system(there)
    if kind in NETWORK or (kind.startswith("fuse.") and kind != "fuse.fuse-overlayfs"):
        raise LedgerError(
            f"ledger {path}: lies on a network file system ({kind}), where SQLite loses data. "
            "Set RAYPIPE_LEDGER to a local path, or to postgresql+psycopg://HOST/DATABASE."
        )
    if path.is_dir():
        raise LedgerError(f"ledger {path}: is a folder, and a file is expected, such as {path / 'ledger.db'}")
    if there != path and not there.is_dir():
        raise LedgerError(f"ledger {path}: {there} is a file, not a folder")
    folder = path.parent if there == path else there
    if not os.access(there, os.R_OK | os.W_OK) or not os.access(folder, os.W_OK):
        raise LedgerError(f"ledger {path}: {folder} is not writable. RAYPIPE_LEDGER names another place.")
    if there == path and not _is_database(path):
        raise LedgerError(f"ledger {path}: is not a SQLite database. RAYPIPE_LEDGER names another place.")


def _is_database(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(16) in (b"", b"SQLite format 3\0")


def file_system(path: Path, mounts: str | None = None) -> str:
    """The type of the file system that holds `path`, by the kernel's list of mounts; empty where there is none (macOS)."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text()
        except OSError:
            return ""
    full = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split(" ")[4].encode().decode("unicode_escape")
        inside = full == point or full.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split(" ")[0]
    return kind


def engine(path: Path, *, writes: bool) -> Engine:
    """Connections that write, or cannot. They are kept: the last one that closes would checkpoint at every transaction.

    Each its own ones: a connection that is told which it is at each transaction plans all its statements anew.
    """
    arguments = {"timeout": DEADLINE_S, "check_same_thread": False, "cached_statements": STATEMENTS}
    made = create_engine(f"sqlite:///{path}", connect_args=arguments, max_overflow=THREADS)

    @event.listens_for(made, "connect")
    def settle(raw: Any, _: Any) -> None:
        raw.isolation_level = None  # Python's own BEGIN is deferred, and that met "database is locked" in 58 % of transactions
        for setting in (*SETTINGS, f"PRAGMA query_only={'OFF' if writes else 'ON'}"):
            raw.execute(setting)

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        run(connection, "BEGIN IMMEDIATE" if writes else "BEGIN")

    return made


@contextlib.contextmanager
def ticket(path: Path, deadline_s: float = DEADLINE_S) -> Iterator[None]:
    """A writer's turn. SQLite's own waiting is unfair: up to 6 s at eight writers, 0.3 s so. And two checkpoints at once, which it

    keeps apart, could corrupt the file before SQLite 3.51.3.
    """
    deadline = time.monotonic() + deadline_s
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise LedgerError(f"ledger {path}: cannot be locked: {(error.strerror or str(error)).lower()}") from None
    # Threads of one process line up before it: they are woken when it is their turn, where a file's lock has to be asked for.
    line = _line_at(path)
    is_first = line.acquire(timeout=deadline_s)
    try:
        _wait(descriptor, path, deadline)
        with contextlib.suppress(OSError):  # who waits in vain is told this pid; on a full disk it is not
            os.pwrite(descriptor, f"{os.getpid():<10}".encode(), 0)
        yield
    finally:
        os.close(descriptor)
        if is_first:
            line.release()


@cache
def _line_at(path: Path) -> threading.Lock:
    return threading.Lock()


def _wait(descriptor: int, path: Path, deadline: float) -> None:
    pause = 0.0005
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 10, 0).decode(errors="replace").strip()
                raise LedgerError(
                    f"ledger {path}: process {holder or 'unknown'} has held the write lock for longer than this one may wait. "
                    "If it is stopped (Ctrl-Z), continue or end it."
                ) from None
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def make(path: Path) -> None:
    """An empty database in WAL mode; called with the ticket held."""
    import sqlite3

    connection = sqlite3.connect(path, timeout=DEADLINE_S)
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
    finally:
        connection.close()
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
