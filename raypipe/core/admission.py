"""Who may take how much of a machine or a cluster at once: claims of runs, in the order in which they came.

On one machine a claim is a file that its process holds locked: the kernel lets go of it when the process ends, however it ends. Each user
has claims of their own, in files that no other can open: nobody else's lock makes a run wait, and nobody else's runs are counted. Runs on
several machines that share a cluster and a ledger have theirs in the ledger (`claims.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from raypipe.core.errors import ConfigError, Problem, TimedOut

POLL_S = 0.1
TURN_S = 30.0
"""Looking at the claims takes a millisecond: who holds them for so long is stopped."""
ROUNDING = 1e-6
"""Shares such as 0.1 GPUs add up to a little more than one."""

Amounts = Mapping[str, float]
"""Resource -> how much, by Ray's names: CPU, GPU, memory (bytes), and what a cluster names itself."""


@dataclass(frozen=True)
class Claim:
    """What somebody holds or waits for."""

    who: str
    """`step 'train' of run 2026...`."""
    amounts: Amounts
    holds: bool
    since: float
    pid: int
    host: str = ""
    """Of the process; empty of this machine's."""


Judge = Callable[[Sequence[Claim]], bool]
"""Whether there is room behind these claims."""


class Book(Protocol):
    """Where the claims on one place stand."""

    @property
    def poll_s(self) -> float:
        """Between two looks of one that waits."""
        ...

    def entered(self, who: str, needs: Amounts) -> AbstractContextManager[Callable[[Judge], Sequence[Claim]]]:
        """A claim that waits behind those that are there, for the length of the block.

        What it hands out lets the judge look at those that come before, while nobody changes anything, and holds where the judge says that
        there is room.
        """
        ...

    def claims(self) -> Sequence[Claim]:
        """Those of live processes, the oldest first."""
        ...


class Admission:
    """Of one place: this machine, or a cluster by its address. `book`: the files of this machine, unless it says another."""

    def __init__(self, place: str, totals: Amounts, book: Book | None = None):
        self.place, self.totals = place, totals
        self.book = book or Files(place)

    def refuse(self, where: str, needs: Amounts) -> None:
        """ConfigError where that much is never there."""
        over = [(name, amount) for name, amount in needs.items() if amount > self.totals.get(name, 0.0)]
        if over:
            what = "; ".join(f"asks for {_said(n, a)}, and there are {_said(n, self.totals.get(n, 0.0))} in all" for n, a in over)
            raise ConfigError([Problem(where, f"{what} ({self.place}).")])

    @contextlib.contextmanager
    def admitted(
        self,
        who: str,
        needs: Amounts,
        deadline_s: float | None,
        pause: Callable[[float], None],
        tell: Callable[[str], None],
        began: float | None = None,
    ) -> Iterator[None]:
        """Holds that much for the length of the block, after waiting its turn with `pause`; `tell` hears once who holds it now.

        TimedOut after the deadline, naming those. `began`: since when, by the monotonic clock, where that was before this call.
        """
        needs = {name: amount for name, amount in needs.items() if amount > 0}
        if not needs:
            yield
            return
        try:
            with self.book.entered(who, needs) as look:
                self._wait(look, needs, deadline_s, pause, tell, time.monotonic() if began is None else began)
                yield
        finally:
            _wake(self.place)

    def _wait(
        self,
        look: Callable[[Judge], Sequence[Claim]],
        needs: Amounts,
        deadline_s: float | None,
        pause: Callable[[float], None],
        tell: Callable[[str], None],
        began: float,
    ) -> None:
        def looked() -> Sequence[Claim]:
            """Those before it, where they leave no room."""
            before = look(lambda claims: self._has_room(claims, needs))
            return () if self._has_room(before, needs) else before

        told = False
        if not (before := looked()):
            return
        with _in_line(self.place) as wait:
            while before:
                is_over = deadline_s is not None and time.monotonic() - began > deadline_s
                if is_over or not told:
                    words = ", ".join(_said(n, a) for n, a in needs.items())
                    text, told = f"waits for {words} of {self.place}: {_holders(before)}", True
                    if is_over:
                        raise TimedOut(f"{text}. Its deadline of {deadline_s:g} s has passed.")
                    tell(text)
                wait(self.book.poll_s)
                pause(0.0)
                before = looked()

    def _has_room(self, before: Sequence[Claim], needs: Amounts) -> bool:
        taken = {n: sum(c.amounts.get(n, 0.0) for c in before) for n in needs}
        return all(taken[n] + amount <= self.totals.get(n, 0.0) + ROUNDING for n, amount in needs.items())


_waiting: dict[str, list[threading.Event]] = {}
"""Those of this process that wait at a place, in the order in which they came."""
_line = threading.Lock()


@contextlib.contextmanager
def _in_line(place: str) -> Iterator[Callable[[float], None]]:
    """Waits there, with a call that returns when it is time to look again: after so long for the first of this process, four times that
    for those behind it, and at once for the first where another of this process leaves."""
    mine = threading.Event()
    with _line:
        line = _waiting.setdefault(place, [])
        line.append(mine)

    def wait(seconds: float) -> None:
        mine.wait(seconds if line[0] is mine else 4 * seconds)
        mine.clear()

    try:
        yield wait
    finally:
        with _line:
            line.remove(mine)
        _wake(place)


def _wake(place: str) -> None:
    with _line:
        if line := _waiting.get(place):
            line[0].set()


class Files:
    """Claims of this user's runs on this machine."""

    poll_s = POLL_S

    def __init__(self, place: str, folder: Path | None = None):
        self.place = place
        # Not XDG_RUNTIME_DIR: a run of cron's has none, and would not see the others.
        own = Path(os.environ.get("RAYPIPE_RUNTIME") or Path(tempfile.gettempdir()) / f"raypipe-{os.getuid()}")
        self._root = folder or own
        self.folder = self._root / "admission" / re.sub(r"[^A-Za-z0-9.-]", "_", place)

    @contextlib.contextmanager
    def entered(self, who: str, needs: Amounts) -> Iterator[Callable[[Judge], Sequence[Claim]]]:
        mine, path, descriptor = self._enter(who, needs)

        def look(judge: Judge) -> Sequence[Claim]:
            with self._turn():
                others = [claim for other, claim in self._claims() if other != path.name]
                before = [c for c in others if c.holds or (c.since, c.who) < (mine.since, mine.who)]
                if judge(before):
                    _write(descriptor, replace(mine, holds=True))
                return before

        try:
            yield look
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def claims(self) -> Sequence[Claim]:
        with self._turn():
            return [claim for _, claim in self._claims()]

    def _enter(self, who: str, needs: Amounts) -> tuple[Claim, Path, int]:
        claim = Claim(who, needs, False, time.time(), os.getpid())
        with self._turn():
            path = self.folder / f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(3).hex()}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _write(descriptor, claim)
            except BaseException:
                path.unlink(missing_ok=True)
                os.close(descriptor)
                raise
        return claim, path, descriptor

    def _claims(self) -> list[tuple[str, Claim]]:
        """Files that nobody holds locked are of the dead, and go."""
        found = []
        for path in sorted(self.folder.glob("[0-9]*")):
            with contextlib.suppress(FileNotFoundError), path.open("r+b") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)
                except BlockingIOError:
                    with contextlib.suppress(ValueError, TypeError):  # a full disk took a part of it
                        found.append((path.name, Claim(**json.loads(stream.read()))))
        return found

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            self._make_folder()
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._take(descriptor)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            what = f"claims on {self.place} cannot be kept: {(error.strerror or str(error)).lower()}"
            raise ConfigError([Problem(str(self.folder), f"{what}. Set RAYPIPE_RUNTIME to a folder that is yours alone.")]) from error

    def _make_folder(self) -> None:
        """Refused where somebody else could have made it, or may enter it: a lock of theirs would stop every run."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = self._root.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
            raise PermissionError(0, f"{self._root} belongs to another user, or others may write to it")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _take(self, descriptor: int) -> None:
        until = time.monotonic() + TURN_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
                    what = f"process {holder or 'unknown'} has held {self.folder}/lock for {TURN_S:g} s"
                    raise TimedOut(f"{what}. If it is stopped (Ctrl-Z), continue it (kill -CONT) or end it.") from None
                time.sleep(0.002)
            else:
                os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)
                return


def _write(descriptor: int, claim: Claim) -> None:
    data = json.dumps({**claim.__dict__, "amounts": dict(claim.amounts)}).encode()
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))


def _holders(claims: Sequence[Claim]) -> str:
    if not claims:
        return "nobody holds any"
    return "; ".join(
        f"{c.who} ({_process(c)}) {'holds' if c.holds else 'waits for'} {', '.join(_said(n, a) for n, a in c.amounts.items())}"
        for c in claims
    )


def _process(claim: Claim) -> str:
    """With what to do where it is stopped: it holds on then until somebody does."""
    pid = claim.pid
    if claim.host:
        return f"process {pid} on {claim.host}"
    try:
        is_stopped = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        is_stopped = False
    return f"process {pid}, which is stopped: continue it with kill -CONT {pid}, or end it" if is_stopped else f"process {pid}"


def _said(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / 1e9:.1f} GB of memory"
    return f"{amount:g} {name}{'s' if name in ('CPU', 'GPU') and amount != 1 else ''}"
