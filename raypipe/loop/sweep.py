"""A sweep: points of a pipeline run one after another, compared by a figure, and the best one run as the pipeline's result."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, TypeVar

from raypipe.code.settled import settled
from raypipe.config.sweep import Sweep
from raypipe.core.cluster import Debug
from raypipe.core.errors import ConfigError, Problem
from raypipe.loop.halving import num_kept, rungs, with_epochs
from raypipe.loop.trial import Point, Trial, best_first, direction_of, figures_of, parted, tried
from raypipe.pipeline.connection import Connection
from raypipe.pipeline.driver import Options
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene, open_scene
from raypipe.pipeline.run import RunResult, checked_plan, run, run_id

T = TypeVar("T")

NOBODY = 1
"""Exit code of a sweep in which no point has the figure."""


@dataclass
class SweepResult:
    """What a sweep came to."""

    id: str
    by: str
    direction: Literal["max", "min"]
    trials: list[Trial] = field(default_factory=list)
    """The best first."""
    best: Trial | None = None
    result: RunResult | None = None
    """Of the best point's whole pipeline."""

    @property
    def exit_code(self) -> int:
        """That of the best point's run: points that failed are told, and no more."""
        return self.result.exit_code if self.result is not None else NOBODY


def sweep(pipelines: Mapping[str, Pipeline], how: Sweep | None = None, options: Options | None = None) -> SweepResult:
    """Tries pipelines that go by a name each, and runs the best one whole. Raises ConfigError before anything starts."""
    points = [Point(number, {"pipeline": name}, pipeline) for number, (name, pipeline) in enumerate(pipelines.items(), 1)]
    if not points:
        raise ConfigError([Problem("", "nothing is swept: give at least one pipeline.")])
    scene = open_scene(points[0].pipeline.project_path)
    with contextlib.closing(scene.ledger):
        sweeping = Sweeping(points, how or Sweep(), scene, options or Options(), lambda trial: None)
        sweeping.check()
        return sweeping.go()


class Sweeping:
    """A sweep as it goes. `on_trial` is told of each point as it ends, by one thread at a time; `on_event` of what the best one does."""

    def __init__(self, points: Sequence[Point], sweep: Sweep, scene: Scene, options: Options, on_trial: Callable[[Trial], None]):
        self.points, self.sweep, self.scene, self.options, self.on_trial = points, sweep, scene, options, on_trial
        self.names = list(dict.fromkeys([sweep.by, *sweep.figures]))
        self.result = SweepResult(run_id(), sweep.by, sweep.direction or direction_of(sweep.by))
        self.on_ranked: Callable[[SweepResult], None] = lambda result: None
        """Told of the trials, before the best one runs whole."""
        self.pipelines = self._of_each(lambda point: tried(point.pipeline, self.names, scene))
        self._trials: dict[int, Trial] = {}
        self._stopped = False

    def check(self) -> None:
        """ConfigError with what is wrong with any point, and with that of the first point that has it."""
        if self.sweep.scheduler == "halving":
            rungs(list(self.pipelines.values()), self.sweep.reduction)
        with settled():
            self._of_each(lambda point: checked_plan(point.pipeline, self.scene, self.options.cluster))

    def _of_each(self, made: Callable[[Point], T]) -> dict[int, T]:
        """By the points' numbers; ConfigError with the problems of all, each with the first point that has it where others have it not."""
        found: dict[int, T] = {}
        problems: dict[Problem, list[Point]] = {}
        for point in self.points:
            try:
                found[point.number] = made(point)
            except ConfigError as error:
                for problem in error.problems:
                    problems.setdefault(problem, []).append(point)
        if problems:
            raise ConfigError([self._told(problem, having) for problem, having in problems.items()])
        return found

    def _told(self, problem: Problem, having: Sequence[Point]) -> Problem:
        is_of_all = len(having) == len(self.points)
        return problem if is_of_all else replace(problem, what=f"{problem.what} (point {having[0].number}: {having[0]})")

    def go(self) -> SweepResult:
        """All points, then the best one whole. Ray is started once, by the first step that needs it."""
        connection = None if isinstance(self.options.cluster, Debug) else Connection(self.options.cluster, self.scene.place)
        self.options = replace(self.options, connection=connection)
        try:
            with settled():
                self._go()
        finally:
            if connection is not None:
                connection.close()
        return self.result

    def _go(self) -> None:
        self._record()
        if self.sweep.scheduler == "halving":
            self._halve()
        else:
            self._each(self.points)
        self._rank()
        self.on_ranked(self.result)
        if self.result.best is not None and not self._stopped:
            self.result.result = self._whole(self.result.best)

    def _halve(self) -> None:
        going = list(self.points)
        steps = rungs(list(self.pipelines.values()), self.sweep.reduction)
        for epochs in steps:
            self._each(going, epochs)
            there = [self._trials[point.number] for point in going if point.number in self._trials]
            ended = [trial for trial in there if trial.state != "FAILED"]
            if epochs == steps[-1] or self._stopped or not ended:
                return
            ranked = best_first(ended, self.sweep.by, self.result.direction)
            kept = num_kept(len(going), self.sweep.reduction)
            for trial in ranked[kept:]:
                self._trials[trial.point.number] = replace(trial, state="STOPPED")
            going = sorted((trial.point for trial in ranked[:kept]), key=lambda point: point.number)

    def _each(self, points: Sequence[Point], epochs: int | None = None) -> None:
        for trial in self._ended(points, epochs):
            self._trials[trial.point.number] = trial.after(self._trials.get(trial.point.number))
            self.on_trial(self._trials[trial.point.number])
            if trial.state == "FAILED" and self.sweep.stop_on_failure:
                self._stopped = True

    def _ended(self, points: Sequence[Point], epochs: int | None) -> Iterator[Trial]:
        """Trials as they end, so many at once as are asked for; none is begun once one has failed where that is to stop them."""
        if self.sweep.num_parallel == 1:
            for point in points:
                if not self._stopped:
                    yield self._tried(point, epochs)
            return
        left, ended = iter(points), queue.SimpleQueue[Trial | BaseException]()
        at_work = 0
        while True:
            for point in islice(left, 0 if self._stopped else self.sweep.num_parallel - at_work):
                # A step's thread by its name: what still runs at a signal ends with the process.
                threading.Thread(target=self._put, args=(point, epochs, ended), name=f"step of point {point.number}", daemon=True).start()
                at_work += 1
            if not at_work:
                return
            found, at_work = ended.get(), at_work - 1
            if isinstance(found, BaseException):
                raise found
            yield found

    def _put(self, point: Point, epochs: int | None, ended: queue.SimpleQueue[Trial | BaseException]) -> None:
        try:
            ended.put(self._tried(point, epochs))
        except BaseException as error:
            ended.put(error)

    def _tried(self, point: Point, epochs: int | None) -> Trial:
        name = f"{self.result.id}.{point.number:0{len(str(len(self.points)))}}" + (f".{epochs}" if epochs else "")
        pipeline = self.pipelines[point.number]
        options = replace(self.options, run=name, tracker=point.tracker(), config=point.config, on_event=lambda event: None)
        result = run(with_epochs(pipeline, epochs) if epochs else pipeline, self.scene, options)
        if result.state == "failed":
            return Trial(point, "FAILED", name, error=result.error, seconds=result.seconds, epochs=epochs)
        skipped = [step for step in {parted(name, result.steps)[0] for name in self.names} if not result.steps[step].ready]
        if skipped:
            why = "; ".join(f"'{step}' is not made: {result.steps[step].why}" for step in skipped)
            return Trial(point, "FAILED", name, error=why, seconds=result.seconds, epochs=epochs)
        is_hit = not any(step.made for step in result.steps.values())
        return Trial(point, "HIT" if is_hit else "DONE", name, figures_of(result, self.names), "", result.seconds, epochs)

    def _rank(self) -> None:
        done = [trial for trial in self._trials.values() if trial.state in ("DONE", "HIT")]
        others = [trial for trial in self._trials.values() if trial.state not in ("DONE", "HIT")]
        ranked = best_first(done, self.sweep.by, self.result.direction)
        self.result.trials = ranked + best_first(others, self.sweep.by, self.result.direction)
        self.result.best = next((trial for trial in ranked if trial.figures.get(self.sweep.by) is not None), None)

    def _whole(self, best: Trial) -> RunResult:
        point = best.point
        options = replace(self.options, run=f"{self.result.id}.best", tracker=point.tracker(), config=point.config)
        return run(point.pipeline, self.scene, options)

    def _record(self) -> None:
        """The sweep itself, in the audit trail; its runs bear its name."""
        with self.scene.ledger.writing() as connection:
            detail = {"sweep": self.result.id, "by": self.sweep.by, "points": [dict(point.changes) for point in self.points]}
            self.scene.ledger.note(connection, "swept", detail)
