"""Settings written as mappings, made dataclasses: every key that is unknown or missing is told at once, with the nearest name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from raypipe.core.errors import ConfigError, Problem, nearest

S = TypeVar("S")


def made_of(cls: type[S], where: str, value: Any) -> S:
    """The settings; ConfigError with all that is wrong with their keys. What is of the class already stays as it is."""
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError([Problem(where, f"found {value!r}, expected the settings of a {_title(cls)}")])
    given = {key: item for key, item in value.items() if key != "_target_"}
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    problems = [
        Problem(f"{where}.{key}", f"'{key}' is no setting of a {_title(cls)}.{nearest(str(key), fields)}")
        for key in given
        if key not in fields
    ]
    problems += [
        Problem(where, f"{name} is missing{_example(field)}")
        for name, field in fields.items()
        if name not in given and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if problems:
        raise ConfigError(problems)
    try:
        return cls(**given)
    except ConfigError as error:
        raise ConfigError([Problem(f"{where}.{p.where}" if p.where else where, p.what) for p in error.problems]) from None


def all_of(cls: type[S], where: str, values: Mapping[str, Any]) -> dict[str, S]:
    """The same of each, ConfigError with the problems of all of them."""
    found: dict[str, S] = {}
    problems: list[Problem] = []
    for name, value in values.items():
        try:
            found[name] = made_of(cls, f"{where}.{name}", value)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return found


def _title(cls: type) -> str:
    return cls.__name__.lower()


def _example(field: dataclasses.Field[Any]) -> str:
    example = field.metadata.get("example")
    return f", e.g. {example}" if example else ""
