"""A contract in a file of its own: the same YAML as the slot `contract` or an option of the group `contract` has."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from raypipe.code.module import find
from raypipe.config.problems import component_problems
from raypipe.core.errors import ConfigError, Problem
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.pandera_ import is_schema
from raypipe.data.contract.written import stated

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
        raise _refused(path, list(dict.fromkeys([*problems, *error.problems]))) from None
    problems += [Problem(*_placed(text)) for text in contract.problems()]
    if problems:
        raise _refused(path, problems)
    return contract


def _refused(path: Path, problems: list[Problem]) -> ConfigError:
    """Several are told under the file's name; one alone has it in front."""
    return ConfigError([Problem(f"{path}: {problems[0].where}", problems[0].what)] if len(problems) == 1 else problems)


def with_contracts(values: Mapping[str, Any], search: Sequence[Path]) -> tuple[dict[str, Any], list[Problem]]:
    """The config with every `contract: {_target_: module.schema}` that names a pandera schema of the user's as the contract that it is,
    and what is wrong with those. The module is imported, and pandera with it: about a second, at each command."""
    made, problems = dict(values), []
    parts = {"contract": made} | {
        f"steps.{name}.contract": step for name, step in (made.get("steps") or {}).items() if isinstance(step, dict)
    }
    for where, holder in parts.items():
        node = holder.get("contract")
        target = node.get("_target_") if isinstance(node, dict) else None
        if not isinstance(target, str) or target.startswith("raypipe."):
            continue
        try:
            contract = _converted(where, target, search)
        except ConfigError as error:
            problems += error.problems
            contract = None
        written = None if contract is None else {"_target_": TARGET, **stated(contract)}
        if where == "contract":
            made["contract"] = written
        else:
            step = where.split(".")[1]
            made["steps"] = {**made["steps"], step: {**made["steps"][step], "contract": written}}
    return made, problems


def _converted(where: str, target: str, search: Sequence[Path]) -> Contract:
    module, _, name = target.rpartition(".")
    found = find(module, search)
    if found is None or found.origin != "user":
        raise ConfigError(
            [Problem(f"{where}._target_", f"there is no module '{module}' in the project, expected raypipe.Contract or a pandera schema.")]
        )
    for path in map(str, search):
        if path not in sys.path:
            sys.path.insert(0, path)
    try:
        schema = getattr(import_module(module), name, None)
    except ImportError as error:
        raise ConfigError(
            [Problem(f"{where}._target_", f"{module} cannot be imported: {error}. pandera: pip install 'raypipe[pandera]'.")]
        ) from None
    if schema is None or not is_schema(schema):
        raise ConfigError([Problem(f"{where}._target_", f"{target} is no pandera DataFrameSchema or DataFrameModel.")])
    try:
        return Contract.of(schema)
    except ConfigError as error:
        raise ConfigError([Problem(f"{where}.{p.where}", f"{p.what} ({target})") for p in error.problems]) from None


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
    if found and " " not in where:
        return where, what
    key = text.split(" ")[0]
    return key, text.removeprefix(f"{key} ")
