"""One step brought about: looked up, leased, run as often as its execution says, and published; all of it in one thread."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from raypipe.code.shape import shape
from raypipe.core import runs
from raypipe.core.admission import Admission, Book, Files
from raypipe.core.artifact import KINDS, Artifact
from raypipe.core.claims import Rows
from raypipe.core.cluster import Attach, Debug, Session, totals
from raypipe.core.errors import LeaseHeld, RaypipeError, StepFailed
from raypipe.core.frame import is_end, trace, users_frame
from raypipe.core.lease import Heartbeat, Lease
from raypipe.core.ledger import Record, StepRecord
from raypipe.core.meter import Cost, measured
from raypipe.core.output import heard
from raypipe.core.placement import placed
from raypipe.core.secret import masked
from raypipe.core.step import Commit, Made, Work
from raypipe.core.transient import is_transient
from raypipe.pipeline.attempt import leased, work_under
from raypipe.pipeline.build import build_step, defines
from raypipe.pipeline.edge import output_kind
from raypipe.pipeline.execution import Execution
from raypipe.pipeline.interrupt import Interrupt
from raypipe.pipeline.journal import Journal
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.options import Options, StepEvent
from raypipe.pipeline.plan import PlannedStep, Scene, plan_step
from raypipe.pipeline.redo import redone

WAIT_S = 0.5
"""Between two looks at a step that another run is making."""

LONGEST_BACKOFF_S = 600.0


class Making:
    """What a thread does for one step. `interrupt` ends it from outside; `try_until` says when its try is to be over."""

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        scene: Scene,
        options: Options,
        run: str,
        connected: Callable[[], Session],
        tell: Callable[[StepEvent], None],
        journal: Journal,
    ):
        self.name, self.pipeline, self.scene, self.options, self.run = name, pipeline, scene, options, run
        self.connected, self.tell, self.journal = connected, tell, journal
        self.node = pipeline.nodes[name]
        self.execution = pipeline.execution.get(name, Execution())
        self.interrupt = Interrupt()
        self.began = time.monotonic()
        self.try_until: float | None = None
        """By the monotonic clock; None where the try may take any time, or none is at work."""
        self.lease: Lease | None = None
        self.num_tries = 0
        self.cost = Cost()
        """Of all tries."""
        self.recorded = False
        """Whether the ledger has the step's record already."""

    def made(self, upstream: Mapping[str, PlannedStep]) -> PlannedStep:
        """The step, done. Raises RaypipeError: what its last try failed with, or what it was ended with."""
        told = False
        while True:
            planned = self._planned(upstream)
            if planned.state in ("HIT", "SKIP") or planned.identity is None:
                return planned
            try:
                return self._leased(planned, upstream)
            except LeaseHeld as held:
                if not self.options.wait:
                    raise LeaseHeld(f"step '{self.name}': {held}") from held
                if not told:
                    self.tell(StepEvent(self.name, "waiting", "BLOCKED", str(held)))
                told = True
                self.interrupt.wait(WAIT_S)

    def _planned(self, upstream: Mapping[str, PlannedStep]) -> PlannedStep:
        """Whether another run makes it at the moment is what the claim finds out."""
        return plan_step(self.pipeline, self.name, upstream, self.scene, True, self.options.chosen)

    def _leased(self, planned: PlannedStep, upstream: Mapping[str, PlannedStep]) -> PlannedStep:
        assert planned.fingerprint is not None
        with leased(self.scene.ledger, planned.fingerprint, self.run) as (lease, heartbeat):
            self.lease = lease
            again = planned
            if lease.made != (planned.artifact.id if planned.artifact else ""):
                # Another run has published between the plan and the claim.
                again = self._planned(upstream)
            if again.state == "HIT":
                return again
            self.tell(StepEvent(self.name, "started", again.state, again.why))
            inputs = {edge: upstream[ref].artifact for edge, ref in self.node.refs.items() if ref and upstream[ref].ready}
            artifact = self._tried(lambda: self._attempt(again, lease, heartbeat, inputs))
        return replace(again, artifact=artifact, made=True, why=self._why(again), cost=self.cost)

    def _tried(self, attempt: Callable[[], Artifact]) -> Artifact:
        """What `attempt` makes, after as many tries as the execution allows where the errors are of a kind that may be gone."""
        while True:
            self.num_tries += 1
            try:
                return redone(attempt, self._progress)
            except RaypipeError as error:
                if self.num_tries > self.execution.retries or not is_transient(error):
                    raise
                self._again_after(error)

    def _again_after(self, error: RaypipeError) -> None:
        """Says and records what a try failed with, and waits; half of the wait is left to chance, so that not all come back at once."""
        pause = min(self.execution.backoff_s * 2 ** (self.num_tries - 1), LONGEST_BACKOFF_S) * random.uniform(0.5, 1.0)
        number, tries = self.num_tries, self.execution.retries + 1
        words = masked(str(error))
        first = words.partition("\n")[0]
        self.tell(StepEvent(self.name, "retried", "RUN", f"try {number} of {tries} failed: {first}; again in {pause:.1f} s"))
        with self.scene.ledger.writing() as connection:
            detail = {"run": self.run, "step": self.name, "try": number, "of": tries, "error": words, "pause_s": round(pause, 3)}
            self.scene.ledger.note(connection, "retried", detail)
        if told := trace(error):
            self.journal.add(self.name, "error", told)
        self.interrupt.over()
        self.interrupt.wait(pause)

    def _attempt(self, planned: PlannedStep, lease: Lease, heartbeat: Heartbeat, inputs: Mapping[str, Any]) -> Artifact:
        work = self._work(planned, lease, heartbeat)
        step = build_step(self.node, self.scene.search)
        with self._admitted(step, work):
            made = self._ran(step, work, inputs)
        heartbeat.check()
        artifact = self._published(lease, work, made, planned, inputs)
        heartbeat.given_back = True
        return artifact

    def _work(self, planned: PlannedStep, lease: Lease, heartbeat: Heartbeat) -> Work:
        def alive() -> None:
            self.interrupt.check()
            heartbeat.check()

        return work_under(
            lease,
            heartbeat,
            replace(self.scene.look(self.pipeline.name, self.name), identity=planned.identity),
            self.run,
            fingerprint=planned.fingerprint or "",
            anew=self.name in self.options.chosen.force or not self.execution.caches,
            inline=defines(self.node, "driver_only", self.scene.search) or self.connected().inline,
            report=self._progress,
            alive=alive,
        )

    def _progress(self, text: str) -> None:
        self.tell(StepEvent(self.name, "progress", "RUN", text))

    @contextlib.contextmanager
    def _admitted(self, step: Any, work: Work) -> Iterator[None]:
        """While the step holds what it needs of the machine or cluster that it runs on."""
        own = step.needs() if hasattr(step, "needs") else {"CPU": 1.0}
        needs = self.execution.needs({} if getattr(step, "driver_only", False) else own)
        if not needs or self._is_inline():
            yield
            return
        place, there = totals(self.options.cluster, self.connected())
        admission = Admission(place, there)
        admission.refuse(f"execution.{self.name}", self.execution.needs({}))
        # What a step asks for by itself is no more than there is: a training takes the cores that it finds.
        needs = {name: min(amount, there.get(name, 0.0)) for name, amount in needs.items()}
        who = f"step '{self.name}' of run {self.run}"

        def tell(text: str) -> None:
            self.tell(StepEvent(self.name, "waiting", "BLOCKED", text))

        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            for book in self._books(place):
                admitted = Admission(place, there, book).admitted
                stack.enter_context(admitted(who, needs, self.execution.deadline_s, self.interrupt.wait, tell, began))
            yield

    def _books(self, place: str) -> list[Book]:
        """Where claims stand. What runs on other machines see comes first: who waits for those keeps nobody waiting on this machine."""
        shared: list[Book] = []
        if isinstance(self.options.cluster, Attach) and not self.scene.ledger.one_host:
            assert self.lease is not None
            shared = [Rows(self.scene.ledger, self.connected().head, self.lease)]
        return [*shared, Files(place)]

    def _is_inline(self) -> bool:
        return isinstance(self.options.cluster, Debug)

    def _ran(self, step: Any, work: Work, inputs: Mapping[str, Any]) -> Made[Any]:
        """One try, measured, within its time."""
        timeout_s = self.execution.timeout_s
        with self.interrupt.within():
            self.try_until = time.monotonic() + timeout_s if timeout_s is not None else None
            try:
                with measured() as meter, placed(self.execution.ray_options()), heard(self.journal.printed(self.name)):
                    return self._called(step, work, inputs)
            finally:
                self.try_until = None
                self.cost += meter.cost

    def _called(self, step: Any, work: Work, inputs: Mapping[str, Any]) -> Made[Any]:
        try:
            return step.run(work, **inputs)
        except RaypipeError:
            raise
        except (Exception, SystemExit) as error:
            if is_end(error):
                raise
            told = f"step '{self.name}' failed: {_words(error)}. Traceback: raypipe logs {self.run} {self.name}"
            raise StepFailed(told) from error

    def _published(self, lease: Lease, work: Work, made: Made[Any], planned: PlannedStep, inputs: Mapping[str, Any]) -> Artifact:
        kind = output_kind(shape(self.node.target, self.scene.search))
        assert kind in KINDS
        assert planned.identity is not None
        record = Record(
            kind=kind,
            pipeline=self.pipeline.name,
            step=self.name,
            run=self.run,
            fingerprint=work.fingerprint,
            digest=made.digest,
            path=work.path if any(f.path.startswith(f"{work.path}/") for f in made.files) else "",
            files=tuple(made.files),
            schema=made.schema,
            figures=made.figures,
            identity=dict(planned.identity),
            parents=tuple(dict.fromkeys(a.id for a in inputs.values())),
        )
        if record.path:
            self.scene.store.sync(work.path)
        artifact = self.scene.ledger.publish(
            lease, record, [*made.commits, self._recording(planned, made)], replace=planned.artifact is not None
        )
        self.recorded = artifact.run == self.run
        return artifact

    def _recording(self, planned: PlannedStep, made: Made[Any]) -> Commit:
        """What became of the step, in the transaction that publishes it: a commit costs 2 ms."""

        def record(connection: Any, artifact_id: str) -> None:
            rows = made.figures.get("num_rows")
            seconds = time.monotonic() - self.began
            why, cost = self._why(planned), asdict(self.cost)
            step = StepRecord(self.run, self.name, planned.state, why, artifact_id, seconds, rows, cost=cost)
            runs.record(connection, self.scene.ledger.project, [step])

        return record

    def _why(self, planned: PlannedStep) -> str:
        return planned.why if self.num_tries < 2 else f"{planned.why} (try {self.num_tries} of {self.execution.retries + 1})".strip()


def _words(error: BaseException) -> str:
    """`ValueError: text (file.py:12 in f)`, the place being the last line of the user's own code if there is one."""
    place = users_frame(error)
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno} in {place.name})"
