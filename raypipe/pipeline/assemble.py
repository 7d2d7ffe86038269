"""Slots and steps as a config says them -> a Pipeline in normal form, or everything wrong with its graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raypipe.code.settled import settled
from raypipe.code.shape import Shape, canonical_value, shape
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem, nearest
from raypipe.pipeline.condition import Condition
from raypipe.pipeline.edge import edges_of, kind_problems
from raypipe.pipeline.execution import execution_problems, executions, failure_problems, ignored_problems
from raypipe.pipeline.graph import edge_problems
from raypipe.pipeline.node import SLOT_NAMES, Node, Pipeline
from raypipe.pipeline.sub import Scope, expanded, is_sub, placed_execution, spread_execution, sub_problems

INGEST = "raypipe.steps.ingest.Ingest"
VALIDATE = "raypipe.steps.validate.Validate"
LEAK_CHECK = "raypipe.steps.leak_check.LeakCheck"
SLOTS = {
    "ingest": INGEST,
    "split": "raypipe.steps.split.Split",
    "transform": "raypipe.steps.transform.Transform",
    "train": "raypipe.steps.train.Train",
    "evaluate": "raypipe.steps.evaluate.Evaluate",
    "gate": "raypipe.steps.gate.Gate",
    "register": "raypipe.steps.register.Register",
    "infra_validate": "raypipe.steps.infra_validate.InfraValidate",
    "deploy": "raypipe.steps.deploy.Deploy",
}
"""Slot -> the step that it holds, in the order of a model's life. The Ingest is the step `source`: the slot `source` says what is taken,
`ingest` how; `contract` adds the step `validate`."""

LIFE = tuple(slot for slot in SLOTS if slot not in ("ingest", "split"))
"""The slots that a model brings with it: each is there unless it is null."""

TRANSFORM_SETTINGS = ("table", "where", "contract", "profile", "refit", "refit_above")
"""What stands in the slot `transform` beside the transforms themselves."""


def assemble(values: Mapping[str, Any], search: Sequence[Path]) -> Pipeline:
    """`values`: name, the slots, and `steps`, as plain JSON. Raises ConfigError with every problem of the graph."""
    with settled():
        return _assembled(values, search)


def _assembled(values: Mapping[str, Any], search: Sequence[Path]) -> Pipeline:
    flat = _Flat(values, search)
    raw, problems = flat.raw, flat.problems
    shapes, more = _shapes(raw, search)
    problems += more
    said = spread_execution(values.get("execution"), list(raw))
    problems += execution_problems(said, list(raw))
    said = flat.executed(said)
    nodes = {name: _node(name, raw[name], found, flat, search) for name, found in shapes.items()}
    problems += [*flat.unbound, *ignored_problems(said, shapes)]
    how = {} if problems else executions(said, list(nodes))
    nodes |= {name: replace(nodes[name], after=Condition(e.when).reads) for name, e in how.items() if e.when}
    if not problems:
        problems = [*flat.unread(), *edge_problems(nodes)]
    if not problems:
        problems = [*kind_problems(nodes, shapes), *failure_problems(said, nodes)]
    if problems:
        raise ConfigError(problems)
    return Pipeline.of(values["name"], nodes, how)


class _Flat:
    """All steps under their names in the whole pipeline, those of sub-pipelines among them."""

    def __init__(self, values: Mapping[str, Any], search: Sequence[Path]):
        self.raw: dict[str, dict[str, Json]] = {}
        self.problems: list[Problem] = []
        self.unbound: list[Problem] = []
        """Names that mean no step where they are written."""
        self.execution: dict[str, dict[str, Json]] = {}
        """What sub-pipelines say of how their steps are carried out."""
        self._scopes: dict[str, Scope] = {}
        self._of: dict[str, Scope] = {}
        self._search = search
        self._add(values, None, "")

    def known(self, name: str) -> Collection[str]:
        """The names that a step may read."""
        return self._of[name].known if name in self._of else self.raw.keys()

    def step(self, name: str, edge: str, ref: str | None) -> str | None:
        """The step that is read by an edge that says `ref`."""
        if ref is None or name not in self._of:
            return ref
        found = self._of[name].step(ref)
        if found is None:
            self.unbound.append(self._of[name].problem(f"{name}.{edge}", ref))
        return found or ref

    def executed(self, said: Any) -> Any:
        """With what sub-pipelines say; what stands around them has the last word."""
        if not self.execution or not isinstance(said, Mapping | None):
            return said
        said = said or {}
        return {**said, **{name: {**options, **(said.get(name) or {})} for name, options in self.execution.items()}}

    def unread(self) -> list[Problem]:
        """Inputs that no step of a sub-pipeline reads, and bindings to what is not there."""
        found = []
        for where, scope in self._scopes.items():
            for name, ref in scope.inputs.items():
                place = f"{where}.inputs.{name}"
                if name in scope.names:
                    found.append(Problem(place, f"'{name}' is a step of the sub-pipeline itself."))
                elif name not in scope.read:
                    found.append(Problem(place, f"no step of the sub-pipeline reads '{name}'."))
                elif (scope.around is None and ref not in self.raw) or (scope.around and scope.around.step(ref) is None):
                    valid = scope.around.known if scope.around else [n for n in self.raw if not n.startswith(scope.prefix)]
                    found.append(Problem(place, f"there is no step '{ref}'.{nearest(ref, valid)}"))
        return found

    def _add(self, values: Mapping[str, Any], scope: Scope | None, where: str) -> None:
        raw, problems = written_steps(values, self._search)
        self.problems += [Problem(f"{where}{p.where}", p.what) for p in problems]
        for name, step in raw.items():
            if is_sub(step):
                self._add_sub(name, step, values, scope, f"{where}steps.{name}")
                continue
            full = f"{scope.prefix}{name}" if scope else name
            self.raw[full] = step
            if scope is not None:
                self._of[full] = scope
                scope.names.append(name)

    def _add_sub(self, name: str, written: Mapping[str, Any], values: Mapping[str, Any], around: Scope | None, where: str) -> None:
        if wrong := sub_problems(where, written, SLOT_NAMES):
            self.problems += wrong
            return
        for own, inner, inputs in expanded(name, written):
            scope = Scope(f"{around.prefix if around else ''}{own}.", inputs, around)
            self._add({"name": f"{values.get('name')}.{own}", **inner}, scope, f"{where}.pipeline.")
            said = spread_execution(inner.get("execution") or {}, scope.known)
            wrong = [*scope.not_own(said), *execution_problems(said, scope.known)]
            self.problems += [Problem(f"{where}.pipeline.{p.where}", p.what) for p in wrong]
            self.execution |= {} if wrong else placed_execution(said, scope)
            self._scopes[where if own == name else f"{where} ({own})"] = scope
            if around is not None:
                around.names += [f"{own}.{inner_name}" for inner_name in scope.names]


def written_steps(values: Mapping[str, Any], search: Sequence[Path]) -> tuple[dict[str, dict[str, Json]], list[Problem]]:
    """Step name -> its dict with `_target_`, after `contract`, `label` and `model` have gone into the steps that use them."""
    problems: list[Problem] = []
    raw: dict[str, dict[str, Json]] = {}
    if values.get("source"):
        raw["source"] = _source(values, search, problems)
        if values.get("contract"):
            raw["validate"] = {"_target_": VALIDATE, "contract": values["contract"]}
    if (values.get("split") or {}).get("by"):
        raw["split"] = {"_target_": SLOTS["split"], **values["split"]}
    raw |= _model_life(values, problems) if values.get("model") else _without_model(values, problems)
    for name, step in (values.get("steps") or {}).items():
        if name in raw or name in SLOTS:
            problems.append(Problem(f"steps.{name}", f"'{name}' is a slot: write it at the top level as `{name}:`."))
        elif step is not None:
            raw[name] = _labelled(step, values.get("label"))
    if not raw and not problems:
        problems.append(
            Problem("source", "the pipeline has no step: give it a source, e.g. source: {_target_: raypipe.Csv, path: data.csv}.")
        )
    return raw, problems


def _labelled(step: Mapping[str, Json], label: str | None) -> dict[str, Json]:
    """The step; a LeakCheck that names no label looks at the pipeline's."""
    is_check = step.get("_target_") in ("raypipe.LeakCheck", LEAK_CHECK)
    return {**step, "label": label} if is_check and label and "label" not in step else dict(step)


def step_names(values: Mapping[str, Any]) -> list[str]:
    """The names that `written_steps` would give, of a config that may have any problem."""
    split, steps = values.get("split"), values.get("steps")
    without_model = ["transform"] if values.get("transform") else []
    life = [slot for slot in LIFE if values.get(slot, {}) is not None] if values.get("model") else without_model
    return [
        *(["source", *(["validate"] if values.get("contract") else [])] if values.get("source") else []),
        *(["split"] if isinstance(split, Mapping) and split.get("by") else []),
        *life,
        *(
            [inner for name, step in steps.items() if step is not None for inner in _names(str(name), step)]
            if isinstance(steps, Mapping)
            else []
        ),
    ]


def _names(name: str, step: Any) -> list[str]:
    if not is_sub(step) or sub_problems("", step, SLOT_NAMES):
        return [name]
    return [f"{own}.{inner_name}" for own, inner, _ in expanded(name, step) for inner_name in step_names(inner)]


def _source(values: Mapping[str, Any], search: Sequence[Path], problems: list[Problem]) -> dict[str, Json]:
    source, how = dict(values["source"]), {k: v for k, v in (values.get("ingest") or {}).items() if k != "_target_"}
    if shape(source["_target_"], search).canonical == INGEST:
        if how:
            problems.append(Problem("ingest", "the source is an Ingest already: write these settings there."))
        return source
    return {"_target_": INGEST, "source": source, **({"contract": values["contract"]} if values.get("contract") else {}), **how}


def _model_life(values: Mapping[str, Any], problems: list[Problem]) -> dict[str, dict[str, Json]]:
    life = {slot: {"_target_": SLOTS[slot], **(values.get(slot) or {})} for slot in LIFE if values.get(slot, {}) is not None}
    if not values.get("label"):
        problems.append(Problem("label", "a model but no label: name the column that it is to predict, e.g. label: late."))
        return life
    if "transform" in life:
        life["transform"] = _transform(values.get("transform") or {}, values["label"], problems)
    if "train" in life:
        life["train"] |= {"model": values["model"], "label": values["label"]}
    name = (life.get("register") or {}).get("name") or values["name"]
    for slot in ("register", "gate"):
        if slot in life and not life[slot].get("name"):
            life[slot]["name"] = name
    _raw_rows(life)
    return life


def _without_model(values: Mapping[str, Any], problems: list[Problem]) -> dict[str, dict[str, Json]]:
    """A table may be transformed for its own sake."""
    if values.get("label"):
        problems.append(Problem("model", f"a label but no model: {_CHOOSE}."))
    else:
        lonely = [slot for slot in LIFE if slot != "transform" and values.get(slot)]
        problems += [Problem(slot, f"'{slot}' is written, and the pipeline has no model: {_CHOOSE}, or take it out.") for slot in lonely]
    return {"transform": _transform(values["transform"], None, problems)} if values.get("transform") else {}


_CHOOSE = "choose one, e.g. model=booster (booster, mlp, logistic)"


def _transform(written: Mapping[str, Any], label: str | None, problems: list[Problem]) -> dict[str, Json]:
    settings = {k: v for k, v in written.items() if k in TRANSFORM_SETTINGS}
    entries = {k: v for k, v in written.items() if k not in settings and k != "_target_" and v is not None}
    for name in [k for k, v in entries.items() if not (isinstance(v, Mapping) and "_target_" in v)]:
        hint = nearest(name, TRANSFORM_SETTINGS)
        problems.append(Problem(f"transform.{name}", f"neither a transform (a node with _target_) nor a setting of the step.{hint}"))
        entries.pop(name)
    return {"_target_": SLOTS["transform"], "label": label, "entries": entries, **settings}


def _raw_rows(life: dict[str, dict[str, Json]]) -> None:
    """Gate and InfraValidate read the rows before the transform, as a request would bring them: what `transform` reads, unless rewired."""
    table = life.get("transform", {}).get("table")
    for slot in ("gate", "infra_validate"):
        if slot in life and table is not None and life[slot].get("table") in (None, "split"):
            life[slot]["table"] = table


def _shapes(raw: Mapping[str, dict[str, Json]], search: Sequence[Path]) -> tuple[dict[str, Shape], list[Problem]]:
    shapes: dict[str, Shape] = {}
    problems: list[Problem] = []
    for name, step in raw.items():
        if "_target_" not in step:
            problems.append(Problem(f"steps.{name}", "a step needs `_target_`, the import path of its class or function."))
            continue
        try:
            shapes[name] = shape(step["_target_"], search)
        except ConfigError as error:
            problems += [Problem(f"{name}._target_", p.what) for p in error.problems]
    return shapes, problems


def _node(name: str, written: Mapping[str, Json], found: Shape, flat: _Flat, search: Sequence[Path]) -> Node:
    edges = edges_of(found)
    refs: dict[str, str | None] = {}
    for field, edge in edges.items():
        ref = written.get(field, None if edge.many else edge.default)
        if edge.many:
            refs |= _refs(f"{name}.{field}", field, ref or {})
            continue
        left_out = edge.optional and ref == edge.default and ref not in flat.known(name)
        refs[field] = None if left_out else ref
    refs = {edge: flat.step(name, edge, ref) for edge, ref in refs.items()}
    lowered = canonical_value({k: v for k, v in written.items() if k not in edges}, search)
    return Node(lowered.pop("_target_"), lowered, refs)


def _refs(where: str, field: str, written: Any) -> dict[str, str | None]:
    """The edges of a mapping of names to steps."""
    if not isinstance(written, Mapping) or not all(isinstance(ref, str | None) for ref in written.values()):
        raise ConfigError([Problem(where, f"found {written!r}, expected a mapping of names to steps, e.g. {{rows: split}}.")])
    return {f"{field}.{key}": ref for key, ref in written.items()}
