"""The process that runs a pipeline's steps: it alone writes the ledger, and starts Ray when the first step needs it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from raypipe.core.artifact import Artifact
from raypipe.core.cluster import Debug
from raypipe.core.disk import warning
from raypipe.core.errors import Interrupted, LedgerError, RaypipeError
from raypipe.core.ledger import StepRecord
from raypipe.core.logs import Kind
from raypipe.core.output import renew, unheard
from raypipe.core.secret import masked
from raypipe.pipeline.connection import Connection
from raypipe.pipeline.crew import Crew, Ended
from raypipe.pipeline.execution import CONTINUE, STOP, Execution
from raypipe.pipeline.graph import order
from raypipe.pipeline.journal import Journal
from raypipe.pipeline.making import Making
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.notice import Notices
from raypipe.pipeline.options import Options, StepEvent
from raypipe.pipeline.plan import PlannedStep, Scene
from raypipe.pipeline.schedule import Schedule

__all__ = ["Driver", "Options", "StepEvent"]


KINDS: dict[str, Kind] = {"progress": "report", "waiting": "wait", "retried": "retry"}
"""What of a step's events goes into the log as it is."""


class Driver:
    """Runs the steps of one pipeline for one run: each as soon as what it reads is there, and there is room."""

    def __init__(self, pipeline: Pipeline, scene: Scene, options: Options, run: str):
        self.pipeline, self.scene, self.options, self.run = pipeline, scene, options, run
        self.failures: dict[str, RaypipeError] = {}
        """Step -> what it failed with, in the order in which it happened."""
        self._connection = options.connection or Connection(options.cluster, scene.place)
        self._tracking = False
        self._warned = False
        self._telling = threading.Lock()
        self._journal = Journal(scene.ledger, run)
        self._notices = Notices(pipeline.name, run, self._progress)
        inline = isinstance(options.cluster, Debug)
        self._crew = Crew(0 if inline else options.num_parallel, self._release)

    def __enter__(self) -> Driver:
        self._connection.on_lost.append(self._lost)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            if self._crew.makings:
                self._abandon()
            self._notices.wait()
        finally:
            self._connection.on_lost.remove(self._lost)
            self._journal.close()
            if self.options.connection is None:
                self._connection.close()

    def go(self, steps: dict[str, PlannedStep]) -> None:
        """Every step, each planned anew when its turn comes, and added to `steps` when it is done. The first failure is raised, after what
        its step's `on_failure` says."""
        schedule = Schedule(self.pipeline, self.options.chosen.concerned(self.pipeline))
        while True:
            for name in schedule.ready(steps, self._crew.room):
                self._warn(name)
                self._crew.start(self._making(name), steps)
            if not self._crew.makings:
                break
            self._ended(self._crew.next(), steps, schedule)
        places = {name: i for i, name in enumerate(order(self.pipeline.nodes))}
        for name in sorted(steps, key=places.__getitem__):
            steps[name] = steps.pop(name)
        if self.failures:
            raise next(iter(self.failures.values()))

    def _warn(self, name: str) -> None:
        """Once a run, before a step starts: a disk that is nearly full is better told now than by the write that finds it full."""
        if not self._warned and (told := warning(self.scene.store, self.scene.place.retention)):
            self._warned = True
            self._tell(StepEvent(name, "waiting", "RUN", told))

    def _making(self, name: str) -> Making:
        called = any(
            self.pipeline.execution[failed].on_failure_step == name for failed in self.failures if failed in self.pipeline.execution
        )
        options = replace(self.options, chosen=replace(self.options.chosen, called=name)) if called else self.options
        return Making(name, self.pipeline, self.scene, options, self.run, self._connection.session, self._tell, self._journal)

    def _ended(self, ended: Sequence[Ended], steps: dict[str, PlannedStep], schedule: Schedule) -> None:
        """What steps came to: recorded together, then told, and then what follows from a failure."""
        done = {e.name: e.planned for e in ended if e.planned is not None}
        steps |= done
        self._record(done, {e.name: e.seconds for e in ended}, {e.name for e in ended if e.recorded})
        for one in ended:
            if one.error is not None:
                self._failed(one, one.error, steps, schedule)
            elif one.planned is not None and one.planned.made and one.planned.artifact is not None:
                self._track(one.name, one.planned.artifact)

    def _failed(self, ended: Ended, error: RaypipeError, steps: dict[str, PlannedStep], schedule: Schedule) -> None:
        """A step that is ended because another failed is no failure of its own."""
        name, words = ended.name, masked(str(error))
        state = "INTERRUPTED" if isinstance(error, Interrupted) else "FAILED"
        self.scene.ledger.record_steps([StepRecord(self.run, name, state, words, None, ended.seconds, None)])
        self._journal.failed(name, error)
        self._tell(StepEvent(name, "failed", state, words, seconds=ended.seconds))
        if state == "INTERRUPTED":
            schedule.close()
            return
        self.failures[name] = error
        execution = self.pipeline.execution.get(name, Execution())
        self._notices.send(execution.notify, name, error)
        if execution.on_failure == CONTINUE:
            steps[name] = PlannedStep(name, "FAILED", words.partition("\n")[0])
            return
        schedule.close(then=execution.on_failure_step)
        if execution.on_failure == STOP:
            self._crew.end(Interrupted(f"ended, because '{name}' failed"))

    def _abandon(self) -> None:
        """What still runs is ended, as far as it can be: the run itself is at its end."""
        self._crew.end(Interrupted("interrupted; the same command goes on from here"))
        for ended in self._crew.rest():
            if ended.planned is not None:
                self._record({ended.name: ended.planned}, {ended.name: ended.seconds}, [ended.name] if ended.recorded else ())
            elif ended.error is not None:
                words = masked(str(ended.error))
                self.scene.ledger.record_steps([StepRecord(self.run, ended.name, "INTERRUPTED", words, None, ended.seconds, None)])
                self._journal.failed(ended.name, ended.error)
                self._tell(StepEvent(ended.name, "failed", "INTERRUPTED", words, seconds=ended.seconds))

    def _release(self, making: Making) -> None:
        """Of a thread that does not end: what it makes is not published any more, and another may make the step."""
        if making.lease is not None:
            with contextlib.suppress(LedgerError):  # it has its own time to live, and what ended the step is what is to be told
                self.scene.ledger.release(making.lease)

    def _tell(self, event: StepEvent) -> None:
        if kind := KINDS.get(event.what):
            self._journal.add(event.step, kind, event.why)
        with self._telling, unheard():
            self.options.on_event(event)
        renew()

    def _progress(self, step: str, text: str) -> None:
        self._tell(StepEvent(step, "progress", "FAILED", text))

    def _lost(self, node: str) -> None:
        for name in list(self._crew.makings):
            more = f"Ray runs elsewhere what '{name}' had there, or it waits in vain: then interrupt, or set execution.{name}.timeout"
            self._tell(StepEvent(name, "progress", "RUN", f"{node}. {more}"))

    def _record(self, steps: Mapping[str, PlannedStep], seconds: Mapping[str, float], recorded: Collection[str] = ()) -> None:
        """What became of steps, in one transaction where it was not recorded with what they made, and then told."""
        new = {name: step for name, step in steps.items() if name not in recorded}
        if new:
            self.scene.ledger.record_steps([record_of(self.run, step, seconds.get(name, 0.0)) for name, step in new.items()])
        for name, step in steps.items():
            self._tell(end_of(step, seconds.get(name, 0.0)))

    def _track(self, name: str, artifact: Artifact) -> None:
        if not self._tracking:
            self._tracking = True
            self.options.tracker.start(self.run, self.options.config or {})
        figures = {f"{name}/{k}": v for k, v in artifact.figures.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        self.options.tracker.log(figures, list(self.pipeline.nodes).index(name))


def record_of(run: str, step: PlannedStep, seconds: float) -> StepRecord:
    """What became of a step, as the ledger keeps it."""
    rows = step.artifact.figures.get("num_rows") if step.artifact else None
    artifact, cost = step.artifact.id if step.artifact else None, asdict(step.cost) if step.cost else None
    return StepRecord(run, step.name, step.state, step.why, artifact, seconds, rows, cost=cost)


def end_of(step: PlannedStep, seconds: float) -> StepEvent:
    """The same, as it is told."""
    standing = step.standing.state if step.standing else ""
    return StepEvent(step.name, "ended", step.state, step.why, step.artifact, standing, seconds)
