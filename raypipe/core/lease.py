"""A lease: the right to make one thing, with a token that rises at each claim, so that what an older holder writes is refused."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Row, bindparam, select, text, update

from raypipe.core.errors import Fenced, LeaseHeld, LedgerError
from raypipe.core.schema import leases
from raypipe.core.statement import Statement


@dataclass(frozen=True)
class Owner:
    """A process, told apart from every other one that ever ran: a pid alone is given out again."""

    host: str
    boot: str
    """The kernel's id of this boot; empty on systems that have none."""
    pids: int
    """The pid namespace: two containers on one host do not see each other's processes."""
    pid: int
    started: str
    """When the process started, in the kernel's ticks since boot."""

    @classmethod
    def here(cls) -> Owner:
        return _this(os.getpid())

    def is_dead(self, here: Owner, one_host: bool = False) -> bool:
        """True only where it is certain. `one_host`: the ledger is a local file, so that another boot means this machine was restarted."""
        known = bool(self.boot and here.boot)
        if self.boot != here.boot:
            return one_host and known
        if self.host != here.host and not (one_host and known):  # a laptop's name changes with its network; a server's clients are many
            return False
        if self.pids != here.pids:
            return False
        started = _started(self.pid)
        return started is None or started != self.started


@lru_cache(maxsize=1)
def _this(pid: int) -> Owner:
    """Read once: four files of the kernel's cost as much as a claim's statements."""
    return Owner(os.uname().nodename, _read("/proc/sys/kernel/random/boot_id"), _pid_namespace(), pid, _started(pid) or "")


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _started(pid: int) -> str | None:
    """The start time of a process, empty where the system does not tell; None when it is gone, or is dead and only not yet reaped."""
    line = _read(f"/proc/{pid}/stat")
    if line:
        fields = line.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


@dataclass(frozen=True)
class Lease:
    """What `claim` hands out and `publish` asks for."""

    key: str
    token: int
    run: str
    ttl_s: float
    made: str = ""
    """The live artifact of that key as it was when the lease was claimed; empty where there was none."""


_OURS = leases.c.project == bindparam("of_project"), leases.c.key == bindparam("of_key")
_HELD = *_OURS, leases.c.token == bindparam("of_token"), leases.c.released_at.is_(None)
_FIND, _LOCK = Statement(select(leases).where(*_OURS)), Statement(select(leases).where(*_OURS).with_for_update())
_TOKEN = Statement(select(leases.c.token).where(*_OURS))
_ADD = Statement(text("insert into raypipe_leases (project, key) values (:of_project, :of_key) on conflict do nothing"))
_TAKE = Statement(update(leases).where(*_OURS))
_BEAT = Statement(update(leases).where(*_HELD).values(beaten_at=bindparam("now")))
_RELEASE = Statement(update(leases).where(*_HELD).values(released_at=bindparam("now")))


def claim(
    connection: Connection, project: str, key: str, run: str, ttl_s: float, now: float, one_host: bool, unsure: Collection[float] = ()
) -> Lease:
    """Raises the token by one and makes this process the holder; LeaseHeld where a live one is.

    `unsure`: when this very claim was made before, and nobody knows what became of it.
    """
    _ADD.on(connection, _is(project, key))
    row = lock(connection, project, key)
    if row.run == run and row.released_at is None and row.claimed_at in unsure and Owner(**row.owner) == Owner.here():
        return Lease(key, row.token, run, ttl_s)
    if held := _alive(key, row, now, one_host):
        raise LeaseHeld(held)
    token = row.token + 1
    values = {"token": token, "run": run, "owner": dataclasses.asdict(Owner.here()), "ttl_s": ttl_s, "claimed_at": now}
    _TAKE.on(connection, {**_is(project, key), **values, "beaten_at": None, "released_at": None})
    return Lease(key, token, run, ttl_s)


def holder(connection: Connection, project: str, key: str, now: float, one_host: bool) -> tuple[str, str] | None:
    """The run of the live holder and the sentence that names it; None where nobody holds the lease."""
    row = _FIND.on(connection, _is(project, key)).one_or_none()
    held = _alive(key, row, now, one_host) if row is not None else ""
    return (row.run, held) if row is not None and held else None


def _alive(key: str, row: Row | Any, now: float, one_host: bool) -> str:
    """Who holds the lease, as a sentence; empty where nobody alive does."""
    if not is_alive(row, now, one_host):
        return ""
    return _who_holds(key, row, Owner(**row.owner), now, _last(row))


def is_alive(row: Row | Any, now: float, one_host: bool) -> bool:
    """Whether somebody alive holds that lease."""
    if row.owner is None or row.released_at is not None:
        return False
    # A clock that was set back must not keep a lease for ever, hence the distance either way. The token alone keeps it correct.
    return abs(now - _last(row)) < row.ttl_s and not Owner(**row.owner).is_dead(Owner.here(), one_host)


def _last(row: Row | Any) -> float:
    """The last sign of life."""
    return row.claimed_at if row.beaten_at is None else row.beaten_at


def fence(connection: Connection, project: str, lease: Lease) -> None:
    """Fenced unless this lease still holds. On PostgreSQL the row stays locked until the transaction ends."""
    row = lock(connection, project, lease.key)
    if row is None or row.token != lease.token or row.released_at is not None:
        raise Fenced(_fenced(lease, row.token if row else 0))


def beat(connection: Connection, project: str, lease: Lease, now: float) -> None:
    """Says that the holder lives; Fenced where it no longer holds."""
    beaten = _BEAT.on(connection, {**_is(project, lease.key), "of_token": lease.token, "now": now})
    if beaten.rowcount == 0:
        token = _TOKEN.on(connection, _is(project, lease.key)).scalar_one_or_none()
        raise Fenced(_fenced(lease, token or 0))


def release(connection: Connection, project: str, lease: Lease, now: float) -> None:
    """Gives it back; nothing happens where another holds it by now."""
    _RELEASE.on(connection, {**_is(project, lease.key), "of_token": lease.token, "now": now})


def lock(connection: Connection, project: str, key: str) -> Row | Any:
    """The lease's row, or None; on PostgreSQL it stays locked until the transaction ends."""
    return _LOCK.on(connection, _is(project, key)).one_or_none()


def _is(project: str, key: str) -> dict[str, Any]:
    return {"of_project": project, "of_key": key}


_FINGERPRINT = re.compile("[0-9a-f]{64}")


def _who_holds(key: str, row: Row | Any, owner: Owner, now: float, last: float) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.claimed_at))
    named = "" if _FINGERPRINT.fullmatch(key) else f"{key}: "  # which step that is, its caller knows
    return (
        f"{named}run {row.run} is making it, process {owner.pid} on {owner.host}, since {since} "
        f"(last sign of life {max(now - last, 0):.0f} s ago). Wait for it, or end that process."
    )


def _fenced(lease: Lease, token: int) -> str:
    if token == lease.token:
        return f"{lease.key[:16]}: run {lease.run} gave this lease back already; what it makes now is not published."
    return (
        f"{lease.key[:16]}: run {lease.run} lost its lease (token {lease.token}; another process holds token {token}). "
        "What this one made is not published; the other one makes it."
    )


LATER_S = 1.0
"""After so long a lease gets a thread that beats for it, sooner where it lives for less than six times that."""


class Beats(Protocol):
    def beat(self, lease: Lease) -> None: ...


class Heartbeat:
    """A thread that says every third of the time to live that the holder lives. `check()` tells the work when to stop.

    It starts when the lease has been held for a while: most steps are done before, and a thread costs as much as their claim.
    """

    def __init__(self, ledger: Beats, lease: Lease, clock: Callable[[], float] = time.monotonic):
        self._ledger, self._lease, self._clock = ledger, lease, clock
        self.given_back = False
        """Whether the lease was given back with what was published: then nobody need do it again."""
        self._last = clock()
        self._lost: Fenced | None = None
        self._stopped, self._starting = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Heartbeat:
        _starter(os.getpid()).add(self, min(LATER_S, self._lease.ttl_s / 6))
        return self

    def __exit__(self, *_: object) -> None:
        with self._starting:
            self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=self._lease.ttl_s)

    def start(self) -> None:
        """Beats from here on, unless the lease was given back meanwhile."""
        with self._starting:
            if not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name=f"heartbeat {self._lease.key[:8]}", daemon=True)
                self._thread.start()

    def check(self) -> None:
        """Fenced when the lease was lost, or when it could not be renewed for its time to live: another may hold it by now."""
        if self._lost is None and self._clock() - self._last > self._lease.ttl_s:
            self._lost = Fenced(
                f"{self._lease.key[:16]}: run {self._lease.run} could not renew its lease for {self._lease.ttl_s:g} s "
                "(the ledger did not answer, or this process was stopped), so that another may hold it by now."
            )
        if self._lost:
            raise self._lost

    def beat(self) -> None:
        """One sign of life; a ledger that does not answer is asked again soon."""
        began = self._clock()
        try:
            self._ledger.beat(self._lease)
            self._last = began
        except Fenced as lost:
            self._lost = lost
        except LedgerError:
            pass

    def _run(self) -> None:
        pause = max(0.0, self._lease.ttl_s / 3 - (self._clock() - self._last))
        while not self._stopped.wait(pause) and self._lost is None:
            self.beat()
            pause = self._lease.ttl_s / (3 if self._clock() - self._last < self._lease.ttl_s / 3 else 15)


class _Starter:
    """The thread that starts those of leases that are still held. It waits for nothing but the time."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Heartbeat]] = []
        self._count = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, name="leases", daemon=True).start()

    def add(self, heartbeat: Heartbeat, after_s: float) -> None:
        entry = (time.monotonic() + after_s, next(self._count), heartbeat)
        with self._changed:
            heapq.heappush(self._waiting, entry)
            if self._waiting[0] is entry:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            heartbeat = self._next()
            try:
                heartbeat.start()
            except RuntimeError:  # no more threads at the moment; where that lasts, `check` ends the work
                self.add(heartbeat, LATER_S)

    def _next(self) -> Heartbeat:
        """The one whose time has come."""
        with self._changed:
            while True:
                pause = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if pause is not None and pause <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(pause)


@lru_cache(maxsize=1)
def _starter(pid: int) -> _Starter:
    """This process's: a thread is not there in one that was forked off."""
    return _Starter()
