"""Files and overrides -> one plain value, with the origin of each of its parts; Hydra chooses and merges, and goes no further."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from raypipe.config.origin import Layer, layers, named, origin_of
from raypipe.config.problems import problems_of
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem, nearest

GROUPS = ("source", "model", "cluster", "tracker")
"""Groups that are shipped; a folder in the user's own config folder is a group too."""


@dataclass(frozen=True)
class Composed:
    """A composed config. No DictConfig goes further than this."""

    values: dict[str, Json]
    """References resolved: what the pipeline is built from."""
    unresolved: dict[str, Json]
    """`${oc.env:KEY}` as written: what is kept with the run and told to trackers."""
    layers: tuple[Layer, ...]
    """The files and overrides, in the order in which they were merged."""

    def origin(self, key: str) -> str:
        """`conf/flights.yaml`, `override train.epochs=3`, or `default`."""
        return origin_of(self.layers, key)


def compose(config_dir: Path, name: str, overrides: Sequence[str] = ()) -> Composed:
    """Composes and checks. Raises ConfigError with every problem, each with the nearest valid name; imports neither Ray nor torch."""
    _require(config_dir, name)
    parsed, problems = _parse(overrides)
    with _hydra(config_dir):
        groups = [o for o in parsed if _chooses_option(o, config_dir)]
        wrong = _option_problems(groups)
        problems += wrong.values()
        groups = [o for o in groups if o.key_or_group not in wrong]
        merged = _merge(name, [o.input_line for o in groups if o.input_line], config_dir)
        found = layers(name, groups, config_dir)
    set_values = [o for o in parsed if o not in groups and o.key_or_group not in wrong]
    for override in set_values:
        problems += _apply(merged, override)
    found += [Layer(f"override {o.input_line}", {}, o.key_or_group) for o in set_values]
    unresolved = _plain(merged, resolve=False)
    values, more = _resolved(merged)
    problems += more or problems_of(values, (config_dir.absolute().parent,))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return Composed(values, unresolved, tuple(found))


def rows(composed: Composed) -> list[tuple[str, Json, str]]:
    """(dotted key, value as written, origin) of every leaf, in the order of the config."""
    return [(key, value, composed.origin(key)) for key, value in _leaves(composed.unresolved, "")]


class _Shipped(SearchPathPlugin):
    """Puts raypipe's own options behind the user's."""

    def manipulate_search_path(self, search_path: Any) -> None:
        search_path.append("raypipe", "pkg://raypipe.configs")


@contextmanager
def _hydra(config_dir: Path) -> Iterator[None]:
    if _Shipped not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(_Shipped)
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir.absolute()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().clear()


def _require(config_dir: Path, name: str) -> None:
    if not config_dir.is_dir():
        raise ConfigError([Problem("-cd", f"there is no folder {config_dir}. Name the config's folder with -cd FOLDER.")])
    held = sorted(p.stem for p in config_dir.glob("*.yaml"))
    if name not in held:
        raise ConfigError([Problem("-cn", f"there is no {config_dir}/{name}.yaml.{nearest(name, held)}")])


def _parse(overrides: Sequence[str]) -> tuple[list[Override], list[Problem]]:
    if not overrides:
        return [], []
    parser = OverridesParser.create()
    parsed, problems = [], []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except (OverrideParseException, HydraException):
            problems.append(Problem(text, _unparsed(text)))
    sweeps = [o for o in parsed if o.is_sweep_override()]
    problems += [Problem(o.key_or_group, f"'{o.input_line}' is a sweep over several values; a run takes one.") for o in sweeps]
    return [o for o in parsed if o not in sweeps], problems


def _unparsed(text: str) -> str:
    key, found, value = text.partition("=")
    if not found and not key.startswith("~"):
        return f"is no override: expected KEY=VALUE, e.g. train.epochs=3, found '{text}'."
    return f"the value cannot be read. Where it holds `=`, commas or spaces, quote it inside the override: '{key}=\"{value}\"'."


def _chooses_option(override: Override, config_dir: Path) -> bool:
    """Whether it chooses an option of a group, and does not set a value."""
    group = override.key_or_group.split("@")[0]
    is_group = group in GROUPS or (config_dir / group).is_dir()
    return is_group and (isinstance(override.value(), str) or override.is_delete())


def _option_problems(groups: Sequence[Override]) -> dict[str, Problem]:
    """Group -> what is wrong with the option that was chosen; the others are composed, so that all problems are told at once."""
    loader = GlobalHydra.instance().config_loader()
    problems = {}
    for override in groups:
        options = loader.get_group_options(override.key_or_group)
        if not override.is_delete() and override.value() not in options:
            what = f"there is no option '{override.value()}'.{nearest(str(override.value()), options)}"
            problems[override.key_or_group] = Problem(override.key_or_group, what)
    return problems


def _merge(name: str, groups: list[str], config_dir: Path) -> DictConfig:
    # `model=mlp` where the config's defaults name no model: Hydra wants `+model=mlp` then.
    for attempt in (groups, [g if g[0] in "+~" else f"+{g}" for g in groups]):
        try:
            merged = hydra_compose(name, attempt)
            OmegaConf.set_struct(merged, False)
            return merged
        except ConfigCompositionException as error:
            if attempt is groups and "Could not override" in str(error) and len(groups) == 1:
                continue
            raise ConfigError([_composition_problem(error, name, config_dir)]) from None
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError([_composition_problem(error, name, config_dir)]) from None
        except Exception as error:
            if type(error).__module__.startswith("yaml"):
                raise ConfigError([Problem(f"{config_dir}/{name}.yaml", _yaml_words(error))]) from None
            raise
    raise AssertionError("an attempt returns or raises")


def _composition_problem(error: Exception, name: str, config_dir: Path) -> Problem:
    text = str(error.__cause__ or error)
    missing = re.search(r"Could not find '([^']+)/([^'/]+)'", text)
    where = f"{config_dir}/{name}.yaml"
    if missing:
        options = GlobalHydra.instance().config_loader().get_group_options(missing[1])
        return Problem(where, f"the defaults list names {missing[1]}: {missing[2]}, which does not exist.{nearest(missing[2], options)}")
    return Problem(where, f"cannot be composed: {text.splitlines()[0]}")


def _yaml_words(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}: " if mark else ""
    return f"{place}is no valid YAML: {getattr(error, 'problem', None) or error}."


def _apply(config: DictConfig, override: Override) -> list[Problem]:
    key = override.key_or_group
    if override.is_delete():
        if OmegaConf.select(config, key, throw_on_missing=False) is None:
            siblings = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else config
            names = list(siblings) if isinstance(siblings, DictConfig) else []
            return [Problem(key, f"there is nothing to take out.{nearest(key.rpartition('.')[2], map(str, names))}")]
        parent = OmegaConf.select(config, key.rpartition(".")[0]) if "." in key else config
        del parent[key.rpartition(".")[2]]
        return []
    try:
        OmegaConf.update(config, key, override.value(), force_add=True, merge=False)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        return [Problem(key, f"cannot be set: {str(error).splitlines()[0]}")]
    return []


def _resolved(config: DictConfig) -> tuple[dict[str, Json], list[Problem]]:
    try:
        return _plain(config, resolve=True), []
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or ""
        return {}, [Problem(str(key), f"the reference cannot be resolved: {str(error).splitlines()[0]}")]


def _plain(config: DictConfig, *, resolve: bool) -> dict[str, Json]:
    plain = named(OmegaConf.to_container(config, resolve=resolve))
    return {k: v for k, v in plain.items() if k != "hydra"}


def _leaves(value: Json, key: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value
