"""How a run goes, and what is told of it: nothing of it is part of any fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from raypipe.core.artifact import Artifact, Json
from raypipe.core.cluster import Cluster, Local
from raypipe.core.tracker import NoTracker, Tracker
from raypipe.pipeline.chosen import EVERY_STEP, Chosen

if TYPE_CHECKING:
    from raypipe.pipeline.connection import Connection


@dataclass(frozen=True)
class StepEvent:
    """What happened to a step, for whoever shows it."""

    step: str
    what: Literal["started", "progress", "waiting", "retried", "ended", "failed"]
    state: str = ""
    why: str = ""
    artifact: Artifact | None = None
    standing: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Options:
    """How a run goes."""

    cluster: Cluster = field(default_factory=Local)
    """Where Ray runs."""
    tracker: Tracker = field(default_factory=NoTracker)
    """Who else is told of runs and figures."""
    chosen: Chosen = EVERY_STEP
    """Steps that are made anew, or alone."""
    wait: bool = True
    """Wait for a step that another run is making; otherwise leave with LeaseHeld (exit 75)."""
    num_parallel: int = 16
    """Most steps at work at once."""
    on_event: Callable[[StepEvent], None] = lambda event: None
    """Told of each step as it goes, by one thread at a time."""
    config: Json = None
    """The unresolved config, as it is kept with the run."""
    command: str = ""
    """The command line, kept with the run."""
    run: str = ""
    """The run's name; empty: one of its own."""
    connection: Connection | None = None
    """A cluster that several runs share, and that stays when one of them ends."""
