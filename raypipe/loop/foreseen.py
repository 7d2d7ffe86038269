"""What a sweep would do, known beforehand and without Ray: which steps its points share, and which each of them runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raypipe.code.settled import settled
from raypipe.core.artifact import Json
from raypipe.loop.trial import Point
from raypipe.pipeline.fingerprint import fingerprint, identity_edges, own_identity
from raypipe.pipeline.graph import order
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Plan, Scene, plan


@dataclass(frozen=True)
class Foreseen:
    """One step over all points."""

    step: str
    num_points: int
    """Points that have it."""
    num_made: int
    """How many different ones that are: what is the same in two points is made once."""
    states: Mapping[str, int]
    """Of these different ones, by what a run would do."""


@dataclass(frozen=True)
class Outlook:
    """What the points would do."""

    steps: tuple[Foreseen, ...]
    plans: Mapping[int, Plan]
    """Of each point by itself, by its number."""
    own: Mapping[int, tuple[str, ...]]
    """The steps that it would make, less those that an earlier point makes for it."""


def foreseen(pipelines: Mapping[int, Pipeline], scene: Scene) -> Outlook:
    """Over the points' pipelines, by their numbers."""
    with settled():
        plans = {number: plan(pipeline, scene) for number, pipeline in pipelines.items()}
        prints = {number: _prints(pipeline, scene) for number, pipeline in pipelines.items()}
    names = dict.fromkeys(step.name for found in plans.values() for step in found.steps)
    return Outlook(tuple(_step(name, plans, prints) for name in names), plans, _own(plans, prints))


def _own(plans: Mapping[int, Plan], prints: Mapping[int, Mapping[str, str]]) -> dict[int, tuple[str, ...]]:
    seen: set[str] = set()
    own: dict[int, tuple[str, ...]] = {}
    for number, found in plans.items():
        to_do = [step.name for step in found.steps if step.state not in ("HIT", "SKIP")]
        own[number] = tuple(name for name in to_do if prints[number][name] not in seen)
        seen |= {prints[number][name] for name in to_do}
    return own


def left_out(points: Sequence[Point], pipelines: Mapping[int, Pipeline]) -> list[str]:
    """The steps that only the best point runs."""
    return [name for point in points[:1] for name in order(point.pipeline.nodes) if name not in pipelines[point.number].nodes]


def _step(name: str, plans: Mapping[int, Plan], prints: Mapping[int, Mapping[str, str]]) -> Foreseen:
    having = [number for number in plans if name in prints[number]]
    states = {prints[number][name]: step.state for number in having for step in plans[number].steps if step.name == name}
    return Foreseen(name, len(having), len(states), dict(Counter(states.values())))


def _prints(pipeline: Pipeline, scene: Scene) -> dict[str, str]:
    """Step -> a digest of all that it is made from, as far as the pipeline says it: equal ones are made once."""
    found: dict[str, str] = {}
    for name in order(pipeline.nodes):
        node = pipeline.nodes[name]
        document: dict[str, Json] = own_identity(node, scene.search)
        found[name] = fingerprint({**document, "inputs": {edge: found[str(node.refs[edge])] for edge in identity_edges(node)}})
    return found
