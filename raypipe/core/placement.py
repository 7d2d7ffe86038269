"""What Ray is told of the tasks that a step starts: resources and environment, as its execution says; and what there is to take of."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

from raypipe.core.errors import ClusterError

_options: ContextVar[Mapping[str, Any]] = ContextVar("raypipe_placement")


@contextlib.contextmanager
def placed(options: Mapping[str, Any]) -> Iterator[None]:
    """The tasks that this thread starts in the block are started with these options of Ray's."""
    before = _options.set(options)
    try:
        yield
    finally:
        _options.reset(before)


def ray_options() -> dict[str, Any]:
    """For `ray.remote`, and for Ray Data's operators."""
    return dict(_options.get({}))


STANDS_S = 1.0
"""How long what the cluster has is taken to stay as it is: to ask for it costs 1 ms, and every step does so twice."""

_there: tuple[str, float, Mapping[str, float]] = ("", 0.0, {})
"""Whose resources are known, since when, and what they are."""


def cluster_resources() -> dict[str, float]:
    """What the cluster has in all, by Ray's names."""
    global _there
    import ray

    where, now = ray.get_runtime_context().gcs_address, time.monotonic()
    if _there[0] != where or now - _there[1] > STANDS_S:
        _there = where, now, ray.cluster_resources()
    return dict(_there[2])


def num_nodes() -> int:
    """Machines of the cluster that live."""
    return sum(name.startswith("node:") and name != "node:__internal_head__" for name in cluster_resources())


def most_on_a_node(name: str) -> float:
    """What the node with most of a resource has of it: a task, or a worker, is on one."""
    import ray

    return max((node["Resources"].get(name, 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)


TRIES = 2
"""Times that work is begun whose worker process ends."""
ENDED = f"the worker process ended {TRIES} times before it was done: for want of memory, or by a crash in a library"


def num_at_once(shares: Mapping[str, float], most: int | None = None) -> int:
    """How many tasks run at once that each take these shares of the cluster, and `most` of them. ClusterError where not one does: Ray would
    wait for ever."""
    there = cluster_resources()
    for name, share in shares.items():
        if share > there.get(name, 0):
            raise ClusterError(f"a task of this step asks for {share:g} {name}, and the cluster has {there.get(name, 0):g} in all")
    room = [int(there[name] / share) for name, share in shares.items() if share]
    return min([most, *room] if most else room, default=1)
