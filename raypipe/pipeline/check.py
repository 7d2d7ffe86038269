"""Everything that can be known to be wrong before Ray starts: edges, columns, marks, reach of ledger and store."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from raypipe.core.artifact import Artifact, Table
from raypipe.core.cluster import Cluster, check_reach
from raypipe.core.errors import ConfigError, Problem
from raypipe.core.step import Columns
from raypipe.pipeline.build import build_step
from raypipe.pipeline.figures import figure_problems
from raypipe.pipeline.graph import order
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Plan, Scene


def check(pipeline: Pipeline, scene: Scene, cluster: Cluster | None = None, plan: Plan | None = None) -> list[Problem]:
    """Every problem of the steps and of where they would run; empty where the pipeline can start. Imports none of the user's modules.

    `plan` tells which tables are there already: their columns are known, whatever their contracts leave open.
    """
    there = {s.name: s.artifact for s in plan.steps if s.ready} if plan else {}
    problems = column_problems(pipeline, scene, there) + figure_problems(pipeline, scene.search)
    if cluster is not None:
        problems += check_reach(cluster, scene.place.ledger_url, scene.place.store_root)
    return problems


def column_problems(pipeline: Pipeline, scene: Scene, there: Mapping[str, Artifact | None] = MappingProxyType({})) -> list[Problem]:
    """Columns and their marks followed from the contracts through every step that declares what it does."""
    problems: list[Problem] = []
    known: dict[str, Columns | None] = {}
    for name in order(pipeline.nodes):
        node = pipeline.nodes[name]
        inputs = {edge: known[ref] for edge, ref in node.refs.items() if ref is not None}
        try:
            step = _Asked(build_step(node, scene.search))
        except ConfigError as error:
            problems += [Problem(f"{name}.{p.where}" if p.where else name, p.what) for p in error.problems]
            known[name] = None
            continue
        problems += step.check(name, inputs)
        known[name] = columns_of(there.get(name)) or step.columns(inputs)
    return problems


def columns_of(made: Artifact | None) -> Columns | None:
    """Those of a table that is there; None of anything else."""
    if not isinstance(made, Table):
        return None
    from raypipe.data.table import TableSchema
    from raypipe.data.types import type_name

    schema = TableSchema.from_json(made.schema)
    types = {field.name: type_name(field.type) for field in schema.arrow}
    return Columns(tuple(types), types, frozenset(schema.known_afterwards), schema.label, schema.features)


class _Asked:
    """A step's optional `check` and `columns`, with defaults for a step that has none."""

    def __init__(self, step: Any):
        self.step = step

    def check(self, where: str, inputs: Mapping[str, Columns | None]) -> list[Problem]:
        return self.step.check(where, **inputs) if hasattr(self.step, "check") else []

    def columns(self, inputs: Mapping[str, Columns | None]) -> Columns | None:
        if not hasattr(self.step, "columns"):
            return None
        known = {edge: columns if columns is not None else Columns(None) for edge, columns in inputs.items()}
        return self.step.columns(**known)
