"""Overrides of the command line: read, and set in a plain config."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from raypipe.core.artifact import Json
from raypipe.core.errors import Problem, nearest
from raypipe.pipeline.assemble import TRANSFORM_SETTINGS

OPEN = ("steps", "transform", "contract.columns")
"""Mappings to which `+key=value` adds; elsewhere the keys are settings, which are there or are not."""
_INSIDE = re.compile(r"(steps\.[^.]+\.pipeline\.)+")
"""What stands before the same mappings of a sub-pipeline."""


def parse(texts: Sequence[str]) -> tuple[list[Override], list[Problem]]:
    """The overrides that can be read, and what is wrong with the others."""
    parsed, problems = [], []
    for text in texts:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            problems.append(Problem(text, _unreadable(text)))
            continue
        if override.is_sweep_override():
            problems.append(Problem(override.key_or_group, f"'{text}' is a sweep over several values; a run takes one. A list is [a,b]."))
        elif override.key_or_group.startswith("hydra.") and override.key_or_group != "hydra.searchpath":
            problems.append(Problem(override.key_or_group, "has no effect: raypipe only composes with Hydra. Leave it out."))
        else:
            parsed.append(override)
    return parsed, problems


def path_of(override: Override) -> list[str]:
    """`transform.scale.columns.0` as its parts."""
    return override.key_or_group.split(".")


def said(override: Override) -> dict[str, Json]:
    """What the override says, under the keys of the whole config."""
    value: Any = override.value()
    for part in reversed(path_of(override)):
        value = {part: value}
    return value


def apply(config: dict[str, Json], override: Override) -> list[Problem]:
    """Sets or takes out one value, in place."""
    *parents, last = path_of(override)
    try:
        holder = _holder(config, parents, override)
    except LookupError as error:
        return [Problem(override.key_or_group, str(error.args[0]))]
    if isinstance(holder, list):
        return _apply_to_list(holder, last, override)
    if override.is_delete():
        if last not in holder:
            return [Problem(override.key_or_group, f"there is nothing to take out.{nearest(last, holder)}")]
        del holder[last]
        return []
    value = override.value()
    old = holder.get(last)
    if old and isinstance(old, dict) and value == {}:
        what = f"an empty mapping is put into what is there, and changes nothing: ~{override.key_or_group} takes that out."
        return [Problem(override.key_or_group, what)]
    holder[last] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return []


def merged(under: Any, over: Any) -> Any:
    """Two configs as one: mappings are merged, everything else is replaced; `???` replaces nothing."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    together = dict(under)
    for key, value in over.items():
        if value != "???" or key not in under:
            together[key] = merged(under.get(key), value)
    return together


def _holder(config: dict[str, Json], parents: Sequence[str], override: Override) -> Any:
    """The mapping or list in which the last part of the key stands; mappings on the way are made where a setting has none yet."""
    holder: Any = config
    for depth, part in enumerate(parents):
        where = ".".join(parents[: depth + 1])
        if isinstance(holder, list):
            holder = holder[_index(holder, part, where)]
            continue
        if not isinstance(holder.get(part), (dict, list)):
            _require_addable(holder, part, where, override)
            holder[part] = {}
        holder = holder[part]
    where = ".".join(parents)
    if (kind := _open(where)) and not override.is_delete() and isinstance(holder, dict):
        _require_known(holder, path_of(override)[-1], kind, override)
    return holder


def _open(where: str) -> str:
    """The one of OPEN that the key names, in the pipeline or in a sub-pipeline; empty where it names none."""
    inner = _INSIDE.sub("", where, count=1)
    return inner if inner in OPEN else ""


def _require_addable(holder: dict[str, Json], part: str, where: str, override: Override) -> None:
    """Nothing is built below a value, nor below a step, transform or column that is not there or is left out."""
    if holder.get(part) is not None:
        raise LookupError(f"'{where}' is {holder[part]!r}: it has no settings.")
    parent = where.rpartition(".")[0]
    if override.is_delete():
        hint = nearest(part, holder)
        raise LookupError(f"there is nothing to take out.{hint if hint.startswith(' Did') else ''}")
    if part in holder and (not parent or _open(parent)):
        raise LookupError(f"'{where}' is null, which leaves it out: it has no settings. To have it after all, write {where}={{...}}.")
    if kind := _open(parent):
        _require_known(holder, part, kind, override)


def _require_known(holder: dict[str, Json], part: str, parent: str, override: Override) -> None:
    """A new name under `steps`, `transform` or `contract.columns` is meant only where it is written with `+`; the step's own settings,
    which stand beside the transforms, are there."""
    settings = TRANSFORM_SETTINGS if parent == "transform" else ()
    if part in holder or part in settings or override.is_add() or override.is_force_add():
        return
    kind = {"steps": "step", "transform": "transform or setting"}.get(parent, "column")
    hint = nearest(part, [*holder, *(name for name in settings if name not in holder)])
    raise LookupError(f"there is no {kind} '{part}'.{hint} To add one, write +{override.input_line}")


def _apply_to_list(holder: list[Any], last: str, override: Override) -> list[Problem]:
    try:
        position = _index(holder, last, override.key_or_group)
    except LookupError as error:
        return [Problem(override.key_or_group, str(error.args[0]))]
    if override.is_delete():
        del holder[position]
    else:
        holder[position] = override.value()
    return []


def _index(holder: list[Any], part: str, where: str) -> int:
    if not part.isdigit() or int(part) >= len(holder):
        raise LookupError(f"'{where}' is no place in a list of {len(holder)}; set the whole list, e.g. columns=[a,b].")
    return int(part)


def _unreadable(text: str) -> str:
    key, found, value = text.partition("=")
    if not found and not key.startswith("~"):
        return "no override: expected KEY=VALUE, e.g. train.epochs=3."
    quoted = value.replace('"', '\\"')
    why = "holds `=`" if "=" in value else "cannot be read"
    return f"the value {why}: quote it inside the override, '{key}=\"{quoted}\"'."
