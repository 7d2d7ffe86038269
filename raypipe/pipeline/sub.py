"""A sub-pipeline: steps under one name, which stand in the pipeline as `NAME.STEP`, their open inputs bound to steps around them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raypipe.core.artifact import Json
from raypipe.core.errors import Problem, nearest
from raypipe.pipeline.condition import Condition
from raypipe.pipeline.execution import CONTINUE, DEFAULT, FINISH, STOP

KEYS = ("pipeline", "inputs", "each")
_VALUE = re.compile(r"[A-Za-z0-9_-]+")
"""What may stand in the name of a step."""


class Sub:
    """Steps of a pipeline under one name: slots and `steps` as `Pipeline` takes them, and `execution` of theirs.

    `inputs`: each name that they read and that is no step of theirs, and the step around them that it means. `each`: names and their
    values, for each of which, or each combination, the steps stand there once, as `NAME.VALUE.STEP`; `{name}` in any text of theirs is
    the value.
    """

    def __init__(self, *, inputs: Mapping[str, str] | None = None, each: Mapping[str, Sequence[Any]] | None = None, **pipeline: Any):
        self.inputs, self.each, self.pipeline = dict(inputs or {}), dict(each or {}), pipeline

    def written(self) -> dict[str, Any]:
        """As a config says it."""
        return {"pipeline": self.pipeline, "inputs": self.inputs, **({"each": self.each} if self.each else {})}


@dataclass
class Scope:
    """What names mean among the steps of one sub-pipeline."""

    prefix: str
    """`NAME.`, behind those of the sub-pipelines that it stands in."""
    inputs: Mapping[str, str]
    around: Scope | None
    names: list[str] = field(default_factory=list)
    """Its own steps."""
    read: set[str] = field(default_factory=set)
    """The inputs that a step was found to read."""

    @property
    def known(self) -> list[str]:
        return [*self.names, *self.inputs]

    def step(self, name: str) -> str | None:
        """The step that a name means, as it is named in the whole pipeline; None where it means none here."""
        if name in self.names:
            return f"{self.prefix}{name}"
        if name not in self.inputs:
            return None
        self.read.add(name)
        return self.around.step(self.inputs[name]) if self.around else self.inputs[name]

    def not_own(self, execution: Json) -> list[Problem]:
        """What is said of how steps around it are carried out."""
        names = [name for name in execution if name in self.inputs and name not in self.names] if isinstance(execution, Mapping) else []
        return [Problem(f"execution.{name}", "is an input: say it where that step stands.") for name in names]

    def problem(self, where: str, name: str) -> Problem:
        what = f"there is no step '{name}' in the sub-pipeline '{self.prefix[:-1]}', and nothing is bound to the name"
        return Problem(where, f"{what}: write inputs: {{{name}: STEP}}.{nearest(name, self.known)}")


def is_sub(step: Any) -> bool:
    """Whether an entry of `steps` is a sub-pipeline."""
    return isinstance(step, Mapping) and "pipeline" in step and "_target_" not in step


def sub_problems(where: str, written: Mapping[str, Any], slots: Sequence[str]) -> list[Problem]:
    """What is wrong with its form; its steps are another matter."""
    found = [
        Problem(f"{where}.{key}", f"unknown: a sub-pipeline has no '{key}'.{nearest(str(key), KEYS)}") for key in written if key not in KEYS
    ]
    inner, inputs, each = written["pipeline"], written.get("inputs") or {}, written.get("each") or {}
    if not isinstance(inner, Mapping):
        return [*found, Problem(f"{where}.pipeline", f"found {inner!r}, expected slots and `steps`, as in a pipeline.")]
    for key in [key for key in inner if key not in (*slots, "execution", "name")]:
        found.append(
            Problem(f"{where}.pipeline.{key}", f"unknown: a sub-pipeline has slots, `steps` and `execution`.{nearest(str(key), slots)}")
        )
    if not isinstance(inputs, Mapping) or not all(isinstance(ref, str) for ref in inputs.values()):
        found.append(Problem(f"{where}.inputs", f"found {inputs!r}, expected a mapping of names to steps, e.g. {{rows: split}}."))
    if not isinstance(each, Mapping) or not all(isinstance(values, list) and values for values in each.values()):
        found.append(Problem(f"{where}.each", f"found {each!r}, expected names and lists of values, e.g. {{carrier: [UA, AA]}}."))
        return found
    for name, values in each.items():
        odd = [value for value in values if not _VALUE.fullmatch(str(value))]
        what = f"{odd[0]!r} cannot stand in a step's name: letters, digits, _ and -." if odd else ""
        twice = [value for value in values if values.count(value) > 1]
        if what or twice:
            found.append(Problem(f"{where}.each.{name}", what or f"{twice[0]!r} is there twice."))
    return found or _same_names(f"{where}.each", each)


def _same_names(where: str, each: Mapping[str, Sequence[Any]]) -> list[Problem]:
    """Combinations of unlike values that would stand under one name: `a` and `b-c`, `a-b` and `c`."""
    seen: dict[str, tuple[Any, ...]] = {}
    for values in itertools.product(*each.values()):
        if other := seen.get(label := _label(values)):
            pairs = [", ".join(map(str, combination)) for combination in (other, values)]
            return [Problem(where, f"{pairs[0]} and {pairs[1]} would both be named '{label}': write values without that -.")]
        seen[label] = values
    return []


def expanded(name: str, written: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, str]]]:
    """Name, slots and bindings of the sub-pipeline, or of each that it stands for."""
    each = written.get("each") or {}
    for values in itertools.product(*each.values()):
        chosen = dict(zip(each, values, strict=True))
        yield (
            f"{name}.{_label(values)}" if each else name,
            _filled(written["pipeline"], chosen),
            _filled(written.get("inputs") or {}, chosen),
        )


def _label(values: Sequence[Any]) -> str:
    return "-".join(str(value) for value in values)


def placed_execution(written: Mapping[str, Any], scope: Scope) -> dict[str, dict[str, Any]]:
    """What a sub-pipeline says of how its steps are carried out, by their names in the whole pipeline."""
    given = {name: options or {} for name, options in written.items()}
    shared = given.pop(DEFAULT, {})
    found = {}
    for name in scope.names:
        options = {**shared, **given.get(name, {})}
        then = options.get("on_failure")
        if then not in (None, FINISH, STOP, CONTINUE):
            options["on_failure"] = FINISH if then == name else scope.step(then) or then
        if isinstance(options.get("when"), str):
            options["when"] = Condition(options["when"]).renamed(scope.step, scope.known)
        if options:
            found[f"{scope.prefix}{name}"] = options
    return found


def spread_execution(written: Any, names: Sequence[str]) -> Any:
    """`{eu: {train: {...}}}` as `{eu.train: {...}}`, and conditions on `eu.train.rows` as what they mean."""
    if not isinstance(written, Mapping):
        return written
    found: dict[str, Any] = {}
    for key, options in written.items():
        inner = isinstance(options, Mapping) and key not in (DEFAULT, *names) and any(name.startswith(f"{key}.") for name in names)
        spread = spread_execution({f"{key}.{k}": v for k, v in options.items()}, names) if inner else {key: options}
        for step, said in spread.items():
            if isinstance(said, Mapping) and isinstance(said.get("when"), str):
                said = {**said, "when": Condition(said["when"]).renamed(lambda name: name, names)}
            found[step] = said
    return found


def _filled(value: Json, chosen: Mapping[str, Any]) -> Any:
    """`{name}` in every text as its value; what is nothing but that is the value itself."""
    if isinstance(value, Mapping):
        return {_filled(k, {n: str(v) for n, v in chosen.items()}): _filled(v, chosen) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(v, chosen) for v in value]
    if not isinstance(value, str):
        return value
    for name, filling in chosen.items():
        if value == f"{{{name}}}":
            return filling
        value = value.replace(f"{{{name}}}", str(filling))
    return value
