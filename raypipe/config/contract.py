"""A contract in a file of its own: the same YAML as the slot `contract` or an option of the group `contract` has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from raypipe.config.problems import component_problems
from raypipe.core.errors import ConfigError, Problem
from raypipe.data.contract.contract import Contract

TARGET = "raypipe.Contract"


def read_contract(path: Path) -> Contract:
    """ConfigError with everything that is wrong with it: each unknown key with the nearest name, each value that cannot be."""
    written = {key: value for key, value in _mapping(path).items() if key != "_target_"}
    told = component_problems("contract", {"_target_": TARGET, **written}, ())
    problems = [Problem(p.where.removeprefix("contract").lstrip("."), p.what) for p in told]
    for problem in problems:
        _leave_out(written, problem.where.split("."))
    try:
        contract = Contract(**written)
    except ConfigError as error:
        raise ConfigError(list(dict.fromkeys([*problems, *error.problems]))) from None
    problems += [Problem(*_placed(text)) for text in contract.problems()]
    if problems:
        raise ConfigError(problems)
    return contract


def _leave_out(written: dict[str, Any], keys: list[str]) -> None:
    """What is told already, so that the rest can be looked at."""
    inner: Any = written
    for key in keys[:-1]:
        inner = inner.get(key) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.pop(keys[-1], None)


def _mapping(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(
            [Problem(str(path), "there is no such file. `raypipe tables infer PATH --out FILE` writes a contract to start from.")]
        )
    try:
        found: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError([Problem(f"{path}{f' line {mark.line + 1}' if mark else ''}", f"no valid YAML: {words}.")]) from None
    found = found.get("contract", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not found:
        raise ConfigError([Problem(str(path), "expected a mapping with the settings of a contract: columns, min_rows, rules, ...")])
    return found


def _placed(text: str) -> tuple[str, str]:
    """`columns.x: min is ...` -> where and what."""
    where, found, what = text.partition(": ")
    return (where, what) if found and " " not in where else (where.split(" ")[0], text)
