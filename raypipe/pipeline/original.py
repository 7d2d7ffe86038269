"""What made a model: the steps of its run with what they made, the code, and the tables that came from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from raypipe.core.artifact import Artifact, Evaluation, Json, Table
from raypipe.core.errors import ConfigError, DataError, Problem
from raypipe.core.ledger import Run
from raypipe.pipeline.graph import order, reads
from raypipe.pipeline.kept import pipeline_of
from raypipe.pipeline.node import Node, Pipeline
from raypipe.pipeline.plan import Scene

FROM_TABLE = "raypipe.steps.from_table.FromTable"
SOURCES = ("raypipe.steps.ingest.Ingest", FROM_TABLE)
"""Steps that take rows from outside the graph: in their place the very snapshot is read."""
MASK = re.compile(r"\*\*\*[0-9a-f]{8}")


@dataclass(frozen=True)
class Original:
    """A model as it was made, and what is needed to make it again."""

    version: str
    """NAME@NUMBER."""
    model: str
    """The step that made it."""
    run: Run
    pipeline: Pipeline
    """The steps that the model was made from, its own, and those that evaluated it."""
    artifacts: Mapping[str, Artifact]
    """What each of them had made."""
    identities: Mapping[str, Mapping[str, Json]]
    code: Mapping[str, Json]
    """Module -> its source, and whether it is a package."""
    environment: Mapping[str, Json]

    @property
    def sources(self) -> dict[str, Table]:
        """The steps whose rows came from outside, with the snapshot that each had taken."""
        nodes = self.pipeline.nodes
        return {name: a for name, a in self.artifacts.items() if nodes[name].target in SOURCES and isinstance(a, Table)}

    def rerun(self, snapshots: Mapping[str, tuple[str, int]]) -> Pipeline:
        """The same pipeline, with each source replaced by the table and snapshot that hold its rows."""
        read = {step: Node(FROM_TABLE, {"name": name, "at": number}) for step, (name, number) in snapshots.items()}
        return Pipeline.of(self.pipeline.name, {**self.pipeline.nodes, **read})

    def write_code(self, folder: Path) -> None:
        """The user's modules as they were, under the names that they are imported by."""
        for name, module in self.code.items():
            parts = name.split(".")
            path = folder.joinpath(*parts, "__init__.py") if module["is_package"] else folder.joinpath(*parts[:-1], f"{parts[-1]}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(module["source"])


def original(scene: Scene, ref: str) -> Original:
    """Of `flights@3`, `flights@champion` or `flights`. ConfigError with everything that makes it impossible to run it again."""
    from raypipe.data.lake.forget import forgotten
    from raypipe.registry.versions import resolve

    version, model = resolve(scene.ledger, ref)
    title = f"{version.name}@{version.version}"
    run = scene.ledger.run(model.run)
    kept = scene.ledger.kept(run) if run else {}
    if run is None or not {"pipeline", "code", "environment"} <= kept.keys():
        gone = forgotten(scene.ledger, run.started_at) if run is not None and run.kept else ""
        raise ConfigError([Problem(title, f"of the run that made it, {model.run}, it is not kept what it ran with{gone and f': {gone}'}.")])
    whole = pipeline_of(kept["pipeline"])
    made = {step.step: scene.ledger.artifact(step.artifact) for step in scene.ledger.steps(run.id) if step.artifact}
    names = _concerned(whole, model.step, {name for name, artifact in made.items() if isinstance(artifact, Evaluation)})
    artifacts = {name: artifact for name in names if (artifact := made.get(name)) is not None}
    found = Original(
        title,
        model.step,
        run,
        Pipeline.of(whole.name, {name: whole.nodes[name] for name in names}),
        artifacts,
        {name: scene.ledger.identity(artifact.id) or {} for name, artifact in artifacts.items()},
        kept["code"],
        kept["environment"],
    )
    if problems := list(_problems(found, scene)):
        raise ConfigError(problems)
    return found


def _concerned(pipeline: Pipeline, model: str, evaluations: set[str]) -> list[str]:
    """In the order of the graph."""
    wanted, left = set(), [model]
    while left:
        if (name := left.pop()) not in wanted:
            wanted.add(name)
            left += reads(pipeline.nodes[name])
    wanted |= {name for name in evaluations if wanted.issuperset(reads(pipeline.nodes[name]))}
    return [name for name in order(pipeline.nodes) if name in wanted]


def _problems(found: Original, scene: Scene) -> Iterator[Problem]:
    """What was not kept, or is not there any more."""
    for name, node in found.pipeline.nodes.items():
        if name not in found.artifacts:
            yield Problem(name, f"run {found.run.id} has no record of what it made.")
            continue
        if name in found.sources:
            if lost := _lost(found.sources[name], scene):
                yield Problem(name, lost)
            continue
        identity = found.identities[name]
        if MASK.search(json.dumps(node.settings)):
            yield Problem(name, "a secret stood in its settings; only a digest of it is kept.")
        if identity.get("uncached"):
            yield Problem(name, f"it called code without source: {', '.join(identity['uncached'])}.")
        if identity.get("observed"):
            yield Problem(name, "it looked at something outside the graph, and what it saw is not kept.")
    for module, kept in found.code.items():
        if MASK.search(kept["source"]):
            yield Problem(module, "a secret stood in the source of this module, so that it is not kept whole.")


def _lost(table: Table, scene: Scene) -> str:
    """Why its rows cannot be read any more."""
    from raypipe.data.lake.snapshot import files, find

    try:
        with scene.ledger.reading() as connection:
            snapshot = find(connection, scene.ledger.project, table.name, table.snapshot)
            needed = files(connection, snapshot)
    except DataError as error:
        return f"{error}."
    lost = next((file.path for file in needed if not scene.store.holds(file)), None)
    return f"the store has lost {lost}." if lost else ""
