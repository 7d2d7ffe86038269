"""The code of the user's that a step calls: its source closure, so that a change in it, and no other, makes the step run again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raypipe.code import distribution, tokens
from raypipe.code.module import executed
from raypipe.code.reach import Reach
from raypipe.code.recorded import load, record
from raypipe.code.settled import once
from raypipe.code.target import define, missing
from raypipe.core.errors import ConfigError

__all__ = ["Closure", "closure", "load", "record"]


@dataclass(frozen=True)
class Closure:
    """Everything of the user's code that a target's result depends on."""

    entry: str
    """`module:qualname` of the target, where it is defined."""
    digest: str
    """sha256 over the entry, the parts and the files read; empty where it cannot be known, and then `uncached` says why."""
    parts: Mapping[str, str]
    """`module:name` -> digest of that function, class or constant; `module:*` is what a module does beside binding names."""
    modules: Mapping[str, str]
    """Source of each user module that running the target imports, for recording; empty where there is no source."""
    packages: frozenset[str]
    """Those of `modules` that are packages."""
    distributions: Mapping[str, str]
    """Installed distribution that the reached code imports -> its version."""
    reads: Mapping[str, str] = field(default_factory=dict)
    """File that the code reads, relative to the project's folder -> sha256."""
    uncached: str = ""
    """Why its result cannot be cached: code without source."""
    notes: tuple[str, ...] = ()
    """What reading could not follow: modules imported by a computed name."""


@once
def closure(target: str, search: Sequence[Path], reads: Sequence[str] = ()) -> Closure | None:
    """The closure of an import path; None where it is not the user's code but an installed distribution's.

    A name is followed to the function, class or constant that it means; where one does not resolve by reading (a star import, `globals()`,
    a module that changes what is used while it is imported), its whole module counts. `reads` names files relative to `search[0]`.
    Raises ConfigError where the target or one of `reads` does not exist. About 2 ms for a module of 300 lines.
    """
    definition = define(target, search)
    if definition.origin != "user":
        return None
    entry = f"{definition.module}:{definition.qualname}"
    if definition.parsed is None:
        return Closure(entry, "", {}, {}, frozenset(), {}, uncached=f"module '{definition.module}' has no source")
    if why := missing(definition):
        raise ConfigError(why)
    reach = Reach(search)
    reach.start(definition.parsed, definition.qualname.partition(".")[0])
    files = {name: _file_digest(search[0] / name, name) for name in sorted(reads)}
    found = [entry, *(f"{name} {digest}" for name, digest in sorted((reach.parts | files).items()))]
    modules = [] if reach.opaque else executed(reach.modules, search)
    return Closure(
        entry=entry,
        digest="" if reach.opaque else tokens.joined(found),
        parts=dict(sorted(reach.parts.items())),
        modules={module.name: module.source for module in modules},
        packages=frozenset(module.name for module in modules if module.is_package),
        distributions=distribution.versions(reach.outside),
        reads=files,
        uncached=reach.opaque[0] if reach.opaque else "",
        notes=tuple(reach.notes),
    )


def _file_digest(path: Path, name: str) -> str:
    if not path.is_file():
        raise ConfigError(f"reads: there is no file '{name}' in {path.parent}")
    return hashlib.sha256(path.read_bytes()).hexdigest()
