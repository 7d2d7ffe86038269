"""One invocation of a pipeline: what is done is a HIT, what was half done goes on, the rest is made, leased and published."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from raypipe.code.settled import settled
from raypipe.core.artifact import Artifact
from raypipe.core.cluster import Cluster
from raypipe.core.errors import ConfigError, LedgerError, Problem, RaypipeError
from raypipe.core.interpreter import uncollected
from raypipe.core.ledger import Run
from raypipe.core.runs import now_utc
from raypipe.pipeline.check import check
from raypipe.pipeline.chosen import EVERY_STEP, Chosen
from raypipe.pipeline.driver import Driver, Options, end_of, record_of
from raypipe.pipeline.figures import figure_problems
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Plan, PlannedStep, Scene, open_scene, plan

REFUSED = 3
"""Exit code of a run in which a gate said no."""


@dataclass
class RunResult:
    """What a run came to."""

    id: str
    pipeline: str
    state: Literal["done", "failed", "refused", "interrupted", "running"] = "running"
    exit_code: int = 0
    error: str = ""
    steps: dict[str, PlannedStep] = field(default_factory=dict)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    """What there is to say of the store, for one thing."""

    def __str__(self) -> str:
        lines = [
            f"  {n}: {s.standing.state if s.standing and not s.made else s.state}{' ' + s.why if s.why else ''}"
            for n, s in self.steps.items()
        ]
        return "\n".join(
            [f"{self.pipeline}: run {self.id} {self.state} in {self.seconds:.1f} s{': ' + self.error if self.error else ''}", *lines]
        )

    def __getitem__(self, step: str) -> Artifact:
        artifact = self.steps[step].artifact
        if artifact is None:
            raise KeyError(f"step '{step}' has no artifact: {self.steps[step].state} {self.steps[step].why}")
        return artifact


def run(pipeline: Pipeline, scene: Scene | None = None, options: Options | None = None) -> RunResult:
    """Run what is not done. Raises ConfigError before anything starts; everything later is in the result."""
    with settled():
        return _run(pipeline, scene or open_scene(pipeline.project_path), options or Options())


def _run(pipeline: Pipeline, scene: Scene, options: Options) -> RunResult:
    planned = checked_plan(pipeline, scene, options.cluster, options.chosen)
    result = RunResult(options.run or run_id(), pipeline.name)
    record = Run(result.id, pipeline.name, command=options.command, config=options.config)
    if planned.nothing_to_do:
        return _found(result, planned, record, scene, options)
    from raypipe.pipeline.kept import kept

    began = time.monotonic()
    scene.ledger.start_run(record, kept(pipeline, scene))
    try:
        with Driver(pipeline, scene, options, result.id) as driver:
            driver.go(result.steps)
        result.state, result.exit_code = _verdict(result)
    except RaypipeError as error:
        result.state, result.exit_code, result.error = "failed", error.exit_code, str(error)
    except BaseException as error:
        result.state, result.exit_code = "interrupted", getattr(error, "exit_code", 130)
        raise
    finally:
        result.seconds = time.monotonic() - began
        _record_end(result, scene)
        options.tracker.finish(result.state)
    if any(step.made for step in result.steps.values()):
        from raypipe.data.lake.upkeep import tend

        result.notes = tend(scene.ledger, scene.store, scene.place.retention)
    return result


def _found(result: RunResult, planned: Plan, record: Run, scene: Scene, options: Options) -> RunResult:
    """Everything is there: the run is recorded when it is over, in one transaction."""
    began, names = time.monotonic(), options.chosen.concerned(planned.pipeline)
    result.steps |= {step.name: step for step in planned.steps if step.name in names}
    result.state, result.exit_code = _verdict(result)
    over = replace(record, state=result.state.upper(), exit_code=result.exit_code, ended_at=now_utc())
    scene.ledger.start_run(over, steps=[record_of(result.id, step, 0.0) for step in result.steps.values()])
    for step in result.steps.values():
        options.on_event(end_of(step, 0.0))
    result.seconds = time.monotonic() - began
    options.tracker.finish(result.state)
    return result


def _record_end(result: RunResult, scene: Scene) -> None:
    """A ledger that cannot be written (a full disk, a server that is gone) does not hide what the run failed with."""
    try:
        scene.ledger.end_run(result.id, result.state.upper(), result.exit_code)
    except LedgerError as error:
        if not result.error:
            result.state, result.exit_code, result.error = "failed", error.exit_code, str(error)


@uncollected()
def checked_plan(pipeline: Pipeline, scene: Scene, cluster: Cluster, chosen: Chosen = EVERY_STEP) -> Plan:
    """The plan, or ConfigError with everything that is wrong. Where nothing is to do the same pipeline has passed before, and the check
    is spared: it reads SQL expressions with Polars, which alone costs twice as much as the rest of an unchanged run."""
    if figure_problems(pipeline, scene.search):  # a plan would compare what is there, and fail at the first one
        raise ConfigError(check(pipeline, scene, cluster))
    planned = plan(pipeline, scene, chosen)
    problems = [] if planned.nothing_to_do else check(pipeline, scene, cluster, planned)
    problems += [
        Problem(f"--only {s.name}", f"{s.why}.") for s in planned.steps if s.name in chosen.only and s.state == "BLOCKED" and not s.identity
    ]
    if problems:
        raise ConfigError(problems)
    return planned


def run_id() -> str:
    """A run's name: its start in UTC and eight letters, so that names sort by time and a thousand that start in one second differ."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def _verdict(result: RunResult) -> tuple[Literal["done", "refused"], int]:
    said_no = [s for s in result.steps.values() if s.artifact is not None and s.ready and s.artifact.figures.get("passed") is False]
    return ("refused", REFUSED) if said_no else ("done", 0)
