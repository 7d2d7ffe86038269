"""References in a config, `${train.epochs}` or `${oc.env:KEY}`, put in place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from raypipe.core.artifact import Json
from raypipe.core.errors import Problem, nearest

UNREADABLE = "is no reference that can be read: expected ${key} or ${oc.env:NAME}; write \\${ for the plain characters."


def has_references(value: Json) -> bool:
    if isinstance(value, Mapping):
        return any(map(has_references, value.values()))
    if isinstance(value, list):
        return any(map(has_references, value))
    return isinstance(value, str) and "${" in value


def resolved(written: Mapping[str, Json], defaults: Mapping[str, Json]) -> tuple[dict[str, Json], list[Problem]]:
    """The config with every reference replaced by what it means, and each that means nothing; `defaults` may be referred to."""
    from raypipe.config.override import merged

    problems: list[Problem] = []
    readable = _readable(written, "", problems)
    whole = OmegaConf.create(merged(defaults, readable))
    return _resolve(readable, whole, "", problems), problems


def _readable(value: Json, where: str, problems: list[Problem]) -> Any:
    """The config with None for each text that breaks off within a reference."""
    if isinstance(value, Mapping):
        return {k: _readable(v, f"{where}.{k}" if where else str(k), problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_readable(v, f"{where}[{i}]", problems) for i, v in enumerate(value)]
    if isinstance(value, str) and "${" in value:
        try:
            OmegaConf.create([value])
        except OmegaConfBaseException:
            problems.append(Problem(where, f"'{value}' {UNREADABLE}"))
            return None
    return value


def _resolve(value: Json, node: Any, where: str, problems: list[Problem]) -> Any:
    if isinstance(value, Mapping):
        return {k: _resolve(v, node, f"{where}.{k}" if where else str(k), problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(v, node, f"{where}[{i}]", problems) for i, v in enumerate(value)]
    if not has_references(value):
        return value
    try:
        found = OmegaConf.select(node, where, throw_on_missing=True, throw_on_resolution_failure=True)
    except OmegaConfBaseException as error:
        problems.append(Problem(where, _unresolved(str(value), node, error)))
        return None
    return OmegaConf.to_container(found, resolve=True) if isinstance(found, (DictConfig, ListConfig)) else found


def _unresolved(written: str, node: DictConfig, error: Exception) -> str:
    """Why a reference means nothing, in words of ours."""
    text = str(error)
    if variable := re.search(r"Environment variable '([^']+)'", text):
        return f"'{written}': the environment variable {variable[1]} is not set."
    if resolver := re.search(r"Unsupported interpolation type (\S+)", text):
        return f"'{written}': there is no resolver '{resolver[1]}'; oc.env reads the environment: ${{oc.env:NAME}}."
    if key := re.search(r"Interpolation key '([^']+)' not found", text):
        return f"'{written}': there is no '{key[1]}' in the config.{_near(key[1], node)}"
    if "missing value" in text.lower() or "Missing mandatory" in text:
        return f"'{written}': what it refers to has no value yet."
    if "recursi" in text.lower() or isinstance(error, RecursionError):
        return f"'{written}': it refers to itself."
    return f"'{written}' {UNREADABLE}"


def _near(key: str, node: DictConfig) -> str:
    close = nearest(key, _keys(OmegaConf.to_container(node, resolve=False), ""))
    return close if close.startswith(" Did") else ""


def _keys(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            key = f"{where}.{name}" if where else str(name)
            yield key
            yield from _keys(inner, key)
