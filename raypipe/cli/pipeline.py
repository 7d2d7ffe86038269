"""check, plan and run: a config composed, then looked at or carried out."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.config.compose import compose
from raypipe.core.errors import ConfigError, Problem
from raypipe.core.interpreter import uncollected
from raypipe.core.place import find_project
from raypipe.pipeline.assemble import assemble
from raypipe.pipeline.build import component
from raypipe.pipeline.chosen import Chosen
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Plan, Scene, open_scene

if TYPE_CHECKING:
    from raypipe.config.compose import Composed


@dataclass(frozen=True)
class Opened:
    """A composed pipeline where it would run."""

    composed: Composed
    pipeline: Pipeline
    scene: Scene
    cluster: Any
    tracker: Any = field(default=None)


@uncollected()
def open_pipeline(options: argparse.Namespace) -> Opened:
    """Composes, assembles and opens ledger and store. ConfigError with every problem."""
    if not 0 < options.sample <= 1:
        raise ConfigError([Problem("--sample", f"found {options.sample:g}, expected a share above 0 and at most 1.")])
    folder = Path(options.config_dir)
    composed = compose(folder, config_name(folder, options.config_name), options.overrides)
    place = find_project(folder, Path.cwd())
    search = (place.path,)
    pipeline = assemble(composed.values, search)
    pipeline.overrides = options.overrides
    cluster, tracker = (component(composed.values[k], search) for k in ("cluster", "tracker"))
    return Opened(composed, pipeline, open_scene(sample=options.sample, place=place), cluster, tracker)


def config_name(folder: Path, name: str | None) -> str:
    """The name given, or the one config that the folder holds."""
    if name is not None:
        return name.removesuffix(".yaml")
    found = sorted(p.stem for p in folder.glob("*.yaml"))
    if len(found) == 1:
        return found[0]
    held = f"it holds {', '.join(found)}" if found else "it holds none"
    raise ConfigError([Problem("-cn", f"which config of {folder}? {held}. Name it with -cn NAME, and its folder with -cd FOLDER.")])


def check(options: argparse.Namespace) -> int:
    """Exit code 0 where the pipeline can start."""
    from raypipe.pipeline.check import check as problems_of
    from raypipe.pipeline.figures import not_foreseen

    opened = open_pipeline(options)
    problems = problems_of(opened.pipeline, opened.scene, opened.cluster)
    if problems:
        raise ConfigError(problems)
    notes = not_foreseen(opened.pipeline, opened.scene.search)
    if options.json:
        print(json.dumps({"pipeline": opened.pipeline.name, "steps": list(opened.pipeline.nodes), "problems": [], "notes": notes}))
    else:
        count = len(opened.pipeline.nodes)
        print("\n".join([f"{opened.pipeline.name}: {count} step{'s' if count > 1 else ''}, nothing wrong.", *notes]))
    return 0


def plan(options: argparse.Namespace) -> int:
    """The plan, a line a step; with --explain, what each pass over the files of a table consists of."""
    from raypipe.cli.explain import pass_lines
    from raypipe.cli.terminal import plan_lines
    from raypipe.pipeline.explain import explained
    from raypipe.pipeline.figures import not_foreseen
    from raypipe.pipeline.run import checked_plan

    opened = open_pipeline(options)
    found = checked_plan(opened.pipeline, opened.scene, opened.cluster, _chosen(opened, options))
    passes = explained(opened.pipeline, opened.scene, found) if options.explain else {}
    if options.json:
        told = {"passes": {name: [asdict(one) for one in some.passes] for name, some in passes.items()}} if options.explain else {}
        print(json.dumps({"pipeline": opened.pipeline.name, "steps": plan_json(found), **told}, indent=2))
    else:
        plan_lines(found, not_foreseen(opened.pipeline, opened.scene.search, {s.name for s in found.steps if s.ready}))
        for name, some in passes.items():
            pass_lines(name, some)
    return 0


def _chosen(opened: Opened, options: argparse.Namespace) -> Chosen:
    debugged = [name] if (name := getattr(options, "debug", None)) else []
    return Chosen.of(opened.pipeline, [*options.force, *debugged], options.since, [*options.only, *debugged])


def plan_json(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"step": s.name, "state": s.state, "why": s.why, "fingerprint": s.fingerprint, "standing": s.standing.state if s.standing else None}
        for s in plan.steps
    ]


def run(options: argparse.Namespace) -> int:
    """Runs, showing a line a step; the exit code says how it ended."""
    with uncollected():
        from raypipe.cli.terminal import Terminal, result_json
        from raypipe.core.cluster import Debug
        from raypipe.pipeline.driver import Options
        from raypipe.pipeline.news import news
        from raypipe.pipeline.run import run as run_pipeline

    opened = open_pipeline(options)
    if options.if_new and not news(opened.pipeline, opened.scene):
        print(json.dumps({"pipeline": opened.pipeline.name, "state": "nothing new"}) if options.json else "nothing new in any source")
        return 0
    terminal = Terminal(opened.pipeline, quiet=options.json, plain=bool(options.debug))
    how = Options(
        cluster=Debug() if options.debug else opened.cluster,
        chosen=_chosen(opened, options),
        tracker=opened.tracker,
        wait=not options.no_wait,
        on_event=terminal.on_event,
        config=opened.composed.unresolved,
        command=shlex.join(["raypipe", *sys.argv[1:]]),
    )
    with terminal:
        result = run_pipeline(opened.pipeline, opened.scene, how)
    if options.json:
        print(json.dumps(result_json(result), indent=2))
    else:
        terminal.end(result)
    return result.exit_code
