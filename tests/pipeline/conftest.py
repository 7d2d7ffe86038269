"""A project whose steps do what a test wants of them: wait, fail, come back."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raypipe.core.cluster import Local
from raypipe.pipeline.chosen import Chosen
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.options import Options, StepEvent
from raypipe.pipeline.plan import Scene, open_scene
from raypipe.pipeline.run import RunResult, run

STEPS = '''
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from raypipe.core.artifact import Report
from raypipe.core.errors import DataError, StoreError
from raypipe.core.step import Made, Ref, Work


def made(*content: Any, **figures: Any) -> Made[Report]:
    return Made(hashlib.sha256(json.dumps(content).encode()).hexdigest(), figures=figures)


def log(work: Work, text: str) -> None:
    with (work.project_path / "log").open("a") as stream:
        stream.write(f"{work.step} {text} {time.monotonic()}\\n")


@dataclass(frozen=True)
class First:
    """Says a number."""
    driver_only: ClassVar[bool] = True
    value: float = 0.0
    also: int = 0
    def run(self, work: Work) -> Made[Report]:
        log(work, "begins")
        return made(self.value, value=self.value, passed_it=True)


@dataclass(frozen=True)
class Then:
    """Adds to what it reads."""
    driver_only: ClassVar[bool] = True
    before: Ref[Report] = Ref("a")
    other: Ref[Report] | None = None
    value: float = 0.0
    def run(self, work: Work, before: Report, other: Report | None = None) -> Made[Report]:
        log(work, "begins")
        figures = [before.digest, other.digest if other else None, self.value]
        return made(*figures, value=before.figures["value"] + self.value, others=0 if other is None else 1)


@dataclass(frozen=True)
class Slow:
    """Takes its time, looking now and then whether it is to go on; or never, where it is deaf."""
    driver_only: ClassVar[bool] = True
    before: Ref[Report] | None = None
    seconds: float = 0.5
    deaf: bool = False
    value: int = 0
    def run(self, work: Work, before: Report | None = None) -> Made[Report]:
        log(work, "begins")
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            time.sleep(0.01)
            if not self.deaf:
                work.alive()
        log(work, "ends")
        return made(self.value, value=self.value)


@dataclass(frozen=True)
class Takes:
    """Takes CPUs of the cluster for a while."""
    cpus: int = 1
    seconds: float = 0.3
    value: int = 0
    def needs(self) -> dict[str, float]:
        return {"CPU": float(self.cpus)}
    def run(self, work: Work) -> Made[Report]:
        log(work, "begins")
        time.sleep(self.seconds)
        log(work, "ends")
        return made(self.value)


@dataclass(frozen=True)
class Fails:
    """Fails so many times."""
    driver_only: ClassVar[bool] = True
    before: Ref[Report] | None = None
    times: int = 1000
    kind: str = "ValueError"
    def run(self, work: Work, before: Report | None = None) -> Made[Report]:
        log(work, "begins")
        begun = (work.project_path / "log").read_text().count(f"{work.step} begins")
        if begun <= self.times:
            kinds = {"ValueError": ValueError, "DataError": DataError, "ConnectionError": ConnectionError, "StoreError": StoreError}
            raise kinds[self.kind](f"failure {begun}")
        return made(value=begun)
'''

NUMBERS = itertools.count()


class Project:
    """A folder with such steps, and what its runs have told."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.module: Any = None
        self.scene: Scene = open_scene(folder)
        self.events: list[StepEvent] = []

    def pipeline(self, steps: dict[str, Any], execution: dict[str, Any] | None = None) -> Pipeline:
        return Pipeline("p", steps=steps, execution=execution, project_path=self.folder)

    def run(self, steps: dict[str, Any], execution: dict[str, Any] | None = None, **options: Any) -> RunResult:
        pipeline = self.pipeline(steps, execution)
        chosen = Chosen.of(pipeline, *(options.pop(name, ()) for name in ("force", "since", "only")))
        return run(pipeline, self.scene, Options(**{"cluster": Local(), "on_event": self.events.append, "chosen": chosen, **options}))

    @property
    def log(self) -> list[str]:
        """`a begins`, line by line."""
        path = self.folder / "log"
        return [line.rpartition(" ")[0] for line in path.read_text().splitlines()] if path.exists() else []

    def told(self, what: str) -> list[str]:
        return [e.why for e in self.events if e.what == what]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """Its steps are in `project.module`: First, Then, Slow, Takes, Fails."""
    name = f"steps{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(STEPS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path)
    made.module = __import__(name)
    yield made
    made.scene.ledger.close()


@pytest.fixture
def states() -> Callable[[RunResult], dict[str, str]]:
    return lambda result: {name: step.state for name, step in result.steps.items()}
