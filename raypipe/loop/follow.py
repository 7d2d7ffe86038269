"""Following sources: batch after batch taken into their tables, until it is told to stop or, where asked, there is nothing left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raypipe.core.artifact import Artifact, Table
from raypipe.core.errors import ConfigError, Conflict, DataError, Fenced, LeaseHeld, LedgerLost, Problem, nearest
from raypipe.core.lease import Heartbeat, Lease
from raypipe.core.ledger import Record, Run, StepRecord
from raypipe.core.wording import counted
from raypipe.data.source.piece import Limit
from raypipe.loop import gauge as gauges
from raypipe.loop.gauge import Gauge
from raypipe.pipeline import fingerprint as prints
from raypipe.pipeline.attempt import leased, work_under
from raypipe.pipeline.build import build_step
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene
from raypipe.pipeline.redo import redone
from raypipe.pipeline.run import run_id
from raypipe.steps.ingest import Ingest

INGEST = "raypipe.steps.ingest.Ingest"
LEASE_WAIT_S = 0.5
"""Between two looks at a table that another one follows."""


@dataclass(frozen=True)
class Pace:
    """When a batch is full, whichever comes first, and how sources are asked."""

    num_rows: int = 200_000
    num_bytes: int = 128 << 20
    seconds: float = 5.0
    """After something new was seen, what there is is taken, however little."""
    poll_s: float = 0.5
    """Between two looks at a source that had nothing new."""
    tries: int = 8
    """Times in a row that a source may fail before the follower ends; it waits longer after each."""


@dataclass
class Follow:
    """What is followed and how."""

    pipeline: Pipeline
    scene: Scene
    names: Sequence[str]
    """Of steps; none: every Ingest."""
    pace: Pace = field(default_factory=Pace)
    forever: bool = True
    """Otherwise until nothing is left to take."""
    wait: bool = True
    """Wait for a table that another process follows; otherwise leave with LeaseHeld (exit 75)."""
    command: str = ""
    metrics: Path | None = None
    """A file that Prometheus' text is written to."""
    on_gauges: Callable[[Sequence[Gauge]], None] = lambda gauges: None
    report: Callable[[str, str], None] = lambda step, text: None
    """Told of what happens to a step, in words."""


def follow(what: Follow, stop: threading.Event) -> list[Gauge]:
    """Takes batches until `stop` is set: the batch in hand is committed, then it ends. One batch at a time is in memory.

    Raises what ends it otherwise: rows that break the contract, a source that fails again and again, a lost lease.
    """
    names = _chosen(what)
    ledger, run = what.scene.ledger, run_id()
    ledger.start_run(Run(run, what.pipeline.name, command=what.command))
    state, exit_code = "FAILED", 1
    try:
        with ExitStack() as stack:
            followers = [stack.enter_context(Follower(what, name, run)) for name in names]
            _leased(what, followers, stop)
            _turns(what, followers, stop)
        state, exit_code = "DONE", 0
        for follower in followers:
            follower.gauge.state = "has taken"
        return [follower.gauge for follower in followers]
    except BaseException as error:
        exit_code = getattr(error, "exit_code", 1)
        raise
    finally:
        ledger.end_run(run, state, exit_code)


class Follower:
    """One step's table on its way; it holds the right to follow it while it is entered."""

    def __init__(self, what: Follow, name: str, run: str):
        self.what, self.name, self.run = what, name, run
        self.node = what.pipeline.nodes[name]
        search = what.scene.search
        self.step: Ingest = build_step(self.node, search)
        self.own = prints.own_identity(self.node, search)
        self.look = what.scene.look(what.pipeline.name, name)
        self.table = self.step.table_of(self.look)
        self.gauge = Gauge(name, self.table)
        self._stack = ExitStack()
        self._lease: Lease | None = None
        self._heart: Heartbeat | None = None
        self._seen_at: float | None = None
        self._failed = 0
        self._not_before = 0.0

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.close()
        if self._lease:
            self.what.scene.ledger.release(self._lease)

    def lease(self) -> None:
        """LeaseHeld where another process follows the table."""
        self._lease = self.what.scene.ledger.claim(f"follow:{self.table}", self.run)
        self._heart = self._stack.enter_context(Heartbeat(self.what.scene.ledger, self._lease))

    def turn(self) -> bool:
        """Commits a batch where one is due. Whether it did, or another is due already."""
        if time.monotonic() < self._not_before:
            return False
        try:
            return self._turn()
        except (Conflict, Fenced, LeaseHeld):
            raise
        except (DataError, LedgerLost) as error:
            self._again_later(error)
            return False

    def is_idle(self) -> bool:
        """Whether there was nothing new when it was last looked."""
        return self._seen_at is None and not self._failed

    def _turn(self) -> bool:
        assert self._heart
        self._heart.check()
        pace = self.what.pace
        new = self.step.ahead(self.look, Limit(pace.num_rows, pace.num_bytes))
        if not self.step.is_news(new):
            self._seen_at, self.gauge.state, self.gauge.lag = None, "waits", new.lag
            return False
        self._seen_at = self._seen_at or time.monotonic()
        if self.what.forever and not new.more and time.monotonic() - self._seen_at < pace.seconds:
            return False
        self.gauge.state = "takes"
        artifact, lag = redone(self._batch, lambda text: self.what.report(self.name, text))
        self._seen_at, self._failed = None, 0
        self._told(artifact, lag)
        return True

    def _batch(self) -> tuple[Artifact, Any]:
        """A batch taken and published under a lease of its own: a run that takes from the same source meets it there."""
        ledger, pace = self.what.scene.ledger, self.what.pace
        with leased(ledger, f"ingest:{self.table}", self.run) as (lease, heart):
            work = work_under(lease, heart, self.look, self.run, inline=True, report=lambda text: self.what.report(self.name, text))
            taken = self.step.batch(work, Limit(pace.num_rows, pace.num_bytes), checks_files=self.gauge.num_batches == 0)
            heart.check()
            if taken.made.files:
                self.what.scene.store.sync(work.path)
            document = self._identity(taken.new.state)
            record = Record(
                kind=Table.__name__,
                pipeline=self.what.pipeline.name,
                step=self.name,
                run=self.run,
                fingerprint=prints.fingerprint(document),
                digest=taken.made.digest,
                path=work.path if taken.made.files else "",
                files=tuple(taken.made.files),
                schema=taken.made.schema,
                figures=taken.made.figures,
                identity=document,
            )
            return ledger.publish(lease, record, taken.made.commits, replace=True), taken.new.lag

    def _identity(self, state: Any) -> dict[str, Any]:
        """As a run has it: what a follower has taken is a HIT for a run that finds nothing newer."""
        own = self.own if self.what.scene.sample >= 1 else {**self.own, "sample": self.what.scene.sample}
        return prints.identity(own, {}, state)

    def _told(self, artifact: Artifact, lag: Any) -> None:
        figures = artifact.figures
        kept = figures["rows_sampled"] - figures["rows_dropped"]
        self.gauge.committed(kept, figures["records_quarantined"] + figures["files_quarantined"], figures["snapshot"], lag)
        why = f"{counted(self.gauge.num_batches, 'batch')}, {counted(self.gauge.num_rows, 'row')}"
        record = StepRecord(self.run, self.name, "RUN", why, artifact.id, rows=figures["num_rows"])
        self.what.scene.ledger.record_steps([record])

    def _again_later(self, error: DataError | LedgerLost) -> None:
        """A source that does not answer may do so later; what is wrong with the rows stays wrong, and ends it after some tries."""
        self._failed += 1
        self.gauge.num_retries += 1
        if self._failed >= self.what.pace.tries or not self.what.forever:
            raise error
        pause = min(60.0, self.what.pace.poll_s * 2**self._failed)
        self._not_before = time.monotonic() + pause
        self.gauge.state = "fails"
        first = str(error).splitlines()[0]
        self.what.report(self.name, f"{first} (tried {self._failed} of {self.what.pace.tries} times, again in {pause:.0f} s)")


def _chosen(what: Follow) -> list[str]:
    """The names of the steps. ConfigError for one that takes from no source."""
    ingests = [name for name, node in what.pipeline.nodes.items() if node.target == INGEST]
    wrong = [Problem(name, f"is no step that ingests.{nearest(name, ingests)}") for name in what.names if name not in ingests]
    if wrong or not ingests:
        raise ConfigError(wrong or "the pipeline has no step that ingests")
    return list(dict.fromkeys(what.names)) or ingests


def _leased(what: Follow, followers: Sequence[Follower], stop: threading.Event) -> None:
    """The right to follow each table, one follower at a time."""
    for follower in followers:
        told = False
        while not stop.is_set():
            try:
                follower.lease()
                break
            except LeaseHeld as held:
                if not what.wait:
                    raise
                if not told:
                    what.report(follower.name, str(held))
                told = True
            stop.wait(LEASE_WAIT_S)


def _turns(what: Follow, followers: Sequence[Follower], stop: threading.Event) -> None:
    while not stop.is_set():
        busy = [follower.turn() for follower in followers]
        what.on_gauges([follower.gauge for follower in followers])
        if what.metrics:
            gauges.write(what.metrics, [follower.gauge for follower in followers])
        if any(busy):
            continue
        if not what.forever and all(follower.is_idle() for follower in followers):
            return
        stop.wait(what.pace.poll_s if what.forever else 0.0)
