"""Which steps a person asks for, beyond what is not done: some made anew, or only some at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from raypipe.core.errors import ConfigError, Problem, nearest
from raypipe.pipeline.graph import downstream, reads
from raypipe.pipeline.node import Pipeline


@dataclass(frozen=True)
class Chosen:
    """By default: what is not done is made, and nothing else."""

    force: frozenset[str] = frozenset()
    """Made anew, though they are done."""
    only: frozenset[str] = frozenset()
    """Nothing else is made; what they read must be there. None: every step."""
    called: str | None = None
    """The step that a failure called for."""

    @classmethod
    def of(cls, pipeline: Pipeline, force: Sequence[str] = (), since: Sequence[str] = (), only: Sequence[str] = ()) -> Chosen:
        """`since`: these steps, and all that read them, are made anew. The name of a sub-pipeline means all of its steps. ConfigError for
        names of no step."""
        options = {"--force": force, "--from": since, "--only": only}
        wrong = [
            Problem(option, f"there is no step '{name}'.{nearest(name, pipeline.nodes)}")
            for option, names in options.items()
            for name in names
            if not _meant(name, pipeline)
        ]
        if wrong:
            raise ConfigError(wrong)
        forced, begun, alone = ([step for name in names for step in _meant(name, pipeline)] for names in options.values())
        behind = {other for name in begun for other in (name, *downstream(pipeline.nodes, name))}
        return cls(frozenset((*forced, *behind)), frozenset(alone))

    def asks_for(self, name: str) -> bool:
        return not self.only or name in self.only

    def concerned(self, pipeline: Pipeline) -> Collection[str]:
        """The steps that a run has to look at: those asked for, and all that they are made from."""
        if not self.only:
            return pipeline.nodes.keys()
        found, left = set(), list(self.only)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += reads(pipeline.nodes[name])
        return found


EVERY_STEP = Chosen()


def _meant(name: str, pipeline: Pipeline) -> list[str]:
    """The step of that name, or those of the sub-pipeline."""
    return [name] if name in pipeline.nodes else [step for step in pipeline.nodes if step.startswith(f"{name}.")]
