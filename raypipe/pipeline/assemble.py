"""Slots and steps as a config says them -> a Pipeline in normal form, or everything wrong with its graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from raypipe.pipeline.node import Node, Pipeline

INGEST = "raypipe.steps.ingest.Ingest"
VALIDATE = "raypipe.steps.validate.Validate"
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

TRANSFORM_SETTINGS = ("table", "where", "contract", "profile", "refit", "refit_above")
"""What stands in the slot `transform` beside the transforms themselves."""


def assemble(values: Mapping[str, Any], search: Sequence[Path]) -> Pipeline:
    """`values`: name, the slots, and `steps`, as plain JSON. Raises ConfigError with every problem of the graph."""
    with settled():
        return _assembled(values, search)


def _assembled(values: Mapping[str, Any], search: Sequence[Path]) -> Pipeline:
    raw, problems = written_steps(values, search)
    shapes, more = _shapes(raw, search)
    problems += more
    problems += execution_problems(values.get("execution"), list(raw))
    nodes = {name: _node(name, raw[name], found, raw, search) for name, found in shapes.items()}
    problems += ignored_problems(values.get("execution"), shapes)
    how = {} if problems else executions(values.get("execution"), list(nodes))
    nodes |= {name: replace(nodes[name], after=Condition(e.when).reads) for name, e in how.items() if e.when}
    if not problems:
        problems = edge_problems(nodes)
    if not problems:
        problems = [*kind_problems(nodes, shapes), *failure_problems(values.get("execution"), nodes)]
    if problems:
        raise ConfigError(problems)
    return Pipeline.of(values["name"], nodes, how)


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
    if values.get("model"):
        raw |= _model_life(values, problems)
    elif values.get("label"):
        problems.append(Problem("model", "a label but no model: choose one, e.g. model=booster (booster, mlp, logistic)."))
    for name, step in (values.get("steps") or {}).items():
        if name in raw or name in SLOTS:
            problems.append(Problem(f"steps.{name}", f"'{name}' is a slot: write it at the top level as `{name}:`."))
        elif step is not None:
            raw[name] = dict(step)
    if not raw and not problems:
        problems.append(
            Problem("source", "the pipeline has no step: give it a source, e.g. source: {_target_: raypipe.Csv, path: data.csv}.")
        )
    return raw, problems


def step_names(values: Mapping[str, Any]) -> list[str]:
    """The names that `written_steps` would give, of a config that may have any problem."""
    split, steps = values.get("split"), values.get("steps")
    life = [slot for slot in SLOTS if slot not in ("ingest", "split") and values.get(slot, {}) is not None] if values.get("model") else []
    return [
        *(["source", *(["validate"] if values.get("contract") else [])] if values.get("source") else []),
        *(["split"] if isinstance(split, Mapping) and split.get("by") else []),
        *life,
        *([str(name) for name, step in steps.items() if step is not None] if isinstance(steps, Mapping) else []),
    ]


def _source(values: Mapping[str, Any], search: Sequence[Path], problems: list[Problem]) -> dict[str, Json]:
    source, how = dict(values["source"]), {k: v for k, v in (values.get("ingest") or {}).items() if k != "_target_"}
    if shape(source["_target_"], search).canonical == INGEST:
        if how:
            problems.append(Problem("ingest", "the source is an Ingest already: write these settings there."))
        return source
    return {"_target_": INGEST, "source": source, **({"contract": values["contract"]} if values.get("contract") else {}), **how}


def _model_life(values: Mapping[str, Any], problems: list[Problem]) -> dict[str, dict[str, Json]]:
    life = {
        slot: {"_target_": SLOTS[slot], **(values.get(slot) or {})}
        for slot in SLOTS
        if slot not in ("ingest", "split") and values.get(slot, {}) is not None
    }
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


def _transform(written: Mapping[str, Any], label: str, problems: list[Problem]) -> dict[str, Json]:
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


def _node(name: str, written: Mapping[str, Json], found: Shape, steps: Mapping[str, Any], search: Sequence[Path]) -> Node:
    edges = edges_of(found)
    refs: dict[str, str | None] = {}
    for field, edge in edges.items():
        ref = written.get(field, None if edge.many else edge.default)
        if edge.many:
            refs |= _refs(f"{name}.{field}", field, ref or {})
            continue
        left_out = edge.optional and ref == edge.default and ref not in steps
        refs[field] = None if left_out else ref
    lowered = canonical_value({k: v for k, v in written.items() if k not in edges}, search)
    return Node(lowered.pop("_target_"), lowered, refs)


def _refs(where: str, field: str, written: Any) -> dict[str, str | None]:
    """The edges of a mapping of names to steps."""
    if not isinstance(written, Mapping) or not all(isinstance(ref, str | None) for ref in written.values()):
        raise ConfigError([Problem(where, f"found {written!r}, expected a mapping of names to steps, e.g. {{rows: split}}.")])
    return {f"{field}.{key}": ref for key, ref in written.items()}
