"""Successive halving: all points train for a few epochs, the better ones go on from their checkpoints with more.

Jamieson and Talwalkar 2016 (arXiv 1502.07943). Each rung is a run of raypipe's own, so that what was stopped keeps its lease's
artifact and its checkpoint. Ray Tune's ASHA would train in actors, which hold no lease, and keep checkpoints of its own that no later
run finds; and as trainings in one process take turns there is nothing to gain by not waiting for a rung to fill.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from raypipe.core.errors import ConfigError, Problem
from raypipe.pipeline.node import Node, Pipeline
from raypipe.steps.train import Train

TRAIN = f"{Train.__module__}.{Train.__qualname__}"


def rungs(pipelines: Sequence[Pipeline], reduction: int) -> list[int]:
    """The epochs of each rung, the last being those that the pipeline asks for. ConfigError where the points differ in them."""
    asked = {epochs_of(node) for pipeline in pipelines for node in pipeline.nodes.values() if node.target == TRAIN}
    if reduction < 2:
        raise ConfigError([Problem("sweep.reduction", f"found {reduction}, expected at least 2.")])
    if not asked:
        raise ConfigError([Problem("sweep.scheduler", "halving deals out epochs of trainings, and the figures are made from none.")])
    if len(asked) > 1:
        told = f"halving deals out the epochs by itself, and the points ask for {', '.join(map(str, sorted(asked)))}: give one number."
        raise ConfigError([Problem("train.epochs", told)])
    (most,) = asked
    found = [1]
    while found[-1] * reduction < most:
        found.append(found[-1] * reduction)
    return found if found[-1] == most else [*found, most]


def num_kept(num: int, reduction: int) -> int:
    """Of so many points, how many go on."""
    return max(1, math.ceil(num / reduction))


def with_epochs(pipeline: Pipeline, epochs: int) -> Pipeline:
    """The same with trainings of so many epochs."""
    nodes = {name: _of(node, epochs) if node.target == TRAIN else node for name, node in pipeline.nodes.items()}
    return Pipeline.of(pipeline.name, nodes, pipeline.execution)


def epochs_of(node: Node) -> int:
    return node.settings.get("epochs", Train.epochs)


def _of(node: Node, epochs: int) -> Node:
    """In normal form: a default is not written."""
    others = {name: value for name, value in node.settings.items() if name != "epochs"}
    return replace(node, settings=others | ({} if epochs == Train.epochs else {"epochs": epochs}))
