"""The process that runs a pipeline's steps: it alone writes the ledger, and starts Ray when the first step needs it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from raypipe.code.shape import shape
from raypipe.core.artifact import KINDS, Artifact, Json
from raypipe.core.cluster import Cluster, Local, Session, connect
from raypipe.core.errors import LeaseHeld, RaypipeError, StepFailed
from raypipe.core.frame import users_frame
from raypipe.core.lease import Heartbeat, Lease
from raypipe.core.ledger import Record, StepRecord
from raypipe.core.step import Made, Work
from raypipe.core.tracker import NoTracker, Tracker
from raypipe.pipeline.attempt import leased, work_under
from raypipe.pipeline.build import build_step, defines
from raypipe.pipeline.edge import output_kind
from raypipe.pipeline.graph import order
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Plan, PlannedStep, Scene, plan_step
from raypipe.pipeline.redo import redone

WAIT_S = 0.5
"""Between two looks at a step that another run is making."""


@dataclass(frozen=True)
class StepEvent:
    """What happened to a step, for whoever shows it."""

    step: str
    what: Literal["started", "progress", "waiting", "ended", "failed"]
    state: str = ""
    why: str = ""
    artifact: Artifact | None = None
    standing: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Options:
    """How a run goes; none of it is part of any fingerprint."""

    cluster: Cluster = field(default_factory=Local)
    """Where Ray runs."""
    tracker: Tracker = field(default_factory=NoTracker)
    """Who else is told of runs and figures."""
    wait: bool = True
    """Wait for a step that another run is making; otherwise leave with LeaseHeld (exit 75)."""
    on_event: Callable[[StepEvent], None] = lambda event: None
    """Told of each step as it goes."""
    config: Json = None
    """The unresolved config, as it is kept with the run."""
    command: str = ""
    """The command line, kept with the run."""


class Driver:
    """Runs the steps of one pipeline, in order, for one run."""

    def __init__(self, pipeline: Pipeline, scene: Scene, options: Options, run: str):
        self.pipeline, self.scene, self.options, self.run = pipeline, scene, options, run
        self.stack = ExitStack()
        self.session: Session | None = None
        self.tracking = False

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stack.close()

    def go(self, steps: dict[str, PlannedStep], plan: Plan) -> None:
        """Every step in order, each added to `steps` when it is done; the first failure ends the run with its RaypipeError.

        Each is planned anew when its turn comes, unless the whole plan says that nothing is to do.
        """
        if plan.nothing_to_do:
            steps |= {step.name: step for step in plan.steps}
            self._record(steps, 0.0)
            return
        for name in order(self.pipeline.nodes):
            began = time.monotonic()
            try:
                steps[name] = self._step(name, steps)
            except RaypipeError as error:
                self._fail(name, error, began)
                raise
            self._record({name: steps[name]}, time.monotonic() - began)

    def _step(self, name: str, steps: dict[str, PlannedStep]) -> PlannedStep:
        while True:
            planned = plan_step(self.pipeline, name, steps, self.scene)
            if planned.state in ("HIT", "SKIP"):
                return planned
            try:
                return self._make(name, planned, steps)
            except LeaseHeld as held:
                if not self.options.wait:
                    raise
                self.options.on_event(StepEvent(name, "waiting", "BLOCKED", str(held)))
                time.sleep(WAIT_S)

    def _make(self, name: str, planned: PlannedStep, steps: dict[str, PlannedStep]) -> PlannedStep:
        assert planned.fingerprint is not None, "every input is made by now"
        with leased(self.scene.ledger, planned.fingerprint, self.run) as (lease, heartbeat):
            # Another run may have published between the plan and the claim.
            again = plan_step(self.pipeline, name, steps, self.scene, claimed=True)
            if again.state == "HIT":
                return again
            self.options.on_event(StepEvent(name, "started", again.state, again.why))
            inputs = {edge: steps[ref].artifact for edge, ref in self.pipeline.nodes[name].refs.items() if ref}

            def attempt() -> Artifact:
                work = self._work(name, again, lease, heartbeat)
                made = self._run_step(name, work, inputs)
                heartbeat.check()
                return self._publish(name, lease, work, made, again, inputs)

            artifact = redone(attempt, lambda text: self.options.on_event(StepEvent(name, "progress", again.state, text)))
        self._track(name, artifact)
        return replace(again, artifact=artifact, made=True)

    def _work(self, name: str, planned: PlannedStep, lease: Lease, heartbeat: Heartbeat) -> Work:
        return work_under(
            lease,
            heartbeat,
            self.scene.look(self.pipeline.name, name),
            self.run,
            fingerprint=planned.fingerprint or "",
            inline=defines(self.pipeline.nodes[name], "driver_only", self.scene.search) or self._connected().inline,
            report=lambda text: self.options.on_event(StepEvent(name, "progress", planned.state, text)),
        )

    def _connected(self) -> Session:
        if self.session is None:
            self.session = self.stack.enter_context(connect(self.options.cluster, self.scene.place.path))
        return self.session

    def _run_step(self, name: str, work: Work, inputs: dict[str, Any]) -> Made[Any]:
        try:
            return build_step(self.pipeline.nodes[name], self.scene.search).run(work, **inputs)
        except RaypipeError:
            raise
        except Exception as error:
            raise StepFailed(f"step '{name}' failed: {_words(error)}. Traceback: {self._keep_traceback(name)}") from error

    def _keep_traceback(self, name: str) -> Path:
        path = self.scene.place.path / ".raypipe" / "logs" / f"{self.run}-{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc())
        return path.relative_to(self.scene.place.path)

    def _publish(self, name: str, lease: Lease, work: Work, made: Made[Any], planned: PlannedStep, inputs: dict[str, Any]) -> Artifact:
        kind = output_kind(shape(self.pipeline.nodes[name].target, self.scene.search))
        assert kind in KINDS
        assert planned.identity is not None
        record = Record(
            kind=kind,
            pipeline=self.pipeline.name,
            step=name,
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
        return self.scene.ledger.publish(lease, record, made.commits, replace=planned.artifact is not None)

    def _record(self, steps: Mapping[str, PlannedStep], seconds: float) -> None:
        """What became of steps, in one transaction, and then told."""
        self.scene.ledger.record_steps([self._step_record(name, step, seconds) for name, step in steps.items()])
        for name, step in steps.items():
            standing = step.standing.state if step.standing else ""
            self.options.on_event(StepEvent(name, "ended", step.state, step.why, step.artifact, standing, seconds))

    def _step_record(self, name: str, step: PlannedStep, seconds: float) -> StepRecord:
        rows = step.artifact.figures.get("num_rows") if step.artifact else None
        return StepRecord(self.run, name, step.state, step.why, step.artifact.id if step.artifact else None, seconds, rows)

    def _fail(self, name: str, error: RaypipeError, began: float) -> None:
        seconds = time.monotonic() - began
        self.scene.ledger.record_steps([StepRecord(self.run, name, "FAILED", str(error), None, seconds, None)])
        self.options.on_event(StepEvent(name, "failed", "FAILED", str(error), seconds=seconds))

    def _track(self, name: str, artifact: Artifact) -> None:
        if not self.tracking:
            self.tracking = True
            self.options.tracker.start(self.run, self.options.config or {})
        figures = {f"{name}/{k}": v for k, v in artifact.figures.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        self.options.tracker.log(figures, list(self.pipeline.nodes).index(name))


def _words(error: BaseException) -> str:
    """`ValueError: text (file.py:12 in f)`, the place being the last line of the user's own code if there is one."""
    place = users_frame(error)
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno} in {place.name})"
