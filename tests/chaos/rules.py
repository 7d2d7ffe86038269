"""What must hold of the ledger and the store after every commit, whoever made it, and at the end."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from raypipe.core.errors import StoreError
from raypipe.core.lease import Lease, Owner
from raypipe.core.ledger import Ledger
from raypipe.core.store import Store
from tests.chaos.disk import Disk


class Violation(AssertionError):
    """A rule is broken."""


@dataclass
class Process:
    """A simulated one."""

    run: str
    owner: Owner
    is_alive: bool = True
    stopped_until: float = 0.0
    """By the monotonic clock: until then it gets no turn, as after a SIGSTOP."""
    num_fenced: int = 0
    waited: str = ""
    """For whom, at last."""


@dataclass
class Held:
    """A lease as the ledger last showed it."""

    token: int
    run: str
    claimed_at: float
    beaten_at: float | None
    released_at: float | None
    sign_at: float = field(default=0.0, compare=False)
    """The last sign of its holder's life, by the monotonic clock."""


class Rules:
    """Watches one ledger and one disk."""

    def __init__(self, raw: sqlite3.Connection, disk: Disk, clock: Callable[[], float], ttl_s: float):
        self.processes: dict[str, Process] = {}
        self._raw, self._disk, self._clock, self._ttl_s = raw, disk, clock, ttl_s
        self._held: dict[str, Held] = {}
        self._artifacts: dict[str, tuple[str, str, int]] = {}
        """Id -> key, run and token."""
        self._acknowledged: list[str] = []
        self._jumped_at = float("-inf")

    def jumped(self) -> None:
        """The clock was set: until the next sign of life, nobody can be sure of a lease."""
        self._jumped_at = self._clock()

    def acknowledged(self, artifact: str) -> None:
        self._acknowledged.append(artifact)

    def not_published(self, process: Process, key: str, token: int) -> None:
        """A process was told so."""
        if (key, process.run, token) in self._artifacts.values():
            raise Violation(f"{process.run} was told that {key} was not published, and it was")

    def beaten(self, lease: Lease, at: float) -> None:
        """A sign of life was taken, as its holder was told."""
        held = self._held[lease.key]
        if held.token == lease.token:
            held.sign_at = max(held.sign_at, at)

    def lost_bytes(self, lease: Lease, error: StoreError) -> None:
        """Bytes are taken away from an attempt only once its lease was."""
        held = self._held[lease.key]
        if held.token == lease.token and held.released_at is None:
            raise Violation(f"{lease.key}: {lease.run} holds the lease, and its files are gone: {error}")

    def hold(self, actor: Process | None) -> None:
        """After each commit; `actor` is the process that made it."""
        found = {
            row[0]: Held(*row[1:])
            for row in self._raw.execute("select key, token, run, claimed_at, beaten_at, released_at from raypipe_leases")
        }
        self._hold_artifacts(actor)
        for key, now in found.items():
            before = self._held.get(key)
            now.sign_at = before.sign_at if before == now and before else self._clock()
            if before is not None and before != now:
                self._hold_lease(key, before, now, actor)
        self._held = found

    def _hold_lease(self, key: str, before: Held, now: Held, actor: Process | None) -> None:
        who = actor.run if actor else "nobody"
        if now.token < before.token or (now.token == before.token and (now.run, now.claimed_at) != (before.run, before.claimed_at)):
            raise Violation(f"{key}: token {now.token} of {now.run} after token {before.token} of {before.run}")
        if now.token == before.token and now.beaten_at != before.beaten_at and who != now.run:
            raise Violation(f"{key}: {who} gave a sign of life for {now.run}")
        ended = now.token != before.token or now.released_at is not None
        if ended and before.released_at is None and who != before.run and before.run and not self._is_over(before):
            raise Violation(f"{key}: {who} ended the lease of {before.run}, which lives")

    def _is_over(self, held: Held) -> bool:
        """Whether a holder may be thought dead."""
        late = self._clock() - held.sign_at >= self._ttl_s - 0.01
        return late or not self.processes[held.run].is_alive or self._jumped_at >= held.sign_at

    def _hold_artifacts(self, actor: Process | None) -> None:
        rows = self._raw.execute("select id, fingerprint, run, token, superseded_at, files from raypipe_artifacts").fetchall()
        versions = dict(self._raw.execute("select artifact_id, version from raypipe_model_versions").fetchall())
        for id, key, run, token, superseded_at, files in rows:
            if superseded_at is not None:
                raise Violation(f"{key}: {run}'s artifact was superseded, and nobody asked for that")
            if id not in self._artifacts:
                self._artifacts[id] = (key, run, token)
                self._hold_new(key, run, token, actor)
            for path, _, sha256 in json.loads(files):
                if (left := self._disk.durable(path)) is None or hashlib.sha256(left).hexdigest() != sha256:
                    raise Violation(f"{key}: a power cut now would leave of {path} {left if left is None else len(left)}")
        if lost := self._artifacts.keys() - {row[0] for row in rows}:
            raise Violation(f"artifacts are gone: {lost}")
        if versions.keys() != self._artifacts.keys() or sorted(versions.values()) != list(range(1, len(versions) + 1)):
            raise Violation(f"{len(rows)} artifacts have the versions {sorted(versions.values())}")

    def _hold_new(self, key: str, run: str, token: int, actor: Process | None) -> None:
        held = self._held.get(key)
        if actor is None or run != actor.run or held is None or (held.token, held.run) != (token, run) or held.released_at is not None:
            raise Violation(f"{key}: {run} published with token {token}, and the lease is {held}")

    def end(self, store: Store, ledger: Ledger, keys: Iterable[str]) -> None:
        """Everything is made once, what was acknowledged is there, and what is there can be read."""
        made = ledger.find_all(keys)
        if sorted(key for key, *_ in self._artifacts.values()) != sorted(made) or set(made) != set(keys):
            raise Violation(f"made: {sorted(made)}, recorded: {sorted(self._artifacts.values())}")
        if missing := set(self._acknowledged) - {artifact.id for artifact in made.values()}:
            raise Violation(f"acknowledged and not there: {missing}")
        for artifact in made.values():
            for file in artifact.files:
                store.read(file)
