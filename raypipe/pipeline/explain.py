"""What each step that passes over files does in each pass, before anything runs."""

from __future__ import annotations

from typing import Any

from raypipe.core.explain import Explained
from raypipe.core.step import Columns
from raypipe.pipeline.build import build_step
from raypipe.pipeline.check import columns_of
from raypipe.pipeline.graph import order
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Plan, Scene


def explained(pipeline: Pipeline, scene: Scene, plan: Plan | None = None) -> dict[str, Explained]:
    """Step -> its passes, of the steps that say them by a method `explain(**columns_of_inputs)`. The pipeline has passed `check`."""
    there = {s.name: s.artifact for s in plan.steps if s.ready} if plan else {}
    found: dict[str, Explained] = {}
    known: dict[str, Columns] = {}
    for name in order(pipeline.nodes):
        node = pipeline.nodes[name]
        step: Any = build_step(node, scene.search)
        inputs = {edge: known[ref] for edge, ref in node.refs.items() if ref is not None}
        if hasattr(step, "explain"):
            found[name] = Explained(step.explain(**inputs), tuple(ref for ref in node.refs.values() if ref in found))
        told = step.columns(**inputs) if hasattr(step, "columns") else None
        known[name] = columns_of(there.get(name)) or told or Columns(None)
    return found
