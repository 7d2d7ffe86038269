"""The pipeline as a value: a name and an ordered mapping of named nodes, the same from Python and from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Json

if TYPE_CHECKING:
    from raypipe.pipeline.execution import Execution


@dataclass(frozen=True)
class Node:
    """A step before it is built: `plan` reads nodes only."""

    target: str
    """Import path of the step's class or function, as it is defined (`raypipe.steps.train.Train`)."""
    settings: dict[str, Json] = field(default_factory=dict)
    """JSON values that differ from the declared default; a component is a dict with `_target_`."""
    refs: dict[str, str | None] = field(default_factory=dict)
    """Edge -> the name of the step that it reads; None where an optional edge is left open."""
    after: tuple[str, ...] = ()
    """The steps whose figures its condition reads."""


DEFAULT: Any = {}
"""A slot as it comes: its step with its default settings."""


class Pipeline:
    """The common life of a model by slots, and whatever else under `steps`.

    Each slot takes a step's dataclass, or None to leave the step out. `transform` maps a name to a transform or to a function of Arrow
    tables, and may name its input under `table`; `ingest` holds settings of the Ingest that takes the source. The steps of the model's
    life are there only where a `model` is given. Raises ConfigError with every problem found.
    """

    name: str
    nodes: Mapping[str, Node]
    execution: Mapping[str, Execution]
    """How steps are carried out, of those that say it: no part of the value."""
    overrides: Sequence[str] = ()
    """What of a command line changed the config that it was composed from: no part of the value."""
    project_path: Path | None
    """The project's folder where it was given: no part of the value."""

    def __init__(
        self,
        name: str,
        *,
        source: Any = None,
        ingest: Mapping[str, Any] | None = None,
        contract: Any = None,
        label: str | None = None,
        split: Any = None,
        transform: Mapping[str, Any] | None = DEFAULT,
        model: Any = None,
        train: Any = DEFAULT,
        evaluate: Any = DEFAULT,
        gate: Any = DEFAULT,
        register: Any = DEFAULT,
        infra_validate: Any = DEFAULT,
        deploy: Any = DEFAULT,
        steps: Mapping[str, Any] | None = None,
        execution: Mapping[str, Any] | None = None,
        project_path: Path | str | None = None,
    ):
        from raypipe.pipeline.assemble import assemble
        from raypipe.pipeline.lower import lower, search_paths

        slots = {k: v for k, v in locals().items() if k in SLOT_NAMES}
        lowered = {k: lower(v) for k, v in slots.items()}
        made = assemble({"name": name, **lowered, "execution": execution}, search_paths(project_path))
        self.name, self.nodes, self.execution = made.name, made.nodes, made.execution
        self.project_path = Path(project_path) if project_path else None

    @classmethod
    def of(cls, name: str, nodes: Mapping[str, Node], execution: Mapping[str, Execution] | None = None) -> Pipeline:
        """A pipeline of nodes that are in normal form already."""
        made = cls.__new__(cls)
        made.name, made.nodes, made.execution, made.project_path = name, dict(nodes), dict(execution or {}), None
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and self.name == other.name and dict(self.nodes) == dict(other.nodes)

    def __repr__(self) -> str:
        return f"Pipeline({self.name!r}, steps={list(self.nodes)})"


SLOT_NAMES = (
    "source",
    "ingest",
    "contract",
    "label",
    "split",
    "transform",
    "model",
    "train",
    "evaluate",
    "gate",
    "register",
    "infra_validate",
    "deploy",
    "steps",
)
