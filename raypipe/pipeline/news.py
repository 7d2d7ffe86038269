"""Whether there is anything new for a pipeline: in its sources, or in its tables since it last ran. Asked without Ray, before a plan."""

from __future__ import annotations

from raypipe.core.artifact import Table
from raypipe.pipeline.build import build_step, defines
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene

RUNS = 200
"""Runs that are looked back through for the last one that went through all steps."""


def news(pipeline: Pipeline, scene: Scene) -> dict[str, str]:
    """The steps for which there is something new, each with what it is; empty where a run would find nothing to do for its data's sake.

    New is what a source has and its table has not, and what others (a follower, a person) took or changed since the last run that went
    through every step of the pipeline. Without such a run everything is new.
    """
    found, seen = {}, _seen(pipeline, scene)
    for name, node in pipeline.nodes.items():
        if not defines(node, "ahead", scene.search):
            continue
        step, look = build_step(node, scene.search), scene.look(pipeline.name, name)
        new = step.ahead(look)
        if step.is_news(new):
            found[name] = new.told
        elif seen.get(name) != _content(scene, step.table_of(look)):
            found[name] = "the table has changed since the last run"
    return found


def _seen(pipeline: Pipeline, scene: Scene) -> dict[str, str]:
    """The content that each step's table had in the last run that went through all steps."""
    for run in scene.ledger.runs(RUNS):
        if run.pipeline != pipeline.name or run.state not in ("DONE", "REFUSED"):
            continue
        steps = {step.step: step for step in scene.ledger.steps(run.id)}
        if steps.keys() >= pipeline.nodes.keys():
            made = {name: scene.ledger.artifact(step.artifact) for name, step in steps.items() if step.artifact}
            return {name: _of(scene, artifact) for name, artifact in made.items() if isinstance(artifact, Table)}
    return {}


def _of(scene: Scene, table: Table) -> str:
    from raypipe.core.errors import DataError
    from raypipe.data.lake.snapshot import find

    with scene.ledger.reading() as connection:
        try:
            return find(connection, scene.ledger.project, table.name, table.snapshot).chain
        except DataError:  # it has expired
            return ""


def _content(scene: Scene, name: str) -> str | None:
    from raypipe.data.lake.snapshot import latest

    with scene.ledger.reading() as connection:
        found = latest(connection, scene.ledger.project, name)
    return found.chain if found else None
