"""What a run would do and why, known beforehand: from nodes, the ledger and the state of the sources, without Ray."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from raypipe.code.settled import settled
from raypipe.code.shape import shape
from raypipe.core.artifact import Artifact, File, Json, Table
from raypipe.core.errors import DataError
from raypipe.core.ledger import Ledger
from raypipe.core.meter import Cost
from raypipe.core.place import Place, find_project
from raypipe.core.step import Look, Standing
from raypipe.core.store import Store
from raypipe.pipeline import fingerprint as prints
from raypipe.pipeline.build import build_step, defines
from raypipe.pipeline.cause import cause
from raypipe.pipeline.chosen import EVERY_STEP, Chosen
from raypipe.pipeline.condition import Condition
from raypipe.pipeline.edge import edge_of
from raypipe.pipeline.execution import AS_IT_COMES, Execution
from raypipe.pipeline.fingerprint import without
from raypipe.pipeline.graph import order
from raypipe.pipeline.node import Node, Pipeline

Nearest = tuple[Artifact, Json]
"""An artifact with its identity document."""

NUM_EARLIER = 100
"""So many of a step's artifacts are looked at for one that was made as it is asked for now, where its inputs are not there yet."""

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
    skipped: Literal["", "condition", "unasked"] = ""
    """Of a SKIP: `condition`: what may do without it runs; `unasked`: what needs it cannot run."""
    cost: Cost | None = None
    """What making it took in this run."""

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


def plan(pipeline: Pipeline, scene: Scene | None = None, chosen: Chosen = EVERY_STEP) -> Plan:
    """HIT, RUN, RESUME, MAYBE, SKIP or BLOCKED for each step, and the cause. Imports neither Ray nor torch nor the user's modules."""
    scene = scene or open_scene(pipeline.project_path)
    planned: dict[str, PlannedStep] = {}
    with settled():
        for name in order(pipeline.nodes):
            planned[name] = plan_step(pipeline, name, planned, scene, chosen=chosen)
    return Plan(pipeline, tuple(planned.values()))


def plan_step(
    pipeline: Pipeline,
    name: str,
    upstream: Mapping[str, PlannedStep],
    scene: Scene,
    claimed: bool = False,
    chosen: Chosen = EVERY_STEP,
) -> PlannedStep:
    """One step, given what is planned, or done, of the steps that it reads; `claimed`: its lease is our own."""
    found = _Prospect(pipeline, name, upstream, scene, claimed, chosen).planned()
    if chosen.asks_for(name) or found.state in ("HIT", "SKIP"):
        return found
    return PlannedStep(name, "SKIP", f"not asked for ({found.state}{': ' if found.why else ''}{found.why})", skipped="unasked")


@dataclass(frozen=True)
class _Prospect:
    """What would be done with one step."""

    pipeline: Pipeline
    name: str
    upstream: Mapping[str, PlannedStep]
    scene: Scene
    claimed: bool
    chosen: Chosen

    @property
    def node(self) -> Node:
        return self.pipeline.nodes[self.name]

    @property
    def execution(self) -> Execution:
        return self.pipeline.execution.get(self.name, AS_IT_COMES)

    def planned(self) -> PlannedStep:
        condition = Condition(self.execution.when) if self.execution.when else None
        if stopped := self._stopped() or (condition and self._conditioned(condition)):
            return stopped
        refs = {edge: ref for edge, ref in self.node.refs.items() if ref is not None and self.upstream[ref].state != "SKIP"}
        unmade = [ref for ref in refs.values() if not self.upstream[ref].ready]
        own = without(prints.own_identity(self.node, self.scene.search), self.execution.ignored)
        if unmade:
            found = self._before_inputs(own, unmade)
        else:
            found = self._with_inputs(own, {edge: self.upstream[ref].artifact for edge, ref in refs.items()})
        if condition and not self._are_ready(condition):
            return PlannedStep(self.name, "MAYBE", f"when {condition.text}{'; ' if found.why else ''}{found.why}", found.artifact)
        return found

    def _stopped(self) -> PlannedStep | None:
        """What keeps the step from being made, whatever its own state."""
        failing = [step for step, execution in self.pipeline.execution.items() if execution.on_failure_step == self.name]
        if failing and self.chosen.called != self.name:
            return PlannedStep(self.name, "SKIP", f"runs where {_names(failing)} fails", skipped="condition")
        for edge, ref in self.node.refs.items():
            if ref is not None and (stopped := self._stopped_by(edge, ref, self.upstream[ref])):
                return stopped
        if self.scene.sample < 1 and defines(self.node, "standing", self.scene.search):
            return PlannedStep(self.name, "SKIP", "a run on a sample changes nothing in the world")
        return None

    def _stopped_by(self, edge: str, ref: str, step: PlannedStep) -> PlannedStep | None:
        if step.state == "SKIP":
            if step.skipped == "condition" and edge_of(shape(self.node.target, self.scene.search), edge).optional:
                return None
            if step.skipped == "unasked" and self.chosen.asks_for(self.name):
                return PlannedStep(self.name, "BLOCKED", f"'{ref}' is not made, and {step.why}")
            return PlannedStep(self.name, "SKIP", f"'{ref}' is skipped", skipped=step.skipped)
        if step.state in ("BLOCKED", "FAILED"):
            return PlannedStep(self.name, "BLOCKED", f"'{ref}' {'failed' if step.state == 'FAILED' else 'is blocked'}")
        if step.ready and step.artifact is not None and step.artifact.figures.get("passed") is False:
            return PlannedStep(self.name, "SKIP", f"'{ref}' said no")
        return None

    def _conditioned(self, condition: Condition) -> PlannedStep | None:
        """Where the figures are there and the condition does not hold."""
        for ref in condition.reads:
            state = self.upstream[ref].state
            if state == "SKIP":
                return PlannedStep(self.name, "SKIP", f"'{ref}' is skipped", skipped="condition")
            if state in ("BLOCKED", "FAILED"):
                return PlannedStep(self.name, "BLOCKED", f"'{ref}' {'failed' if state == 'FAILED' else 'is blocked'}")
        if not self._are_ready(condition):
            return None
        figures = {ref: artifact.figures for ref in condition.reads if (artifact := self.upstream[ref].artifact)}
        where = f"execution.{self.name}.when"
        try:
            if condition.holds(where, figures):
                return None
        except DataError as error:
            if self.claimed:
                raise
            return PlannedStep(self.name, "BLOCKED", str(error))  # it is the step that fails when its turn comes, and not the plan
        return PlannedStep(self.name, "SKIP", f"{condition.said(where, figures)}: not {condition.text}", skipped="condition")

    def _are_ready(self, condition: Condition) -> bool:
        return all(self.upstream[ref].ready for ref in condition.reads)

    def _before_inputs(self, own: dict[str, Json], unmade: list[str]) -> PlannedStep:
        if again := self._again():
            return PlannedStep(self.name, "RUN", again)
        nearest = self._nearest()
        reason = self._cause(nearest, without(nearest[1], self.execution.ignored) if nearest else None, own)
        come = f"{_names(unmade)} {'comes' if len(unmade) == 1 else 'come'} out"
        if not reason:
            return PlannedStep(self.name, "MAYBE", f"a HIT if {come} the same")
        if self._was_made(own):
            return PlannedStep(self.name, "MAYBE", f"a HIT if {come} as when it was last made so ({reason})")
        return PlannedStep(self.name, "RUN", reason)

    def _was_made(self, own: dict[str, Json]) -> bool:
        """Whether one of its artifacts was made by all that shapes it but its inputs: a setting that was changed, and changed back."""
        if "uncached" in own:
            return False
        for earlier in self.scene.ledger.identities(self.pipeline.name, self.name, NUM_EARLIER):
            document = without(earlier, self.execution.ignored)
            if {key: document.get(key) for key in own} == own:
                return True
        return False

    def _with_inputs(self, own: dict[str, Json], inputs: dict[str, Any]) -> PlannedStep:
        look, search, node = self.scene.look(self.pipeline.name, self.name), self.scene.search, self.node
        if self.scene.sample < 1 and not inputs:
            own = {**own, "sample": self.scene.sample}
        edges = [e for e in prints.identity_edges(node) if e in inputs]
        document = without(prints.identity(own, {e: inputs[e].digest for e in edges}, None), self.execution.ignored)
        if _observes(node, search):
            observed = build_step(node, search).observe(replace(look, identity=document), **inputs)
            document = without({**document, "observed": observed}, self.execution.ignored)
        found, nearest = self._found(document) if "uncached" not in own else (None, self._nearest())
        if again := self._again():
            return PlannedStep(self.name, "RUN", again, found, document)
        if found is None:
            return self._to_run(document, replace(look, identity=document), inputs, nearest)
        lost = next((f.path for f in _files(found, self.scene) if not self.scene.store.holds(f)), None)
        if lost:
            return PlannedStep(self.name, "RUN", f"the store has lost {lost}", found, document)
        if defines(node, "stale", search) and (why := build_step(node, search).stale(look, found)):
            return PlannedStep(self.name, "RUN", why, found, document)
        if not defines(node, "standing", search):
            return PlannedStep(self.name, "HIT", "", found, document)
        standing = build_step(node, search).standing(look, found, **inputs)
        state: State = "RUN" if standing.state == "lost" else "HIT"
        return PlannedStep(self.name, state, standing.why, found, document, standing)

    def _nearest(self) -> Nearest | None:
        return self.scene.ledger.nearest(self.pipeline.name, self.name)

    def _cause(self, nearest: Nearest | None, before: Json, now: dict[str, Json]) -> str:
        return cause(nearest, before, now, self.node, self.pipeline.overrides, self.scene.ledger, self.scene.search)

    def _again(self) -> str:
        """Why it is made anew, though it may be there."""
        if self.chosen.called == self.name:
            return "called for by a failure"
        if self.name in self.chosen.force:
            return "asked for anew"
        return "" if self.execution.caches else "not cached (cache: off)"

    def _found(self, document: dict[str, Json]) -> tuple[Artifact | None, Nearest | None]:
        """The live artifact of that identity; of a step that ignores something, the newest one that differs in no more than that. Where
        there is none, the newest artifact of the step beside it."""
        found, nearest = self.scene.ledger.find_or_nearest(prints.fingerprint(document), self.pipeline.name, self.name)
        if found is None and self.execution.ignored and nearest and without(nearest[1], self.execution.ignored) == document:
            found = self.scene.ledger.find(nearest[0].fingerprint)
        return found, nearest

    def _to_run(self, document: dict[str, Json], look: Look, inputs: dict[str, Any], nearest: Nearest | None) -> PlannedStep:
        print_ = prints.fingerprint(document)
        holder = None if self.claimed else look.ledger.holder(print_)
        if holder is not None:
            return PlannedStep(self.name, "BLOCKED", holder[1], None, document)
        why = self._cause(nearest, nearest[1] if nearest else None, document) or _replaced(look, nearest)
        if defines(self.node, "resumes", self.scene.search):
            point = build_step(self.node, self.scene.search).resumes(look, print_)
            if point:
                return PlannedStep(self.name, "RESUME", f"{why}; {point}" if nearest else point, None, document)
        if nearest and defines(self.node, "foresees", self.scene.search):
            why = "; ".join(filter(None, (why, build_step(self.node, self.scene.search).foresees(look, **inputs))))
        return PlannedStep(self.name, "RUN", why, None, document)


def _replaced(look: Look, nearest: Nearest | None) -> str:
    """Why something that was made before is not found any more."""
    from raypipe.core.released import of

    with look.ledger.reading() as connection:
        gone = of(connection, look.ledger.project, nearest[0].id) if nearest else None
    return f"made before, and {gone}" if gone else "made before, but its record was replaced"


def _observes(node: Node, search: tuple[Path, ...]) -> bool:
    """Whether the step looks at anything outside the graph: some do so with certain settings only, and are not built otherwise."""
    asked = getattr(prints.own_class(node.target), "observes", None) if node.target.startswith("raypipe.") else None
    return defines(node, "observe", search) and (asked is None or asked(node.settings))


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


def _names(names: list[str]) -> str:
    quoted = [f"'{n}'" for n in dict.fromkeys(names)]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
