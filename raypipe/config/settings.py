"""The settings that a config may have: slots, the steps in them, and their declared defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from raypipe.code.shape import shape
from raypipe.config.override import merged
from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError
from raypipe.pipeline.assemble import SLOTS

COMPONENTS = ("source", "contract", "model", "cluster", "tracker")
"""Slots that hold a component, a node with `_target_`."""

KEYS = ("name", "source", "contract", "label", "model", "cluster", "tracker", "steps", "execution", "sweep", *SLOTS)
"""What a config may say at its top level."""

SUPPLIED = {
    "ingest": {"source": "source", "contract": "contract"},
    "transform": {"label": "label", "entries": "transform"},
    "train": {"model": "model", "label": "label"},
}
"""Slot -> settings of its step that other keys fill in, and those keys."""

OPTIONAL = {"register": {"name"}}
"""Slot -> settings that its step requires and the pipeline's name supplies."""


def defaults_of(config: Mapping[str, Json], search: Sequence[Path]) -> dict[str, Json]:
    """Declared defaults of the slots' steps, and of every component that the config names; what is no plain value is left out."""
    slots = {slot: _defaults(target, search, SUPPLIED.get(slot, ())) for slot, target in SLOTS.items() if config.get(slot, {}) is not None}
    return merged(_named_defaults(config, search), slots)


def _named_defaults(node: Mapping[str, Json], search: Sequence[Path]) -> dict[str, Json]:
    inner = {name: _named_defaults(value, search) for name, value in node.items() if isinstance(value, Mapping)}
    target = node.get("_target_")
    return {**(_defaults(target, search, ()) if isinstance(target, str) else {}), **{k: v for k, v in inner.items() if v}}


def _defaults(target: str, search: Sequence[Path], supplied: Sequence[str] | Mapping[str, str]) -> dict[str, Json]:
    try:
        parameters = shape(target, search).parameters
    except ConfigError:
        return {}
    values = {p.name: _plain(p.default) for p in parameters if p.default_known and p.name not in supplied}
    return {"_target_": target, **values}


def _plain(value: Json) -> Json:
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value
