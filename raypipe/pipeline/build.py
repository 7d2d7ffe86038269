"""From a node to a step: raypipe's own components are built, code of the user's stays a reference until it is used."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from raypipe.code.closure import closure
from raypipe.code.recorded import UserCode, record
from raypipe.code.settled import once
from raypipe.code.shape import shape
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem
from raypipe.pipeline.edge import nested
from raypipe.pipeline.fingerprint import own_class
from raypipe.pipeline.node import Node


def build_step(node: Node, search: Sequence[Path]) -> Any:
    """The step. One of raypipe's own imports nothing of the user's; a class of theirs is imported, a function becomes a FunctionStep."""
    settings = {k: component(v, search) for k, v in node.settings.items()}
    if node.target.startswith("raypipe."):
        return own_class(node.target)(**settings, **nested(node.refs))
    found = shape(node.target, search)
    if found.kind == "function":
        from raypipe.steps.function import FunctionStep

        edges = {p.name: p.resolved or p.annotation for p in found.parameters if p.name in node.refs}
        return FunctionStep(node.target, settings, edges, _recorded(node.target, search), found.gives)
    return _imported(node.target, search)(**settings, **nested(node.refs))


def component(value: Json, search: Sequence[Path]) -> Any:
    """A setting: dicts with `_target_` are built (raypipe's own) or referred to (the user's, as UserCode)."""
    if isinstance(value, list):
        return [component(v, search) for v in value]
    if not isinstance(value, dict):
        return value
    if "_target_" not in value:
        return {k: component(v, search) for k, v in value.items()}
    target = value["_target_"]
    settings = {k: component(v, search) for k, v in value.items() if k != "_target_"}
    if not target.startswith("raypipe."):
        return UserCode(target, settings, _recorded(target, search), shape(target, search))
    try:
        return own_class(target)(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigError([Problem(target.rpartition(".")[2], str(error))]) from error


def defines(node: Node, member: str, search: Sequence[Path]) -> bool:
    """Whether the step has one of the optional members of `Step`."""
    if node.target.startswith("raypipe."):
        return hasattr(own_class(node.target), member)
    return member in shape(node.target, search).members


@once
def _recorded(target: str, search: Sequence[Path]) -> Json:
    found = closure(target, search)
    return None if found is None or not found.modules else record(found)


def _imported(target: str, search: Sequence[Path]) -> Any:
    for path in map(str, search):
        if path not in sys.path:
            sys.path.insert(0, path)
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)
