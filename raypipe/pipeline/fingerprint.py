"""The key of an artifact: everything that shapes a step's result, as one JSON document and its sha256."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from raypipe.code import distribution
from raypipe.code.called import libraries
from raypipe.code.closure import closure
from raypipe.code.settled import once
from raypipe.code.shape import shape
from raypipe.core.artifact import Json
from raypipe.core.secret import masked, values
from raypipe.pipeline.node import Node


def own_identity(node: Node, search: Sequence[Path]) -> dict[str, Json]:
    """What shapes the step's result apart from its inputs: settings, revisions, code of the user's, versions of libraries.

    `code` maps `module:qualname` to a digest; `uncached` names targets without source, whose step is never a HIT.
    """
    return _own_identity(node.target, json.dumps(node.settings), tuple(search))


@once
def _own_identity(target: str, settings: str, search: Sequence[Path]) -> dict[str, Json]:
    """Worked out once for steps that are the same but for what they read."""
    node = Node(target, json.loads(settings), {})
    named = [node.target, *targets(node.settings)]
    code: dict[str, str] = {}
    versions: dict[str, str] = {}
    revisions: dict[str, int] = {}
    uncached: list[str] = []
    for target in dict.fromkeys(named):
        if target.startswith("raypipe."):
            own = own_class(target)
            revisions[target] = getattr(own, "revision", 1)
            versions |= _versions(getattr(own, "distributions", ()))
            continue
        found = closure(target, search)
        if found is None:
            versions |= _versions([target.partition(".")[0]])
        elif found.uncached:
            uncached.append(found.uncached)
        else:
            code |= {**found.parts, **found.reads}
            versions |= {**found.distributions, **_versions(libraries(shape(target, search)))}
    document = {
        "step": node.target,
        "settings": masked(_identity_settings(node, search), told_apart=True, known=_secrets()),
        "revisions": revisions,
        "code": code,
        "versions": versions,
    }
    return document | ({"uncached": uncached} if uncached else {})


_secrets = once(values)
"""Looked for once in a plan or a run: to go through the environment takes longer than the rest of a small step's identity."""


def identity(own: Mapping[str, Json], inputs: Mapping[str, str], observed: Json) -> dict[str, Json]:
    """The whole document: `inputs` maps an edge to the digest of what it carries."""
    return {**own, "inputs": dict(inputs), "observed": observed}


def without(document: Mapping[str, Json], ignored: Sequence[str]) -> dict[str, Json]:
    """The document less what does not count: a setting by its dotted name, an edge, `code` or `versions`."""
    made = dict(document)
    for name in ignored:
        if name in ("code", "versions"):
            made[name] = {}
        elif "inputs" in made:
            made["inputs"] = {edge: digest for edge, digest in made["inputs"].items() if edge != name}
        if isinstance(made.get("settings"), dict):
            made["settings"] = _less(made["settings"], name.split("."))
    return made


def _less(settings: Mapping[str, Json], path: Sequence[str]) -> dict[str, Json]:
    first, *rest = path
    if not rest:
        return {k: v for k, v in settings.items() if k != first}
    return {k: _less(v, rest) if k == first and isinstance(v, dict) else v for k, v in settings.items()}


def fingerprint(document: Mapping[str, Json]) -> str:
    """sha256 of the document's canonical JSON."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def identity_edges(node: Node) -> list[str]:
    """The edges whose content enters the fingerprint; the others only order the steps."""
    if not node.target.startswith("raypipe."):
        return [e for e, ref in node.refs.items() if ref]
    silent = _silent_fields(own_class(node.target))
    return [e for e, ref in node.refs.items() if ref and e.partition(".")[0] not in silent]


@lru_cache
def own_class(target: str) -> Any:
    """One of raypipe's own classes, by its import path."""
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


def _identity_settings(node: Node, search: Sequence[Path]) -> Json:
    settings = _without_silent({"_target_": node.target, **node.settings}, search)
    settings.pop("_target_")
    if node.target.startswith("raypipe.") and hasattr(own_class(node.target), "identity"):
        return own_class(node.target).identity(settings)
    return settings


def _without_silent(value: Json, search: Sequence[Path]) -> Any:
    """The settings less those that say where or how fast (`metadata=NO_IDENTITY`)."""
    if isinstance(value, list):
        return [_without_silent(v, search) for v in value]
    if not isinstance(value, dict):
        return value
    target = value.get("_target_", "")
    silent = _silent_fields(own_class(target)) if target.startswith("raypipe.") else _silent_parameters(target, search)
    return {k: _without_silent(v, search) for k, v in value.items() if k not in silent}


@lru_cache
def _silent_fields(cls: Any) -> frozenset[str]:
    if not dataclasses.is_dataclass(cls):
        return frozenset()
    return frozenset(f.name for f in dataclasses.fields(cls) if f.metadata.get("identity") is False)


def _silent_parameters(target: str, search: Sequence[Path]) -> frozenset[str]:
    return frozenset(p.name for p in shape(target, search).parameters if not p.identity) if target else frozenset()


def targets(value: Json) -> Iterator[str]:
    """Every import path that a value names, as they come."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield value["_target_"]
        for v in value.values():
            yield from targets(v)
    elif isinstance(value, list):
        for v in value:
            yield from targets(v)


def _versions(names: Sequence[str]) -> dict[str, str]:
    return {name: distribution.version(name) for name in names}
