"""The ledger: the record of runs, steps, artifacts and leases, outside Ray, each row under a project."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

from sqlalchemy import Connection, insert

from raypipe.core import documents, logs, records, runs, schema
from raypipe.core import lease as leases
from raypipe.core.artifact import Artifact, Json
from raypipe.core.database import PATIENCE_S, PAUSE_S, Database
from raypipe.core.errors import LedgerError, LedgerLost
from raypipe.core.lease import Lease
from raypipe.core.logs import Entry
from raypipe.core.migrate import migrate
from raypipe.core.records import Record
from raypipe.core.runs import Run, Spent, StepRecord
from raypipe.core.statement import Statement
from raypipe.core.step import DIGEST, Commit

__all__ = ["Ledger", "Record", "Run", "StepRecord"]

READ_BACK_S = 15.0
"""How long a server that broke off in the middle of a commit is given to come back and say what became of it."""

_NOTE = Statement(insert(schema.events))

P = ParamSpec("P")
T = TypeVar("T")


def again(call: Callable[P, T]) -> Callable[P, T]:
    """What may be done twice is done again where the server broke off in the middle of it."""

    @functools.wraps(call)
    def patient(*args: P.args, **more: P.kwargs) -> T:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return call(*args, **more)
            except LedgerLost:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_S)

    return patient


class Ledger:
    """One project's view of the database at `url`."""

    def __init__(self, url: str, project: str, database: Database):
        self.url, self.project = url, project
        self._database = database

    @classmethod
    def open(cls, url: str, project: str, clock: Callable[[], float] | None = None) -> Ledger:
        """`sqlite:///PATH` or `postgresql+psycopg://HOST/DATABASE`; its tables are made where there are none. LedgerError in one line.

        `clock` stands in for the host's (SQLite) or the server's in tests.
        """
        return cls(url, project, Database.open(url, clock))

    @classmethod
    def migrate(cls, url: str) -> tuple[int, int]:
        """A ledger of an older version brought up to this one's; its version before and after. Nobody else may use it meanwhile."""
        database = Database.of(url)
        try:
            if database.path and not database.path.exists():
                raise LedgerError(f"ledger {database.name}: there is none")
            with database.writing() as connection:
                return migrate(connection)
        finally:
            database.close()

    @property
    def where(self) -> str:
        """Where it lies, for people: the file, or the URL without its password."""
        return self._database.name

    def reading(self) -> AbstractContextManager[Connection]:
        """A view that does not move while it is read."""
        return self._database.reading()

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction, committed at the end of the block. Short: others wait."""
        return self._database.writing()

    def now(self, connection: Connection) -> float:
        """Seconds since 1970 by the clock that all who share the ledger see."""
        return self._database.now(connection)

    def close(self) -> None:
        self._database.close()

    # runs and their steps

    def start_run(self, run: Run, kept: Mapping[str, Json] | None = None, steps: Sequence[StepRecord] = ()) -> None:
        """`kept`: what it runs with, by name (pipeline, code, environment): each is written once, however many runs it serves. `steps`:
        what a run found that is over already, since nothing was to do."""
        again(self._start_run)(run, kept, steps, [])

    def _start_run(self, run: Run, kept: Mapping[str, Json] | None, steps: Sequence[StepRecord], tried: list[str]) -> None:
        with self.writing() as connection:
            if tried and runs.find(connection, self.project, run.id, self.one_host) is not None:
                return
            tried.append(run.id)
            if kept is not None:
                parts = {name: documents.keep(connection, self.project, part) for name, part in kept.items()}
                run = dataclasses.replace(run, kept=documents.keep(connection, self.project, parts))
            runs.start(connection, self.project, run)
            if steps:
                runs.record(connection, self.project, steps)

    @again
    def kept(self, run: Run) -> dict[str, Json]:
        """What that run ran with, by name; empty where it had nothing to do, or was recorded by a raypipe that kept nothing."""
        with self.reading() as connection:
            parts = documents.find(connection, self.project, run.kept) if run.kept else None
            return {name: documents.find(connection, self.project, digest) for name, digest in (parts or {}).items()}

    @again
    def end_run(self, run_id: str, state: str, exit_code: int) -> None:
        with self.writing() as connection:
            runs.end(connection, self.project, run_id, state, exit_code)

    @again
    def record_steps(self, records: Sequence[StepRecord]) -> None:
        """Steps of one run; the last record of a step replaces the one before."""
        with self.writing() as connection:
            runs.record(connection, self.project, records)

    @again
    def runs(self, limit: int = 20) -> list[Run]:
        """Newest first; one whose process is gone shows as INTERRUPTED."""
        with self.reading() as connection:
            return runs.latest(connection, self.project, limit, self.one_host)

    @again
    def run(self, run_id: str) -> Run | None:
        """That run, by its whole name."""
        with self.reading() as connection:
            return runs.find(connection, self.project, run_id, self.one_host)

    @again
    def spent(self, run_ids: Sequence[str]) -> dict[str, Spent]:
        """By run: what it cost, and what its HITs spared it."""
        with self.reading() as connection:
            return runs.spent(connection, self.project, run_ids)

    @again
    def steps(self, run_id: str) -> list[StepRecord]:
        with self.reading() as connection:
            return runs.steps_of(connection, self.project, run_id)

    def log(self, entries: Sequence[Entry]) -> None:
        """What was said in a run, in this order."""
        with self.writing() as connection:
            logs.write(connection, self.project, entries)

    @again
    def logs(self, run_id: str, step: str | None = None, after: int = 0) -> list[Entry]:
        """What was said in that run, of one step or of all, behind the entry numbered `after`."""
        with self.reading() as connection:
            return logs.read(connection, self.project, run_id, step, after)

    # artifacts

    @again
    def find(self, fingerprint: str) -> Artifact | None:
        """The live artifact of that fingerprint."""
        with self.reading() as connection:
            return records.live(connection, self.project, fingerprint)

    @again
    def find_all(self, fingerprints: Iterable[str]) -> dict[str, Artifact]:
        with self.reading() as connection:
            return records.all_live(connection, self.project, fingerprints)

    @again
    def nearest(self, pipeline: str, step: str) -> tuple[Artifact, Json] | None:
        """The newest artifact of that step, superseded or not, with its identity document: what a plan compares with."""
        with self.reading() as connection:
            return records.nearest(connection, self.project, pipeline, step)

    @again
    def find_or_nearest(self, fingerprint: str, pipeline: str, step: str) -> tuple[Artifact | None, tuple[Artifact, Json] | None]:
        """The live artifact of that fingerprint; where there is none, what is nearest to it."""
        with self.reading() as connection:
            found = records.live(connection, self.project, fingerprint)
            return found, None if found else records.nearest(connection, self.project, pipeline, step)

    @again
    def identities(self, pipeline: str, step: str, limit: int) -> list[Json]:
        """The identity documents of the step's newest live artifacts."""
        with self.reading() as connection:
            return records.identities(connection, self.project, pipeline, step, limit)

    @again
    def identity(self, id: str) -> Json:
        """The document whose canonical sha256 is the artifact's fingerprint."""
        with self.reading() as connection:
            return records.identity_of(connection, self.project, id)

    @again
    def artifact(self, id: str) -> Artifact | None:
        with self.reading() as connection:
            return records.by_id(connection, self.project, id)

    @again
    def by_digest(self, kind: str, digest: str) -> Artifact | None:
        with self.reading() as connection:
            return records.by_digest(connection, self.project, kind, digest)

    @again
    def parents(self, id: str) -> list[Artifact]:
        """What it was made from, in the order of the step's inputs."""
        with self.reading() as connection:
            return records.parents_of(connection, self.project, id)

    @again
    def children(self, id: str, kind: str) -> list[Artifact]:
        """The live artifacts of a kind that were made from this one, the oldest first."""
        with self.reading() as connection:
            return records.children_of(connection, self.project, id, kind)

    # leases and publishing

    @again
    def holder(self, key: str) -> tuple[str, str] | None:
        """The run that holds a lease and a sentence that says who it is; None where nobody alive does."""
        with self.reading() as connection:
            return leases.holder(connection, self.project, key, self._database.now(connection), self.one_host)

    def claim(self, key: str, run: str, ttl_s: float = 30) -> Lease:
        """LeaseHeld while a live process holds it. A dead one on this host is seen at once, one elsewhere after its time to live."""
        return again(self._claim)(key, run, ttl_s, [])

    def _claim(self, key: str, run: str, ttl_s: float, unsure: list[float]) -> Lease:
        with self.writing() as connection:
            now = self._database.now(connection)
            lease = leases.claim(connection, self.project, key, run, ttl_s, now, self.one_host, unsure)
            unsure.append(now)
            there = records.live(connection, self.project, key)
        return dataclasses.replace(lease, made=there.id) if there else lease

    @again
    def beat(self, lease: Lease) -> None:
        with self.writing() as connection:
            leases.beat(connection, self.project, lease, self._database.now(connection))

    @again
    def release(self, lease: Lease) -> None:
        with self.writing() as connection:
            leases.release(connection, self.project, lease, self._database.now(connection))

    def publish(self, lease: Lease, record: Record, commits: Sequence[Commit] = (), *, replace: bool = False) -> Artifact:
        """Makes the artifact exist, with all else the step made, in one transaction that gives the lease back. Fenced if it was lost.

        Where a live artifact of that fingerprint is there already, that one is returned and `commits` are not run, unless
        `replace` says that its bytes or its effect are lost: then it is superseded. Files must be durable before this is called.
        """
        artifact_id = uuid.uuid4().hex
        deadline = time.monotonic() + lease.ttl_s
        while True:
            try:
                with self.writing() as connection:
                    return self._publish(connection, lease, record, commits, replace, artifact_id)
            except LedgerError as error:
                if made := self._read_back(lease, artifact_id, error):
                    return made
                if not isinstance(error, LedgerLost) or time.monotonic() > deadline:
                    raise LedgerError(f"{error} {record.pipeline}.{record.step} was not published; its files are kept.") from error
                time.sleep(PAUSE_S)

    def _publish(
        self, connection: Connection, lease: Lease, record: Record, commits: Sequence[Commit], replace: bool, artifact_id: str
    ) -> Artifact:
        leases.fence(connection, self.project, lease)
        there = records.live(connection, self.project, record.fingerprint)
        if there is None or replace:
            if there is not None:
                records.supersede(connection, self.project, record.fingerprint)
            figures = dict(record.figures)
            for commit in commits:
                figures |= commit(connection, artifact_id) or {}
            record = dataclasses.replace(record, digest=figures.pop(DIGEST, record.digest))
            there = records.add(connection, self.project, record, artifact_id, figures, lease.token)
            detail = {"artifact": artifact_id, "kind": record.kind, "step": f"{record.pipeline}.{record.step}", "run": record.run}
            self.note(connection, "published", detail)
        leases.release(connection, self.project, lease, self._database.now(connection))
        return there

    def _read_back(self, lease: Lease, artifact_id: str, error: LedgerError) -> Artifact | None:
        """What became of a commit whose outcome is unknown: the lock on the lease waits for the old transaction's end."""
        deadline = time.monotonic() + READ_BACK_S
        while True:
            with contextlib.suppress(LedgerError), self.writing() as connection:
                leases.lock(connection, self.project, lease.key)
                return records.by_id(connection, self.project, artifact_id)
            if time.monotonic() > deadline:
                raise LedgerError(
                    f"{error} Whether it was published is not known; nothing was deleted, and the next run will see."
                ) from error
            time.sleep(0.5)

    def note(self, connection: Connection, what: str, detail: Json) -> None:
        """An entry of the audit trail, in the caller's transaction."""
        values = {"project": self.project, "at": runs.now_utc(), "who": runs.who(), "what": what, "detail": detail}
        _NOTE.on(connection, values)

    @property
    def one_host(self) -> bool:
        """A SQLite file lies on a local disk: all who use it are processes of this machine."""
        return self._database.path is not None
