"""Who may take how much of a machine or a cluster at once: claims of runs on this machine, in the order in which they came.

A claim is a file that its process holds locked: the kernel lets go of it when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raypipe.core.errors import ConfigError, Problem, TimedOut

POLL_S = 0.1

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


class Admission:
    """Of one place: this machine, or a cluster by its address."""

    def __init__(self, place: str, totals: Amounts, folder: Path | None = None):
        name = re.sub(r"[^A-Za-z0-9.-]", "_", place)
        self.place, self.totals = place, totals
        self.folder = (folder or Path(tempfile.gettempdir()) / f"raypipe-{os.getuid()}") / "admission" / name

    def refuse(self, where: str, needs: Amounts) -> None:
        """ConfigError where that much is never there."""
        over = [(name, amount) for name, amount in needs.items() if amount > self.totals.get(name, 0.0)]
        if over:
            what = "; ".join(f"asks for {_said(n, a)}, and there are {_said(n, self.totals.get(n, 0.0))} in all" for n, a in over)
            raise ConfigError([Problem(where, f"{what} ({self.place}).")])

    @contextlib.contextmanager
    def admitted(
        self, who: str, needs: Amounts, deadline_s: float | None, pause: Callable[[float], None], tell: Callable[[str], None]
    ) -> Iterator[None]:
        """Holds that much for the length of the block, after waiting its turn with `pause`; `tell` hears once who holds it now.

        TimedOut after the deadline, naming those.
        """
        needs = {name: amount for name, amount in needs.items() if amount > 0}
        if not needs:
            yield
            return
        path, descriptor = self._enter(who, needs)
        try:
            self._wait(path, descriptor, needs, deadline_s, pause, tell)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def claims(self) -> list[Claim]:
        """Those of live processes, the oldest first."""
        with self._turn():
            return [claim for _, claim in self._claims()]

    def _wait(
        self,
        path: Path,
        descriptor: int,
        needs: Amounts,
        deadline_s: float | None,
        pause: Callable[[float], None],
        tell: Callable[[str], None],
    ) -> None:
        began, told = time.monotonic(), False
        while True:
            with self._turn():
                others = [claim for other, claim in self._claims() if other != path.name]
                mine = next(claim for other, claim in self._claims() if other == path.name)
                before = [c for c in others if c.holds or (c.since, c.who) < (mine.since, mine.who)]
                if all(sum(c.amounts.get(n, 0.0) for c in before) + amount <= self.totals.get(n, 0.0) for n, amount in needs.items()):
                    _write(descriptor, Claim(mine.who, needs, True, mine.since, mine.pid))
                    return
            text = f"waits for {', '.join(_said(n, a) for n, a in needs.items())} of {self.place}: {_holders(before)}"
            if deadline_s is not None and time.monotonic() - began > deadline_s:
                raise TimedOut(f"{text}. Its deadline of {deadline_s:g} s has passed.")
            if not told:
                tell(text)
                told = True
            pause(POLL_S)

    def _enter(self, who: str, needs: Amounts) -> tuple[Path, int]:
        with self._turn():
            path = self.folder / f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(3).hex()}"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(descriptor, Claim(who, needs, False, time.time(), os.getpid()))
        return path, descriptor

    def _claims(self) -> list[tuple[str, Claim]]:
        """Files that nobody holds locked are of the dead, and go."""
        found = []
        for path in sorted(self.folder.glob("[0-9]*")):
            with contextlib.suppress(FileNotFoundError), path.open("r+b") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink(missing_ok=True)
                except BlockingIOError:
                    found.append((path.name, Claim(**json.loads(stream.read()))))
        return found

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def _write(descriptor: int, claim: Claim) -> None:
    data = json.dumps({**claim.__dict__, "amounts": dict(claim.amounts)}).encode()
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))


def _holders(claims: list[Claim]) -> str:
    if not claims:
        return "nobody holds any"
    return "; ".join(
        f"{c.who} (process {c.pid}) {'holds' if c.holds else 'waits for'} {', '.join(_said(n, a) for n, a in c.amounts.items())}"
        for c in claims
    )


def _said(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / 1e9:.1f} GB of memory"
    return f"{amount:g} {name}{'s' if name in ('CPU', 'GPU') and amount != 1 else ''}"
