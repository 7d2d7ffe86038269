"""Whether any source of a pipeline has something that its table has not taken: asked without Ray, before anything is planned."""

from __future__ import annotations

from raypipe.pipeline.build import build_step, defines
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene


def news(pipeline: Pipeline, scene: Scene) -> dict[str, str]:
    """The steps whose source has something new, each with what it is; empty where a run would find nothing to take."""
    found = {}
    for name, node in pipeline.nodes.items():
        if not defines(node, "ahead", scene.search):
            continue
        step = build_step(node, scene.search)
        new = step.ahead(scene.look(pipeline.name, name))
        if step.is_news(new):
            found[name] = new.told
    return found
