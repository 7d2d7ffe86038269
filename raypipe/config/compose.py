"""Files and overrides -> one plain value, with the origin of each of its parts; Hydra chooses the files, and goes no further."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from hydra.core.override_parser.types import Override

from raypipe.config.files import SEARCH_PATH, Layer, layers, opened, require
from raypipe.config.override import apply, merged, parse, said
from raypipe.config.problems import problems_of
from raypipe.config.reference import has_references, resolved
from raypipe.config.settings import defaults_of
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem

FALLBACKS = {"cluster": {"_target_": "raypipe.Local"}, "tracker": {"_target_": "raypipe.NoTracker"}}
"""Where it runs and who is told, for a config that took the group out."""


@dataclass(frozen=True)
class Composed:
    """A composed config. No DictConfig goes further than this."""

    values: dict[str, Json]
    """References resolved: what the pipeline is built from."""
    unresolved: dict[str, Json]
    """`${oc.env:KEY}` as written: what is kept with the run and told to trackers."""
    layers: tuple[Layer, ...]
    """The files and overrides, in the order in which they were merged."""
    search: tuple[Path, ...] = ()
    """Where code of the user's lies."""

    def origin(self, key: str) -> str:
        """`conf/flights.yaml`, `override train.epochs=3`, or `default` where nothing says it."""
        return _origin(self.layers, key)

    @property
    def origins(self) -> dict[str, str]:
        """Dotted key -> where it was said last, for every value."""
        return {key: self.origin(key) for key in leaves(self.unresolved)}


def compose(config_dir: Path, name: str, overrides: Sequence[str] = ()) -> Composed:
    """Composes and checks. Raises ConfigError with every problem, each with the nearest valid name; imports neither Ray nor torch."""
    require(config_dir, name)
    parsed, problems = parse(overrides)
    try:
        choices, found = _choose(config_dir, name, parsed, problems)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    config: dict[str, Json] = reduce(merged, (layer.values for layer in found), {})
    for override in parsed:
        if override not in choices and override.key_or_group != SEARCH_PATH:
            problems += apply(config, override)
            found.append(Layer(f"override {override.input_line}", {} if override.is_delete() else said(override)))
    config.pop("hydra", None)
    search = (config_dir.absolute().parent,)
    values, more = resolved(config, defaults_of(config, search)) if has_references(config) else (config, [])
    values, wrong = _with_contracts(values, search)
    more += wrong
    unmeant = {p.where for p in more}
    more += [p for p in problems_of(_completed(values), search) if p.where not in unmeant]
    if problems or more:
        raise ConfigError([*problems, *(_placed(p, found) for p in dict.fromkeys(more))])
    return Composed(_completed(values), config, tuple(found), search)


def _with_contracts(values: dict[str, Json], search: Sequence[Path]) -> tuple[dict[str, Json], list[Problem]]:
    """Schemas of pandera's that are named as contracts, as the contracts that they are."""
    steps = values.get("steps")
    steps = list(steps.values()) if isinstance(steps, dict) else []
    nodes = [values.get("contract"), *(step.get("contract") for step in steps if isinstance(step, dict))]
    targets = [node["_target_"] for node in nodes if isinstance(node, dict) and isinstance(node.get("_target_"), str)]
    if all(target.startswith("raypipe.") for target in targets):
        return values, []
    from raypipe.config.contract import with_contracts

    return with_contracts(values, search)


def _choose(config_dir: Path, name: str, parsed: list[Override], problems: list[Problem]) -> tuple[list[Override], list[Layer]]:
    """The overrides that choose an option, and the files then composed; an option that does not exist is noted, and the rest composed."""
    with opened(config_dir, name, parsed) as options:
        choices = [o for o in parsed if options.chooses(o)]
        wrong = {id(o): p for o in choices if (p := options.problem(o))}
        problems += wrong.values()
        return choices, layers(config_dir, name, [o for o in choices if id(o) not in wrong], options)


def rows(composed: Composed) -> list[tuple[str, Json, str]]:
    """(dotted key, value as written, origin) of every value, in the order of the config; then the defaults of what it names."""
    written = [(key, value, composed.origin(key)) for key, value in leaves(composed.unresolved).items()]
    said_keys = {".".join(parts[:n]) for key, _, _ in written for parts in [key.split(".")] for n in range(1, len(parts) + 1)}
    return [*written, *(row for row in _default_rows(composed) if row[0] not in said_keys)]


def leaves(value: Json, key: str = "") -> dict[str, Json]:
    """Dotted key -> value, down to what is no mapping."""
    if not (isinstance(value, Mapping) and value):
        return {key: value}
    return {k: v for name, inner in value.items() for k, v in leaves(inner, f"{key}.{name}" if key else str(name)).items()}


def _default_rows(composed: Composed) -> list[tuple[str, Json, str]]:
    defaults = defaults_of(composed.unresolved, composed.search)
    targets = {key.removesuffix("._target_"): value for key, value in leaves(defaults).items() if key.endswith("._target_")}
    return [
        (key, value, f"default of raypipe.{targets[holder].rpartition('.')[2]}" if (holder := _holder(key, targets)) else "default")
        for key, value in leaves(defaults).items()
        if not key.endswith("._target_")
    ]


def _holder(key: str, targets: Mapping[str, str]) -> str:
    return next((holder for holder in sorted(targets, key=len, reverse=True) if key.startswith(f"{holder}.")), "")


def _completed(values: Mapping[str, Json]) -> dict[str, Json]:
    """With what a config need not say: that a contract is a Contract, where to run, whom to tell."""
    completed = {**values, **{key: node for key, node in FALLBACKS.items() if values.get(key) is None}}
    if isinstance(contract := values.get("contract"), dict):
        completed["contract"] = {"_target_": "raypipe.Contract", **contract}
    return completed


def _origin(found: Sequence[Layer], key: str) -> str:
    parts = key.split(".")
    return next((layer.name for layer in reversed(found) if _says(layer.values, parts)), "default")


def _says(values: Json, parts: Sequence[str]) -> bool:
    """Whether a layer says the key, or puts something that is no mapping above it."""
    for part in parts:
        if not isinstance(values, Mapping):
            return True
        if part not in values:
            return False
        values = values[part]
    return True


def _placed(problem: Problem, found: Sequence[Layer]) -> Problem:
    """The problem with the file or override that said the value."""
    origin = _origin(found, problem.where) if problem.where else "default"
    return problem if origin == "default" or origin.startswith("override") else replace(problem, what=f"{problem.what} ({origin})")
