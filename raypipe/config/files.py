"""The files of a config: which ones Hydra's defaults lists choose, in the order in which they are merged, and what each says."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import initialize_config_dir
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from raypipe.config.defaults import defaults_problems
from raypipe.config.options import Options, added
from raypipe.config.reference import UNREADABLE
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem, nearest

SEARCH_PATH = "hydra.searchpath"


@dataclass(frozen=True)
class Layer:
    """One file or override, with what it says."""

    name: str
    """`conf/flights.yaml`, `raypipe configs/model/mlp.yaml`, `override train.epochs=3`, `default of raypipe.Train`."""
    values: dict[str, Json]
    """What it says, under the keys of the whole config."""


@contextmanager
def opened(config_dir: Path, name: str, overrides: Sequence[Override]) -> Iterator[Options]:
    """Hydra on that folder, with raypipe's own options behind the user's; what state Hydra had before is put back afterwards.

    Raises ConfigError for a file that is no YAML, and for a search path that leads nowhere.
    """
    before, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        with _initialized(config_dir, name, overrides) as options:
            yield options
    finally:
        GlobalHydra.instance().hydra = before


def _lost_paths(process: Callable[[], object]) -> list[str]:
    """What Hydra warns of while it goes through its search path; anything else that is warned of meanwhile is passed on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        process()
    lost = []
    for warning in caught:
        _, found, after = str(warning.message).partition("path=")
        if found and " is not" in after:
            lost.append(after.partition(" is not")[0])
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return lost


@contextmanager
def _initialized(config_dir: Path, name: str, overrides: Sequence[Override]) -> Iterator[Options]:
    with initialize_config_dir(str(config_dir.absolute()), version_base="1.3"):
        loader: Any = GlobalHydra.instance().config_loader()
        loader.get_search_path().prepend("raypipe", "pkg://raypipe.configs", "schema")
        loader.repository.initialize_sources(loader.get_search_path())
        repository = CachingConfigRepository(loader.repository)
        try:
            if lost := _lost_paths(lambda: loader._process_config_searchpath(name, list(overrides), repository)):
                raise ConfigError([Problem(SEARCH_PATH, f"there is nothing at {', '.join(lost)}.")])
            yield Options(repository)
        except yaml.YAMLError as error:
            raise ConfigError([_yaml_problem(error, config_dir, name)]) from None
        except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(_unfollowed(error, config_dir, name, Options(repository))) from None


def require(config_dir: Path, name: str) -> None:
    """Raises ConfigError where the folder or the file is not there."""
    if not config_dir.is_dir():
        raise ConfigError([Problem("-cd", f"there is no folder {config_dir}. Name the config's folder with -cd FOLDER.")])
    if not (config_dir / f"{name}.yaml").is_file():
        held = sorted(p.stem for p in config_dir.glob("*.yaml"))
        raise ConfigError([Problem("-cn", f"there is no {config_dir}/{name}.yaml.{nearest(name, held)}")])


def layers(config_dir: Path, name: str, chosen: Sequence[Override], options: Options) -> list[Layer]:
    """The files of the config `name` with these options chosen, in the order of merging.

    Hydra's own lists and packages, without the node that Hydra composes for itself: that would be half of what composing costs, and this
    way each value's file is known. Raises ConfigError with everything that is wrong with the lists.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*missing `_self_`")  # it is taken to stand last, as everyone means it
        found = _chosen(options, name, list(chosen))
    return [_layer(options, default, config_dir) for default in found if default.config_path]


def named(value: Any) -> Any:
    """The value with every key a text. YAML 1.1 reads the bare keys `on` and `off` as booleans: they are given back their names."""
    if isinstance(value, list):
        return [named(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {("on" if k else "off") if isinstance(k, bool) else str(k): named(v) for k, v in value.items()}


def _chosen(options: Options, name: str, chosen: list[Override]) -> list[Any]:
    """Hydra's list of files. A group that no list names yet is added to it: Hydra would want `+model=mlp` for that."""
    for _ in range(len(chosen) + 1):
        try:
            return create_defaults_list(options.repository, name, chosen, prepend_hydra=False, skip_missing=False).defaults
        except HydraException as error:
            unlisted = re.match(r"Could not override '([^'@]+)'\.", str(error))
            position = next((i for i, o in enumerate(chosen) if unlisted and o.key_or_group == unlisted[1] and not o.is_add()), None)
            if position is None:
                raise
            chosen[position] = added(chosen[position])
    raise AssertionError("each round either ends or adds one group")


def _layer(options: Options, default: Any, config_dir: Path) -> Layer:
    loaded = options.repository.load_config(default.config_path)
    folder = {"raypipe": "raypipe configs", "main": config_dir.absolute().name}.get(loaded.provider, loaded.path.partition("://")[2])
    place = f"{folder}/{default.config_path}.yaml"
    values: Any = named(OmegaConf.to_container(loaded.config, resolve=False))
    if not isinstance(values, dict):
        raise ConfigError([Problem(place, "expected a mapping of settings, found a list.")])
    values.pop("defaults", None)
    for part in reversed((default.package or "").split(".")):
        values = {part: values} if part else values
    return Layer(place, values)


def _yaml_problem(error: yaml.YAMLError, config_dir: Path, name: str) -> Problem:
    """What YAML itself cannot read, with file and line."""
    mark = getattr(error, "problem_mark", None)
    path = Path(mark.name) if mark is not None and Path(mark.name).is_absolute() else config_dir.absolute() / f"{name}.yaml"
    project = config_dir.absolute().parent
    place = f"{path.relative_to(project) if path.is_relative_to(project) else path}{f' line {mark.line + 1}' if mark is not None else ''}"
    words = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Problem(place, f"no valid YAML: {words}.")


def _unfollowed(error: Exception, config_dir: Path, name: str, options: Options) -> list[Problem]:
    """Why Hydra cannot go on, in words of ours: the search path, the config's own list, or the list of a file further down."""
    if isinstance(error, GrammarParseError):
        return [Problem(str(getattr(error, "full_key", "") or f"{config_dir.name}/{name}.yaml"), f"the text {UNREADABLE}")]
    text = str(error.__cause__ or error)
    if "searchpath" in text:
        return [Problem(SEARCH_PATH, "expected a list of places, e.g. [pkg://churn.conf].")]
    if problems := defaults_problems(config_dir, name, options):
        return problems
    inside = re.match(r"In '([^']+)': ?(.*)", text, re.DOTALL)
    where = f"{config_dir.name}/{inside[1] if inside else name}.yaml"
    missing = re.search(r"Could not (?:find|load) '([^']+)'", text)
    why = f"names '{missing[1]}', which does not exist" if missing else (inside[2] if inside else text).splitlines()[0].rstrip(".")
    return [Problem(where, f"its defaults list cannot be followed: {why}.")]
