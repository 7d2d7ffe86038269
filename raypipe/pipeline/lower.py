"""Python values -> the JSON of a config: a dataclass becomes a dict with `_target_`, a function its import path."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError
from raypipe.pipeline.edge import nested
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.sub import Sub


def lower(value: Any) -> Json:
    """The value as JSON; raises ConfigError for an object that no import path and JSON arguments can say again."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (str, Path)):
        return str(value)
    if isinstance(value, Enum):
        return lower(value.value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): lower(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [lower(v) for v in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return _component(value)


def import_path(target: Any) -> str:
    """`module.qualname` of a class or function, with the file's name for a module that runs as a script."""
    name = getattr(target, "__qualname__", "")
    if "<" in name or not name:
        raise ConfigError(f"{target!r} has no import path: define it at the top level of a module, not inside a function or as a lambda.")
    return f"{_module(target)}.{name}"


def search_paths(project_path: Path | str | None) -> tuple[Path, ...]:
    """Where code of the user's lies: the project's folder, by the same rule as on the command line."""
    from raypipe.core.place import find_project

    start = Path(project_path) if project_path else Path.cwd()
    return (start if project_path else find_project(None, start).path,)


def _component(value: Any) -> Json:
    if isinstance(value, Sub):
        return lower(value.written())
    if isinstance(value, Pipeline):
        return _of_pipeline(value)
    if isinstance(value, partial):
        if value.args:
            raise ConfigError(f"functools.partial of {import_path(value.func)}: give its arguments by name, not by position.")
        return {"_target_": import_path(value.func), **{k: lower(v) for k, v in value.keywords.items()}}
    if isinstance(value, type) or (callable(value) and not dataclasses.is_dataclass(value)):
        return {"_target_": import_path(value)}
    if dataclasses.is_dataclass(value):
        fields = [f for f in dataclasses.fields(value) if f.init and not _is_default(f, getattr(value, f.name))]
        return {"_target_": import_path(type(value)), **{f.name: lower(getattr(value, f.name)) for f in fields}}
    raise ConfigError(
        f"a {type(value).__name__} cannot be part of a pipeline: use JSON values, dataclasses, functions or functools.partial."
    )


def _of_pipeline(value: Pipeline) -> Json:
    """A whole pipeline as a sub-pipeline without open inputs."""
    steps = {name: {"_target_": node.target, **node.settings, **nested(node.refs)} for name, node in value.nodes.items()}
    execution = {
        name: {f.name: getattr(how, f.name) for f in dataclasses.fields(how) if not _is_default(f, getattr(how, f.name))}
        for name, how in value.execution.items()
    }
    return {"pipeline": {"steps": steps, **({"execution": execution} if execution else {})}}


def _is_default(f: dataclasses.Field[Any], value: Any) -> bool:
    if f.default is not dataclasses.MISSING:
        return type(value) is type(f.default) and value == f.default
    return f.default_factory is not dataclasses.MISSING and value == f.default_factory()


def _module(target: Any) -> str:
    module = target.__module__
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return spec.name
    file = getattr(main, "__file__", None)
    if file is None:
        raise ConfigError(f"{target.__qualname__} is defined in an interactive session: put it in a module, so that it can be found again.")
    return Path(file).stem
