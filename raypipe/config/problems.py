"""What is wrong with a composed config: unknown and missing settings, values of the wrong type, targets that are not there."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raypipe.code.annotation import components, element, misfit
from raypipe.code.shape import Parameter, Shape, shape
from raypipe.config.settings import COMPONENTS, KEYS, OPTIONAL, SUPPLIED
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem, nearest
from raypipe.pipeline.assemble import SLOTS, TRANSFORM_SETTINGS, step_names
from raypipe.pipeline.execution import execution_problems
from raypipe.pipeline.node import SLOT_NAMES
from raypipe.pipeline.sub import expanded, is_sub, spread_execution, sub_problems

MISSING = "???"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
FUNCTION = "raypipe.core.step.Function"
HYDRAS = ("_partial_", "_args_", "_recursive_", "_convert_")


def problems_of(values: Mapping[str, Any], search: Sequence[Path]) -> list[Problem]:
    """Every problem that the settings alone tell, each at its dotted key."""
    return list(_Check(search).config(values))


def component_problems(where: str, node: Mapping[str, Any], search: Sequence[Path]) -> list[Problem]:
    """The same of a single component, a node with `_target_`."""
    return list(_Check(search)._component(where, dict(node)))


class _Check:
    """Walks a config, comparing each node with what its target takes."""

    def __init__(self, search: Sequence[Path]):
        self.search = search

    def config(self, values: Mapping[str, Any]) -> Iterator[Problem]:
        for key in values:
            if key not in KEYS:
                yield Problem(str(key), f"unknown.{nearest(str(key), KEYS)}")
        yield from _name(values)
        yield from self._steps_of(values)
        yield from execution_problems(spread_execution(values.get("execution"), step_names(values)), step_names(values))
        if isinstance(values.get("sweep"), dict):
            yield from self._arguments("sweep", values["sweep"], "raypipe.config.sweep.Sweep", set())
        elif values.get("sweep") is not None:
            yield Problem("sweep", f"found {_shown(values['sweep'])}, expected settings, e.g. {{by: evaluate.auc}}.")

    def _steps_of(self, values: Mapping[str, Any]) -> Iterator[Problem]:
        """What is wrong with slots and `steps`."""
        yield from self._value("label", values.get("label"), "str | None")
        for key in COMPONENTS:
            yield from self._slot_component(key, values.get(key))
        for slot, target in SLOTS.items():
            if values.get(slot) is not None:
                yield from self._slot(slot, values[slot], target)
        yield from self._steps(values.get("steps"))

    def _slot_component(self, key: str, node: Json) -> Iterator[Problem]:
        if node is not None:
            yield from self._component(key, node)

    def _slot(self, slot: str, written: Json, target: str) -> Iterator[Problem]:
        if not isinstance(written, dict):
            yield Problem(slot, f"found {_shown(written)}, expected the settings of a step, or null to leave it out.")
            return
        given = dict(written)
        target = given.pop("_target_", target)
        for name, key in SUPPLIED.get(slot, {}).items():
            if name in given and not (slot == "transform" and isinstance(given[name], dict)):
                given.pop(name)
                yield Problem(f"{slot}.{name}", f"is set by the key `{key}` at the top level.")
        if slot == "transform":
            yield from self._transforms({k: v for k, v in given.items() if k not in TRANSFORM_SETTINGS and v is not None})
            given = {k: v for k, v in given.items() if k in TRANSFORM_SETTINGS}
        filled = {*SUPPLIED.get(slot, ()), *OPTIONAL.get(slot, ())}
        yield from self._arguments(slot, given, target, filled)

    def _transforms(self, entries: Mapping[str, Json]) -> Iterator[Problem]:
        for name, entry in entries.items():
            where = f"transform.{name}"
            if isinstance(entry, dict) and "_target_" in entry:
                yield from _step_name(where, name)
                yield from self._component(where, entry, bound=True)
            else:
                hint = nearest(name, [*TRANSFORM_SETTINGS, *(other for other in entries if other != name)])
                yield Problem(where, f"neither a transform (a node with _target_) nor a setting of the step.{hint}")

    def _steps(self, steps: Json) -> Iterator[Problem]:
        if steps is None:
            return
        if not isinstance(steps, dict):
            yield Problem("steps", f"found {_shown(steps)}, expected a mapping of names to steps.")
            return
        for name, step in steps.items():
            if step is not None:
                yield from _step_name(f"steps.{name}", name)
                yield from self._sub(f"steps.{name}", step) if is_sub(step) else self._component(f"steps.{name}", step)

    def _sub(self, where: str, written: Mapping[str, Any]) -> Iterator[Problem]:
        """A sub-pipeline; of several that it stands for, the first: they differ in values alone."""
        wrong = sub_problems(where, written, SLOT_NAMES)
        yield from wrong
        is_whole = all(p.where.startswith(f"{where}.pipeline.") for p in wrong)
        for _, inner, _ in itertools.islice(expanded("", written), 1 if is_whole else 0):
            yield from (Problem(f"{where}.pipeline.{p.where}", p.what) for p in self._steps_of(inner))

    def _component(self, where: str, node: Json, bound: bool = False) -> Iterator[Problem]:
        if not isinstance(node, dict):
            yield Problem(where, f"found {_shown(node)}, expected a node with _target_, or an option of the group.")
        elif not isinstance(node.get("_target_"), str):
            yield Problem(where, "has no _target_: name the import path of a class or function, e.g. _target_: raypipe.Csv.")
        else:
            yield from self._arguments(where, {k: v for k, v in node.items() if k != "_target_"}, node["_target_"], set(), bound)

    def _function(self, where: str, node: Mapping[str, Json]) -> Iterator[Problem]:
        """That it is there; the step that calls it knows with what."""
        try:
            shape(str(node["_target_"]), self.search)
        except ConfigError as error:
            yield from (Problem(f"{where}._target_", _sentence(p.what)) for p in error.problems)

    def _arguments(self, where: str, given: Mapping[str, Json], target: str, filled: set[str], bound: bool = False) -> Iterator[Problem]:
        """`filled`: parameters that something else sets; `bound`: a function gets its first argument, the rows, when it is called."""
        try:
            found = shape(target, self.search)
        except ConfigError as error:
            yield from (Problem(f"{where}._target_", _sentence(p.what)) for p in error.problems)
            return
        parameters = {p.name: p for p in found.parameters}
        if bound and found.kind == "function" and parameters:
            del parameters[next(iter(parameters))]
        for name, value in given.items():
            if name in HYDRAS:
                yield Problem(
                    f"{where}.{name}", "has no meaning here: classes are built and functions are bound by themselves. Leave it out."
                )
            elif name in parameters:
                yield from self._value(f"{where}.{name}", value, parameters[name].resolved)
            elif not found.accepts_any:
                settable = [p for p in parameters if p not in filled]
                yield Problem(f"{where}.{name}", f"unknown: {_title(found)} takes no '{name}'.{nearest(name, settable)}")
        for name, parameter in parameters.items():
            if parameter.required and name not in given and name not in filled:
                yield Problem(f"{where}.{name}", _missing(found, parameter))

    def _value(self, where: str, value: Json, annotation: str) -> Iterator[Problem]:
        inner = element(annotation)
        classes = components(annotation)
        if value == MISSING:
            yield Problem(where, f"has no value yet: set it in the config or by {where}=...")
        elif isinstance(value, dict) and "_target_" in value:
            yield from self._function(where, value) if FUNCTION in annotation else self._component(where, value, bound=True)
        elif isinstance(value, dict) and len(classes) == 1:
            yield from self._arguments(where, value, classes[0], set())
        elif inner and isinstance(value, dict) and not misfit({}, annotation):
            for name, item in value.items():
                yield from self._value(f"{where}.{name}", item, inner)
        elif isinstance(value, list) and (not annotation or (inner and not misfit([], annotation))):
            for position, item in enumerate(value):
                yield from self._value(f"{where}[{position}]", item, inner)
        elif expected := misfit(value, annotation):
            yield Problem(where, f"found {_shown(value)}, expected {expected}.")


def _name(values: Mapping[str, Any]) -> Iterator[Problem]:
    name = values.get("name")
    if name is None or name == MISSING:
        yield Problem("name", "missing: the pipeline needs a name, e.g. name: flights.")
    elif not isinstance(name, str) or not NAME.fullmatch(name):
        yield Problem("name", f"found {_shown(name)}, expected a name of letters, digits, _ and -, e.g. flights.")


def _step_name(where: str, name: str) -> Iterator[Problem]:
    if not NAME.fullmatch(name):
        yield Problem(where, f"'{name}' is no name for a step: letters, digits, _ and -, beginning with a letter.")


def _missing(found: Shape, parameter: Parameter) -> str:
    kind = f" ({parameter.annotation})" if parameter.annotation else ""
    return f"missing: {_title(found)} needs '{parameter.name}'{kind}."


def _title(found: Shape) -> str:
    return found.canonical.rpartition(".")[2] if found.own else found.canonical


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _shown(value: Json) -> str:
    """A value as YAML would have it, shortened."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
