"""Which steps may start: those whose inputs are there, in the order of the pipeline."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from raypipe.pipeline.graph import order, reads
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import PlannedStep


class Schedule:
    """What is left of a pipeline."""

    def __init__(self, pipeline: Pipeline, names: Collection[str]):
        self._on_failure = {e.on_failure_step for e in pipeline.execution.values()} - {None}
        self._left = [name for name in order(pipeline.nodes) if name in names]
        others = {name for name in self._left if name not in self._on_failure}
        # What only a failure starts comes last: by then it is known that there was none.
        self._after = {name: others if name in self._on_failure else set(reads(pipeline.nodes[name])) for name in self._left}
        self._reads = {name: set(reads(pipeline.nodes[name])) for name in self._left}
        self._is_closed = False
        self._called: set[str] = set()
        """Steps that failures call for: they start though it is closed."""

    def ready(self, done: Mapping[str, PlannedStep], room: int) -> list[str]:
        """As many as there is room for; each is handed out once."""
        found = []
        for name in self._left:
            if len(found) == room:
                break
            if self._after[name] <= done.keys() and (not self._is_closed or name in self._called):
                found.append(name)
        for name in found:
            self._left.remove(name)
        return found

    def close(self, then: str | None = None) -> None:
        """Nothing new starts, but for the step that a failure calls for, where what it reads is there."""
        self._is_closed = True
        if then in self._left:
            self._called.add(then)
            self._after[then] = self._reads[then]
