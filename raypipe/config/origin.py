"""Where each value of a composed config comes from: the last file or override that said it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import OmegaConf

from raypipe.core.artifact import Json


@dataclass(frozen=True)
class Layer:
    """One file or override, with what it says."""

    name: str
    """`conf/flights.yaml`, `raypipe configs/model/mlp.yaml`, `override train.epochs=3`."""
    values: dict[str, Json]
    """What a file says, under the keys of the whole config."""
    key: str = ""
    """The key that an override sets."""


def layers(name: str, groups: Sequence[Override], config_dir: Path) -> list[Layer]:
    """The files that were composed, in the order of merging. To be called while Hydra is initialised."""
    loader: Any = GlobalHydra.instance().config_loader()
    chosen = [o.input_line for o in groups]
    try:
        defaults = loader.compute_defaults_list(name, chosen, RunMode.RUN).defaults
    except Exception:
        defaults = loader.compute_defaults_list(name, [c if c[0] in "+~" else f"+{c}" for c in chosen], RunMode.RUN).defaults
    return [_layer(loader, d, config_dir) for d in defaults if not (d.package or "").startswith("hydra")]


def origin_of(found: Sequence[Layer], key: str) -> str:
    """The name of the last layer that says `key`, or something that holds or lies in it; `default` where none does."""
    for layer in reversed(found):
        if layer.key and (key == layer.key or key.startswith(f"{layer.key}.")):
            return layer.name
        if not layer.key and _says(layer.values, key.split(".")):
            return layer.name
    return "default"


def named(value: Any) -> Any:
    """The value with every key a text. YAML 1.1 reads the bare keys `on` and `off` as booleans: they are given back their names."""
    if isinstance(value, list):
        return [named(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {("on" if k else "off") if isinstance(k, bool) else str(k): named(v) for k, v in value.items()}


def _layer(loader: Any, default: Any, config_dir: Path) -> Layer:
    result = loader.repository.load_config(default.config_path)
    values: Any = named(OmegaConf.to_container(result.config, resolve=False))
    for part in reversed((default.package or "").split(".")):
        values = {part: values} if part else values
    own = result.provider == "raypipe"
    name = f"raypipe configs/{default.config_path}.yaml" if own else f"{config_dir.name}/{default.config_path}.yaml"
    return Layer(name, values)


def _says(values: Any, parts: list[str]) -> bool:
    for part in parts:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True
