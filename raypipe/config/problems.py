"""What is wrong with a composed config: unknown and missing settings, values of the wrong type, targets that are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raypipe.config.types import mismatch
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem, nearest
from raypipe.core.shape import Parameter, Shape, shape
from raypipe.pipeline.assemble import SLOTS, TRANSFORM_SETTINGS

KEYS = ("name", "source", "contract", "label", "model", "cluster", "tracker", "steps", *SLOTS)
"""What a config may say at its top level."""

COMPONENTS = ("source", "contract", "model", "cluster", "tracker")
"""Slots that hold a component, a node with `_target_`."""

LOWERED = {"transform": {"label", "entries"}, "train": {"model", "label"}}
"""Settings of a slot's step that other slots fill in."""

MISSING = "???"


def problems_of(values: Mapping[str, Any], search: Sequence[Path]) -> list[Problem]:
    """Every problem that the settings alone tell, each at its dotted key."""
    found = [Problem(str(key), f"unknown.{nearest(str(key), KEYS)}") for key in values if key not in KEYS]
    if not isinstance(values.get("name"), str) or values["name"] == MISSING:
        found.append(Problem("name", "the pipeline needs a name, e.g. name: flights."))
    for key in COMPONENTS:
        if values.get(key) is not None:
            found += _component(key, values[key], search, skip=("table",) if key == "source" else ())
    for slot, target in SLOTS.items():
        if values.get(slot) is not None:
            found += _slot(slot, values[slot], target, search)
    for name, step in (values.get("steps") or {}).items():
        if step is not None:
            found += _component(f"steps.{name}", step, search)
    return found


def _slot(slot: str, written: Json, target: str, search: Sequence[Path]) -> list[Problem]:
    if not isinstance(written, dict):
        return [Problem(slot, f"found {written!r}, expected the settings of a step.")]
    if slot == "transform":
        settings = {k: v for k, v in written.items() if k in TRANSFORM_SETTINGS}
        entries = {k: v for k, v in written.items() if k not in settings and v is not None}
        return _transforms(entries, search) + _arguments(slot, settings, target, search, LOWERED[slot])
    given = dict(written)
    return _arguments(slot, given, given.pop("_target_", target), search, LOWERED.get(slot, set()))


def _transforms(entries: Mapping[str, Json], search: Sequence[Path]) -> list[Problem]:
    found = []
    for name, entry in entries.items():
        where = f"transform.{name}"
        if not (isinstance(entry, dict) and "_target_" in entry):
            hint = nearest(name, TRANSFORM_SETTINGS)
            found.append(Problem(where, f"neither a transform (a node with _target_) nor a setting of the step.{hint}"))
        else:
            found += _component(where, entry, search, bound=True)
    return found


def _component(where: str, node: Json, search: Sequence[Path], skip: Sequence[str] = (), bound: bool = False) -> list[Problem]:
    if not isinstance(node, dict) or "_target_" not in node:
        return [Problem(where, f"found {node!r}, expected a node with _target_, or an option of the group.")]
    given = {k: v for k, v in node.items() if k != "_target_" and k not in skip}
    return _arguments(where, given, node["_target_"], search, set(), bound)


def _arguments(where: str, given: Mapping[str, Json], target: str, search: Sequence[Path], filled: set[str], bound: bool = False) -> list[Problem]:
    """`filled`: parameters that something else sets; `bound`: a function gets its first argument, the rows, when it is called."""
    try:
        found = shape(target, search)
    except ConfigError as error:
        return [Problem(f"{where}._target_", p.what) for p in error.problems]
    parameters = {p.name: p for p in found.parameters if p.name not in filled}
    if bound and found.kind == "function":
        parameters = dict(list(parameters.items())[1:])
    unknown = [Problem(f"{where}.{k}", _unknown(found, k, parameters)) for k in given if k not in parameters and not found.accepts_any]
    missing = [Problem(f"{where}.{n}", _missing(found, p)) for n, p in parameters.items() if p.required and given.get(n, MISSING) == MISSING]
    nested = [p for k, v in given.items() if k in parameters for p in _value(f"{where}.{k}", v, parameters[k], search)]
    return [*unknown, *missing, *nested]


def _value(where: str, value: Json, parameter: Parameter, search: Sequence[Path]) -> list[Problem]:
    if isinstance(value, str) and value == MISSING:
        return []
    if isinstance(value, dict) and "_target_" in value:
        return _component(where, value, search)
    if isinstance(value, dict) and any(isinstance(v, dict) for v in value.values()):
        return [p for k, v in value.items() for p in _inner(f"{where}.{k}", v, parameter, search)]
    text = mismatch(value, parameter.resolved or parameter.annotation)
    return [Problem(where, text)] if text else []


def _inner(where: str, value: Json, parameter: Parameter, search: Sequence[Path]) -> list[Problem]:
    """A value of a mapping of components: `contract.columns.NAME` takes the settings of the class that the annotation names."""
    if isinstance(value, dict) and "_target_" in value:
        return _component(where, value, search)
    of = (parameter.resolved or "").removesuffix("]").rpartition(", ")[2]
    if isinstance(value, dict) and of.startswith("raypipe."):
        return _arguments(where, value, of, search, set())
    return []


def _unknown(found: Shape, key: str, parameters: Mapping[str, Parameter]) -> str:
    return f"unknown: {found.canonical.rpartition('.')[2]} takes no '{key}'.{nearest(key, parameters)}"


def _missing(found: Shape, parameter: Parameter) -> str:
    kind = f" ({parameter.annotation})" if parameter.annotation else ""
    return f"missing: {found.canonical.rpartition('.')[2]} needs '{parameter.name}'{kind}."
