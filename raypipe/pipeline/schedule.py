"""Which steps may start: those whose inputs are there, in the order of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping

from raypipe.pipeline.graph import order, reads
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import PlannedStep


class Schedule:
    """What is left of a pipeline."""

    def __init__(self, pipeline: Pipeline):
        self._after = {name: set(reads(pipeline.nodes[name])) for name in order(pipeline.nodes)}
        self._on_failure = {e.on_failure_step for e in pipeline.execution.values()} - {None}
        self._left = [name for name in self._after if name not in self._on_failure]

    def ready(self, done: Mapping[str, PlannedStep], room: int) -> list[str]:
        """As many as there is room for; each is handed out once."""
        found = []
        for name in self._left:
            if len(found) == room:
                break
            if self._after[name] <= done.keys():
                found.append(name)
        for name in found:
            self._left.remove(name)
        return found

    def close(self, then: str | None = None) -> None:
        """Nothing new starts, but for the step that a failure calls for."""
        self._left = [then] if then else [name for name in self._left if name in self._on_failure]
