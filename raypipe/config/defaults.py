"""What is wrong with the defaults list of a config, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from raypipe.config.options import Options
from raypipe.core.errors import Problem, nearest

EXPECTED = "expected entries such as pipeline, {model: booster}, _self_, {override source: csv}"


def defaults_problems(config_dir: Path, name: str, options: Options) -> list[Problem]:
    """Every entry that names something that does not exist, cannot be read, or stands in the wrong place."""
    written: Any = OmegaConf.to_container(OmegaConf.load(config_dir / f"{name}.yaml"), resolve=False)
    if not isinstance(written, dict):
        return [Problem(f"{config_dir.name}/{name}.yaml", "expected a mapping of settings, found a list.")]
    entries = written.get("defaults") or []
    where = f"{config_dir.name}/{name}.yaml defaults"
    if not isinstance(entries, list):
        return [Problem(where, f"found {entries!r}, expected a list: [pipeline, {{model: booster}}, _self_].")]
    found = [text for entry in entries for text in _entry(entry, options)]
    found += _order(entries)
    if not any(entry == "pipeline" for entry in entries):
        found.insert(0, "`pipeline` is not in the list: it brings the slots and where to run; put it first.")
    return [Problem(where, text) for text in found]


def _entry(entry: Any, options: Options) -> Iterator[str]:
    if isinstance(entry, str):
        if entry != "_self_" and not options.exists(entry):
            yield f"there is no config '{entry}'.{nearest(entry, ['pipeline', '_self_'])}"
        return
    if not isinstance(entry, dict) or len(entry) != 1:
        yield f"found {entry!r}; {EXPECTED}."
        return
    ((key, option),) = entry.items()
    is_optional = str(key).startswith("optional ")
    group = str(key).removeprefix("override ").removeprefix("optional ").partition("@")[0].strip("/")
    if not options.of(group):
        if not is_optional:
            yield f"there is no group '{group}'.{nearest(group, options.groups())}"
        return
    for chosen in option if isinstance(option, list) else [option]:
        if chosen is not None and not is_optional and chosen not in options.of(group) and "${" not in str(chosen):
            yield f"there is no option '{chosen}' of the group '{group}'.{nearest(str(chosen), options.of(group))}"


def _order(entries: list[Any]) -> Iterator[str]:
    """Overriding entries come last, and a group is chosen once."""
    keys = [str(next(iter(entry))) if isinstance(entry, dict) and entry else "" for entry in entries]
    first = next((i for i, key in enumerate(keys) if key.startswith("override ")), len(keys))
    if any(not key.startswith("override ") for key in keys[first:]):
        yield f"{{{keys[first]}: ...}} stands before an entry that overrides nothing; entries with `override` come last."
    for key in dict.fromkeys(k for k in keys if k and keys.count(k) > 1):
        yield f"'{key}' is chosen twice; keep one."
    shipped = {"source", "cluster", "tracker"} & set(keys)
    if "pipeline" in entries:
        for key in sorted(shipped):
            yield f"'{key}' is chosen by `pipeline` already; write {{override {key}: ...}} at the end of the list."
