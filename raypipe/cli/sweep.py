"""sweep: points of a pipeline tried and compared, and the best one run as its result."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from raypipe.cli.pipeline import config_name, plan_json
from raypipe.cli.plot import require, write
from raypipe.cli.terminal import STYLES, Terminal, console, result_json
from raypipe.config.compose import Composed, compose
from raypipe.config.sweep import Sweep, at, first, points
from raypipe.core.cluster import Cluster
from raypipe.core.errors import ConfigError, Problem
from raypipe.core.place import find_project
from raypipe.loop.foreseen import foreseen, left_out
from raypipe.loop.halving import num_kept, rungs
from raypipe.loop.sweep import Sweeping, SweepResult
from raypipe.loop.trial import Point, Trial, parted
from raypipe.pipeline.assemble import assemble
from raypipe.pipeline.build import component
from raypipe.pipeline.driver import Options
from raypipe.pipeline.plan import Scene, open_scene

NUM_SHOWN = 40
"""Points of a dry run in the terminal; --json has all."""


def sweep(options: argparse.Namespace) -> int:
    """Tries every point, a line each; then the table, and the best one's whole run."""
    folder = Path(options.config_dir)
    config = (folder, config_name(folder, options.config_name))
    written = compose(*config, first(options.overrides, config))
    how = _asked(written, options)
    if options.plot:
        require(Path(options.plot))
    place = find_project(folder, Path.cwd())
    found, cluster = _points(options.overrides, how, config, place.path)
    terminal = Terminal(found[0].pipeline, quiet=options.json)
    told = Options(cluster=cluster, on_event=terminal.on_event, command=shlex.join(["raypipe", *sys.argv[1:]]))
    lines = _Lines(found, quiet=options.json)
    scene = open_scene(sample=options.sample, place=place)
    sweeping = Sweeping(found, how, scene, told, lines.on_trial)
    sweeping.check()
    if options.dry_run:
        return _dry_run(sweeping, scene, options.json)
    with terminal:
        lines.begin()
        sweeping.on_ranked = lambda result: _ranked(result, how, options)
        result = sweeping.go()
    if options.json:
        print(json.dumps(_json(result), indent=2))
    elif result.result is not None:
        terminal.end(result.result)
    return result.exit_code


def _asked(written: Composed, options: argparse.Namespace) -> Sweep:
    """What the config says of its sweep, and the verb's options over it."""
    said = {name: value for name in ("by", "direction", "trials", "seed", "scheduler") if (value := getattr(options, name)) is not None}
    said |= {"figures": options.figure} if options.figure else {}
    said |= {"num_parallel": options.parallel} if options.parallel is not None else {}
    said |= {"stop_on_failure": True} if options.stop_on_failure else {}
    asked = Sweep(**{**(written.values.get("sweep") or {}), **said})
    if asked.num_parallel < 1:
        raise ConfigError([Problem("sweep.num_parallel", f"found {asked.num_parallel}, expected at least 1.")])
    return asked


def _points(overrides: Sequence[str], how: Sweep, config: tuple[Path, str], project: Path) -> tuple[list[Point], Cluster]:
    """Each composed; ConfigError with what is wrong with any of them, and the first that has it."""
    found: list[Point] = []
    problems: dict[Problem, str] = {}
    clusters: list[Any] = []
    changes = points(overrides, how, config)
    for number, values in enumerate(changes, 1):
        try:
            point, cluster = _point(number, values, compose(*config, at(overrides, values)), project)
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(problem, f"point {number} of {len(changes)}: {' '.join(f'{k}={v}' for k, v in values.items())}")
            continue
        found.append(point)
        clusters.append(cluster)
    if problems:
        raise ConfigError([dataclasses.replace(problem, what=f"{problem.what} ({which})") for problem, which in problems.items()])
    if any(cluster != clusters[0] for cluster in clusters):
        raise ConfigError([Problem("cluster", "a sweep runs on one cluster: give it one value.")])
    return found, clusters[0]


def _point(number: int, values: Mapping[str, str], composed: Composed, project: Path) -> tuple[Point, Cluster]:
    search = (project,)
    pipeline = assemble(composed.values, search)
    tracker = composed.values["tracker"]
    made = Point(number, values, pipeline, composed.unresolved, lambda: component(tracker, search))
    return made, component(composed.values["cluster"], search)


class _Lines:
    """A line for each point as it ends."""

    def __init__(self, found: Sequence[Point], quiet: bool):
        self.out, self.num, self.quiet = console(), len(found), quiet
        self.width = max(len(str(point)) for point in found)

    def begin(self) -> None:
        if not self.quiet:
            self.out.print(Text(f"{self.num} points"))

    def on_trial(self, trial: Trial) -> None:
        if self.quiet:
            return
        line = Text(f"  {trial.point.number:{len(str(self.num))}}  {trial.point!s:{self.width}}  ")
        line.append(f"{trial.state:7}", style=STYLE.get(trial.state, ""))
        line.append(f"  {_after(trial):>11}" if trial.epochs else "")
        line.append("".join(f"  {name.rpartition('.')[2]} {_number(value)}" for name, value in trial.figures.items()))
        line.append(f"  {trial.seconds:.1f}s", style="dim")
        self.out.print(line)
        if trial.error:
            self.out.print(Text(f"     {trial.error.splitlines()[0]}", style="red"))


STYLE = {**STYLES, "DONE": "cyan", "STOPPED": "yellow"}


def _ranked(result: SweepResult, how: Sweep, options: argparse.Namespace) -> None:
    """The table and the picture, before the best point runs."""
    if options.plot:
        write(Path(options.plot), result)
    if options.json:
        return
    _table(result, how)
    if options.plot:
        console().print(f"compared in {options.plot}", style="dim")
    if result.best is None:
        return
    out = console()
    out.print(Text(f"best by {result.by} ({result.direction}): {result.best.point}", style="bold"))
    nodes = result.best.point.pipeline.nodes
    step = nodes[parted(result.by, nodes)[0]]
    if step.target == "raypipe.steps.evaluate.Evaluate":
        out.print("its figure is of the rows that chose it, and flatters: train.validation.* leaves the test part for the end", style="dim")


def _table(result: SweepResult, how: Sweep) -> None:
    names = list(dict.fromkeys([how.by, *how.figures]))
    keys = list(result.trials[0].point.changes) if result.trials else []
    with_epochs = any(trial.epochs for trial in result.trials)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("", "point", *keys, *(["epochs"] if with_epochs else []), *names, "state", "time"):
        table.add_column(head, justify="right" if head in ("point", "epochs", "time", *names) else "left", overflow="fold")
    for trial in result.trials:
        cells = [
            "*" if trial is result.best else "",
            str(trial.point.number),
            *trial.point.changes.values(),
            *([str(trial.epochs or "")] if with_epochs else []),
            *(_number(trial.figures.get(name)) for name in names),
        ]
        table.add_row(*map(Text, cells), Text(trial.state, style=STYLE.get(trial.state, "")), Text(f"{trial.seconds:.1f}s"))
    console().print()
    console().print(table)


def _dry_run(sweeping: Sweeping, scene: Scene, as_json: bool) -> int:
    """How many points, what they share, and what each would run."""
    outlook = foreseen(sweeping.pipelines, scene)
    steps, plans = outlook.steps, outlook.plans
    only_best = left_out(sweeping.points, sweeping.pipelines)
    if as_json:
        told = [
            {"point": p.number, "changes": dict(p.changes), "runs": outlook.own[p.number], "steps": plan_json(plans[p.number])}
            for p in sweeping.points
        ]
        print(json.dumps({"points": told, "steps": [dataclasses.asdict(s) for s in steps], "best_only": only_best}, indent=2))
        return 0
    out, num = console(), len(sweeping.points)
    out.print(Text(f"{num} points, compared by {sweeping.result.by} ({sweeping.result.direction})"))
    width = max(len(step.step) for step in steps)
    for step in steps:
        of = "the same for all" if step.num_made == 1 else f"{step.num_made} different"
        out.print(Text(f"  {step.step:{width}}  {of:16}  {', '.join(f'{count} {state}' for state, count in step.states.items())}"))
    if sweeping.sweep.scheduler == "halving":
        out.print(Text(f"rungs: {_rungs(sweeping)}"))
    if only_best:
        out.print(Text(f"then, of the best point alone: {', '.join(only_best)}"))
    for point in sweeping.points[:NUM_SHOWN]:
        to_do = ", ".join(outlook.own[point.number])
        out.print(Text(f"  {point.number:{len(str(num))}}  {point}  ").append(to_do or "nothing of its own", style="dim"))
    if num > NUM_SHOWN:
        out.print(f"  ... and {num - NUM_SHOWN:,} more (--json shows all)", style="dim")
    return 0


def _rungs(sweeping: Sweeping) -> str:
    num, told = len(sweeping.points), []
    for epochs in rungs(list(sweeping.pipelines.values()), sweeping.sweep.reduction):
        told.append(f"{num} of {epochs} epoch{'s' if epochs > 1 else ''}")
        num = num_kept(num, sweeping.sweep.reduction)
    return ", then ".join(told)


def _json(result: SweepResult) -> dict[str, Any]:
    trials = [
        {
            "point": t.point.number,
            "changes": dict(t.point.changes),
            "state": t.state,
            "epochs": t.epochs,
            "figures": t.figures,
            "run": t.run,
            "error": t.error or None,
            "seconds": round(t.seconds, 3),
        }
        for t in result.trials
    ]
    best = result.best.point.number if result.best else None
    whole = result_json(result.result) if result.result else None
    return {"sweep": result.id, "by": result.by, "direction": result.direction, "best": best, "trials": trials, "result": whole}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def _after(trial: Trial) -> str:
    return f"{trial.epochs} epoch{'s' if trial.epochs != 1 else ''}"
