"""A trial: one point of a sweep, how far it has come, and the figures that it is compared by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem, nearest, nearest_and_all
from raypipe.core.tracker import NoTracker, Tracker
from raypipe.evaluate.figure import HIGHER_IS_BETTER
from raypipe.pipeline.build import defines
from raypipe.pipeline.figures import figures_of as foreseen_figures
from raypipe.pipeline.figures import misnamed
from raypipe.pipeline.graph import reads
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene
from raypipe.pipeline.run import RunResult

SMALL = ("loss", "error", "brier", "rmse", "mae", "mse", "seconds")
"""What a figure's name ends with where less of it is better."""


@dataclass(frozen=True)
class Point:
    """A pipeline to try, and how it differs from the others."""

    number: int
    """From 1 on, in the order in which they are tried."""
    changes: Mapping[str, str]
    """Key -> its value, of the keys that are swept."""
    pipeline: Pipeline
    config: Json = None
    """The unresolved config, as it is kept with its runs."""
    tracker: Callable[[], Tracker] = NoTracker
    """Who is told of a run of it: each run has its own."""

    def __str__(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.changes.items())


@dataclass(frozen=True)
class Trial:
    """What became of a point."""

    point: Point
    state: Literal["DONE", "HIT", "FAILED", "STOPPED"]
    """STOPPED: others were better at as many epochs; its checkpoint is kept. HIT: all of it was done before."""
    run: str
    """The run in the ledger that it came to last."""
    figures: dict[str, float | None] = field(default_factory=dict)
    """By their whole names, `evaluate.auc`."""
    error: str = ""
    seconds: float = 0.0
    """Of all its runs."""
    epochs: int | None = None
    """How many it was trained for, where that is what the scheduler deals out."""

    def after(self, earlier: Trial | None) -> Trial:
        return self if earlier is None else replace(self, seconds=self.seconds + earlier.seconds)


def parted(name: str, steps: Collection[str]) -> tuple[str, str]:
    """The step and its figure that `of.EWR.train.validation.auc` means: the longest name of a step at its beginning, or the first word."""
    ends = [place for place, letter in enumerate(f"{name}.") if letter == "." and name[:place] in steps]
    step = name[: ends[-1]] if ends else name.partition(".")[0]
    return step, name[len(step) + 1 :]


def figures_of(result: RunResult, names: Sequence[str]) -> dict[str, float | None]:
    """The figures of that run. ConfigError for one that its step does not have, with those that it has."""
    found, problems = {}, []
    for name in names:
        step, figure = parted(name, result.steps)
        there = numbers(result[step].figures)
        if figure in there:
            found[name] = there[figure]
        else:
            hint = nearest_and_all(figure, there) or " It has none that is a number."
            problems.append(Problem(name, f"what '{step}' made has no figure '{figure}'.{hint}"))
    if problems:
        raise ConfigError(problems)
    return found


def numbers(figures: Mapping[str, Json], prefix: str = "") -> dict[str, float | None]:
    """Dotted name -> number, of all that are one; None is a figure that could not be told."""
    found: dict[str, float | None] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            found |= numbers(value, f"{prefix}{name}.")
        elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            found[f"{prefix}{name}"] = value
    return found


def direction_of(figure: str) -> Literal["max", "min"]:
    """Which way is better, by the figure's name."""
    last = figure.rpartition(".")[2]
    return "max" if HIGHER_IS_BETTER.get(last, not last.endswith(SMALL)) else "min"


def best_first(trials: Sequence[Trial], by: str, direction: Literal["max", "min"]) -> list[Trial]:
    """Those that were trained for longest first, then by their figure; the earlier point of equals. What has no figure comes last."""

    def place(trial: Trial) -> tuple[bool, int, float, int]:
        figure = trial.figures.get(by)
        sign = -1 if direction == "max" else 1
        return figure is None or figure != figure, -(trial.epochs or 0), sign * (figure or 0.0), trial.point.number

    return sorted(trials, key=place)


def tried(pipeline: Pipeline, figures: Sequence[str], scene: Scene) -> Pipeline:
    """The steps that a point runs: those that its figures are made from. ConfigError where one of them changes something in the world."""
    if unknown := [p for name in figures if (p := _unknown(name, pipeline.nodes) or _missing(name, pipeline, scene))]:
        raise ConfigError(unknown)
    wanted = list(dict.fromkeys(parted(name, pipeline.nodes)[0] for name in figures))
    names: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in names:
            names.add(name)
            wanted += reads(pipeline.nodes[name])
    acting = [name for name in pipeline.nodes if name in names and defines(pipeline.nodes[name], "standing", scene.search)]
    if acting:
        told = f"'{acting[0]}' changes something in the world, which only the best point may do: compare by a figure that comes before it."
        raise ConfigError([Problem("sweep.by", told)])
    nodes = {name: node for name, node in pipeline.nodes.items() if name in names}
    return Pipeline.of(pipeline.name, nodes, {name: how for name, how in pipeline.execution.items() if name in names})


def _missing(name: str, pipeline: Pipeline, scene: Scene) -> Problem | None:
    """A figure that its step never has, as far as that is known before it runs."""
    step, figure = parted(name, pipeline.nodes)
    there = foreseen_figures(pipeline.nodes[step], scene.search)
    return Problem(name, what) if there is not None and (what := misnamed(step, figure, there)) else None


def _unknown(name: str, steps: Collection[str]) -> Problem | None:
    """What is wrong with the step that a figure is of. The first word may be that of a sub-pipeline."""
    step, figure = parted(name, steps)
    if step in steps:
        return None if figure else Problem(name, f"'{step}' alone says nothing: name a figure of the step, as in {step}.num_rows.")
    inner = [other for other in steps if other.startswith(f"{step}.")]
    if not inner:
        return Problem(name, f"there is no step '{step}'.{nearest(step, steps)} --by STEP.FIGURE says what is compared.")
    depth = max(other.count(".") for other in inner) + 1
    tried = ".".join(name.split(".")[:depth])
    return Problem(name, f"'{step}' is a sub-pipeline, and has no step '{tried}'.{nearest(tried, inner)}")
