"""What a run would do and why, known beforehand: from nodes, the ledger and the state of the sources, without Ray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from raypipe.core.artifact import Artifact, File, Json, Table
from raypipe.core.ledger import Ledger
from raypipe.core.place import Place, find_project
from raypipe.core.step import Look, Standing
from raypipe.core.store import Store
from raypipe.pipeline import fingerprint as prints
from raypipe.pipeline.build import build_step, defines
from raypipe.pipeline.graph import order
from raypipe.pipeline.node import Node, Pipeline
from raypipe.pipeline.why import difference

State = Literal["HIT", "RUN", "RESUME", "MAYBE", "SKIP", "BLOCKED", "FAILED"]
"""FAILED only in a run: a step whose failure stops nothing but what reads it."""


@dataclass(frozen=True)
class Scene:
    """Where a pipeline is planned and run."""

    place: Place
    ledger: Ledger
    store: Store
    sample: float = 1.0

    @property
    def search(self) -> tuple[Path, ...]:
        return (self.place.path,)

    def look(self, pipeline: str, step: str) -> Look:
        return Look(self.place.name, self.place.path, pipeline, step, self.ledger, self.store, self.sample)


@dataclass(frozen=True)
class PlannedStep:
    """What a run would do with one step."""

    name: str
    state: State
    why: str
    artifact: Artifact | None = None
    """The artifact that is there already: of a HIT, and of an effect step that must act again."""
    identity: Mapping[str, Json] | None = None
    """The document whose digest is the fingerprint; None where an input is not made yet."""
    standing: Standing | None = None
    """Of an effect step that is a HIT: how the world compares."""
    made: bool = False
    """It was made in this run."""

    @property
    def ready(self) -> bool:
        """Its artifact is there for the steps that read it."""
        return self.artifact is not None and (self.made or self.state == "HIT")

    @property
    def fingerprint(self) -> str | None:
        return prints.fingerprint(self.identity) if self.identity is not None else None


@dataclass(frozen=True)
class Plan:
    """The steps of a pipeline in the order in which they would run."""

    pipeline: Pipeline
    steps: tuple[PlannedStep, ...]

    @property
    def nothing_to_do(self) -> bool:
        return all(s.state in ("HIT", "SKIP") for s in self.steps)


def open_scene(project_path: Path | str | None = None, sample: float = 1.0, place: Place | None = None) -> Scene:
    """The scene of the project that `project_path`, or the working directory, lies in."""
    where = place or find_project(None, Path(project_path) if project_path else Path.cwd())
    return Scene(where, Ledger.open(where.ledger_url, where.name), Store.open(where.store_root), sample)


def plan(pipeline: Pipeline, scene: Scene | None = None) -> Plan:
    """HIT, RUN, RESUME, MAYBE, SKIP or BLOCKED for each step, and the cause. Imports neither Ray nor torch nor the user's modules."""
    scene = scene or open_scene(pipeline.project_path)
    planned: dict[str, PlannedStep] = {}
    for name in order(pipeline.nodes):
        planned[name] = plan_step(pipeline, name, planned, scene)
    return Plan(pipeline, tuple(planned.values()))


def plan_step(pipeline: Pipeline, name: str, upstream: Mapping[str, PlannedStep], scene: Scene, claimed: bool = False) -> PlannedStep:
    """One step, given what is planned, or done, of the steps that it reads; `claimed`: its lease is our own."""
    node = pipeline.nodes[name]
    refs = {edge: ref for edge, ref in node.refs.items() if ref is not None}
    stopped = _stopped(name, node, {ref: upstream[ref] for ref in refs.values()}, scene)
    if stopped:
        return stopped
    own = prints.own_identity(node, scene.search)
    unmade = [ref for ref in refs.values() if not upstream[ref].ready]
    if unmade:
        return _before_inputs(pipeline.name, name, node, own, unmade, scene)
    return _with_inputs(pipeline.name, name, node, own, {e: upstream[r].artifact for e, r in refs.items()}, scene, claimed)


def _stopped(name: str, node: Node, upstream: Mapping[str, PlannedStep], scene: Scene) -> PlannedStep | None:
    for ref, step in upstream.items():
        if step.state in ("SKIP", "BLOCKED"):
            return PlannedStep(name, step.state, f"'{ref}' is {'skipped' if step.state == 'SKIP' else 'blocked'}")
        if step.state == "FAILED":
            return PlannedStep(name, "BLOCKED", f"'{ref}' failed")
        if step.ready and step.artifact is not None and step.artifact.figures.get("passed") is False:
            return PlannedStep(name, "SKIP", f"'{ref}' said no")
    if scene.sample < 1 and defines(node, "standing", scene.search):
        return PlannedStep(name, "SKIP", "a run on a sample changes nothing in the world")
    return None


def _before_inputs(pipeline: str, name: str, node: Node, own: dict[str, Json], unmade: list[str], scene: Scene) -> PlannedStep:
    nearest = scene.ledger.nearest(pipeline, name)
    reason = difference(nearest[1] if nearest else None, own, node.refs)
    if reason:
        return PlannedStep(name, "RUN", reason)
    return PlannedStep(name, "MAYBE", f"a HIT if {_names(unmade)} {'comes' if len(unmade) == 1 else 'come'} out the same")


def _with_inputs(
    pipeline: str, name: str, node: Node, own: dict[str, Json], inputs: dict[str, Any], scene: Scene, claimed: bool = False
) -> PlannedStep:
    look, search = scene.look(pipeline, name), scene.search
    observed: Json = None
    if defines(node, "observe", search):
        observed = build_step(node, search).observe(look, **inputs)
    if scene.sample < 1 and not inputs:
        own = {**own, "sample": scene.sample}
    document = prints.identity(own, {e: inputs[e].digest for e in prints.identity_edges(node)}, observed)
    print_ = prints.fingerprint(document)
    found = None if "uncached" in own else scene.ledger.find(print_)
    if found is None:
        return _to_run(pipeline, name, node, document, print_, look, claimed)
    lost = next((f.path for f in _files(found, scene) if not scene.store.holds(f)), None)
    if lost:
        return PlannedStep(name, "RUN", f"the store has lost {lost}", found, document)
    if defines(node, "stale", search) and (why := build_step(node, search).stale(look, found)):
        return PlannedStep(name, "RUN", why, found, document)
    if not defines(node, "standing", search):
        return PlannedStep(name, "HIT", "", found, document)
    standing = build_step(node, search).standing(look, found, **inputs)
    state: State = "RUN" if standing.state == "lost" else "HIT"
    return PlannedStep(name, state, standing.why, found, document, standing)


def _files(found: Artifact, scene: Scene) -> Iterable[File]:
    """What must be there for a HIT. A table's artifact names the files that its own step wrote: its snapshot may hold earlier ones too."""
    if not isinstance(found, Table) or _is_whole(found):
        return found.files
    from raypipe.data.lake.snapshot import files, find

    with scene.ledger.reading() as connection:
        snapshot = find(connection, scene.ledger.project, found.name, found.snapshot)
        return dict.fromkeys((*files(connection, snapshot), *found.files))


def _is_whole(table: Table) -> bool:
    """Whether its own step wrote every file of the snapshot, as most do: then nothing is to be asked of the catalog."""
    written = [name for file in table.files if (name := file.path.rpartition("/")[2]).endswith(".parquet")]
    return len(written) == table.figures.get("num_fragments") and not any(name.startswith("deletes-") for name in written)


def _to_run(pipeline: str, name: str, node: Node, document: dict[str, Json], print_: str, look: Look, claimed: bool) -> PlannedStep:
    holder = None if claimed else look.ledger.holder(print_)
    if holder is not None:
        return PlannedStep(name, "BLOCKED", holder[1], None, document)
    search = (look.project_path,)
    if defines(node, "resumes", search):
        point = build_step(node, search).resumes(look, print_)
        if point:
            return PlannedStep(name, "RESUME", point, None, document)
    nearest = look.ledger.nearest(pipeline, name)
    why = difference(nearest[1] if nearest else None, document, node.refs)
    return PlannedStep(name, "RUN", why or "made before, but its record was replaced", None, document)


def _names(names: list[str]) -> str:
    quoted = [f"'{n}'" for n in dict.fromkeys(names)]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
