"""What a target takes: its parameters, by reading its source; its module is imported only where reading does not settle it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from raypipe.code.annotation import components, element
from raypipe.code.settled import once
from raypipe.code.target import define, missing, refused
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError


@dataclass(frozen=True)
class Parameter:
    """One argument of a target."""

    name: str
    annotation: str = ""
    """As written; empty where there is none."""
    resolved: str = ""
    """The annotation with each name as its import path: `raypipe.core.step.Ref[raypipe.core.artifact.Table]`, `int | None`."""
    required: bool = True
    default: Any = None
    """The default's value, where `default_known`."""
    default_known: bool = False
    """False where there is none, or where reading does not tell it."""
    identity: bool = True
    """False for a dataclass field with `metadata=NO_IDENTITY`."""


@dataclass(frozen=True)
class Shape:
    """What a target is and takes."""

    canonical: str
    """`module.qualname` where it is defined."""
    kind: Literal["class", "function"]
    parameters: tuple[Parameter, ...]
    returns: str = ""
    """A function's return annotation, a class's `run`'s; resolved."""
    takes: str = ""
    """The annotation of what it is called with: of a function's first parameter, of that of a class's `__call__`; resolved."""
    gives: str = ""
    """The annotation of what such a call returns."""
    own: bool = False
    """raypipe's."""
    user: bool = False
    """The user's: a file of the project or of an editable install."""
    members: frozenset[str] = frozenset()
    """Names that a class and its bases bind, as far as they are read: methods and class variables; empty for a function."""
    accepts_any: bool = False
    """It has a `**kwargs`."""

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)


class Unsettled(Exception):
    """Reading the source does not tell what the target takes: its module must be imported."""


def shape(target: str, search: Sequence[Path]) -> Shape:
    """The shape of the class or function behind an import path, looked for in the folders of `search` first.

    Raises ConfigError where there is none, where it is neither, where a config may not name it, or where its module fails when imported.
    """
    if target.startswith("raypipe."):
        return _own_shape(target)
    return _shape(target, search)


@lru_cache(maxsize=256)
def _own_shape(target: str) -> Shape:
    """raypipe's own source does not change while it runs."""
    return _shape(target, ())


@once
def _shape(target: str, search: Sequence[Path]) -> Shape:
    from raypipe.code import inspected, parsed  # they build on this page's types

    definition = define(target, search)
    if why := refused(target) or refused(definition.canonical) or missing(definition):
        raise ConfigError(why)
    try:
        found = parsed.read(definition, search)
    except Unsettled:
        found = inspected.read(target, definition, search)
        if why := refused(found.canonical):
            raise ConfigError(why) from None
    return replace(found, own=definition.origin == "own", user=definition.origin == "user")


def canonical_value(value: Json, search: Sequence[Path], annotation: str = "") -> Any:
    """A value of a config in normal form, the same whichever way it was written.

    Each `_target_` becomes the path where it is defined, and one that the annotation implies is written out; settings equal to their
    declared default are left out; a whole number where a float is wanted becomes one. Raises ConfigError for a target that is not there.
    """
    if isinstance(value, (list, tuple)):
        return [canonical_value(v, search, element(annotation)) for v in value]
    if isinstance(value, Mapping):
        target = value.get("_target_") or _implied(annotation)
        if target:
            return _canonical_node(target, value, search)
        return {k: canonical_value(v, search, element(annotation)) for k, v in value.items()}
    if isinstance(value, int) and not isinstance(value, bool) and _wants_float(annotation):
        return float(value)
    return value


def _canonical_node(target: str, value: Mapping[str, Json], search: Sequence[Path]) -> dict[str, Json]:
    found = shape(target, search)
    lowered: dict[str, Json] = {"_target_": found.canonical}
    for name, setting in value.items():
        parameter = found.parameter(name)
        made = canonical_value(setting, search, parameter.resolved if parameter else "")
        if name != "_target_" and not (parameter and _is_default(made, parameter)):
            lowered[name] = made
    return lowered


def _is_default(value: Json, parameter: Parameter) -> bool:
    if not parameter.default_known:
        return False
    default = canonical_value(parameter.default, (), parameter.resolved)
    return type(value) is type(default) and value == default


def _implied(annotation: str) -> str:
    """The class that a mapping without `_target_` stands for, where the annotation leaves one choice."""
    classes = components(annotation)
    return classes[0] if len(classes) == 1 and not element(annotation) else ""


def _wants_float(annotation: str) -> bool:
    words = annotation.replace("|", " ").split()
    return "float" in words and "int" not in words
