"""Which installed distribution an import name belongs to, and its version, without importing it or reading its metadata."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from raypipe.code.settled import once

_NAME = re.compile(r"(?P<name>.+?)-(?P<version>\d[^-]*)(-py[\d.]+)?\.(dist-info|egg-info)$")
_ABSENT = "not installed"


def versions(modules: Iterable[str]) -> dict[str, str]:
    """Distribution that holds each of these modules -> its version; `not installed` where one is not to be had.

    `importlib.metadata.packages_distributions` reads every file list there is (0.1 s and more); here a folder's listing settles most names.
    """
    return dict(sorted({_holder(name) for name in modules}))


@once
def version(name: str) -> str:
    """The installed version of the distribution called `name`, or `not installed`."""
    for folder in map(Path, sys.path):
        if folder.is_dir() and (found := _infos(folder).get(_plain(name))):
            return found[0]
    return _ABSENT


def installed() -> dict[str, str]:
    """Every distribution that is installed -> its version, sorted by name: what the environment is made of."""
    found: dict[str, str] = {}
    for folder in map(Path, sys.path):
        # Others are put on the path by libraries, for what they bring with them, once they are imported.
        if folder.name in ("site-packages", "dist-packages") and folder.is_dir():
            found = {name: version for name, (version, _) in _infos(folder).items()} | found
    return dict(sorted(found.items()))


@lru_cache(maxsize=1024)
def _holder(module: str) -> tuple[str, str]:
    top = module.partition(".")[0]
    place = _place(top)
    if place is None:
        return top, _ABSENT
    infos = _infos(place)
    if found := infos.get(_plain(top)):
        return _plain(top), found[0]
    holders = ((name, version) for name, (version, info) in infos.items() if _holds(info, _entry(module, place)))
    return next(holders, (top, "unknown"))


def _place(top: str) -> Path | None:
    """The folder of the import path that holds the top-level module."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).parent
    return Path(spec.origin).parent if spec.origin else None


@lru_cache(maxsize=16)
def _infos(folder: Path) -> dict[str, tuple[str, Path]]:
    """Distribution -> (version, its metadata folder), from the names of the folders alone."""
    infos: dict[str, tuple[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := _NAME.match(path.name):
            infos[_plain(match["name"])] = (match["version"], path)
    return infos


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _entry(module: str, place: Path) -> str:
    """The path by which a file list would name the module; a namespace package is followed to its first regular one."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        folder = place.joinpath(*parts[:depth])
        if not folder.is_dir():
            return "/".join(parts[:depth])
        if (folder / "__init__.py").is_file():
            return "/".join(parts[:depth]) + "/"
    return "/".join(parts) + "/"


def _holds(info: Path, entry: str) -> bool:
    tops = info / "top_level.txt"
    if "/" not in entry.rstrip("/") and tops.is_file():
        return entry.rstrip("/") in tops.read_text().split()
    record = info / "RECORD"
    lines = "\n" + record.read_text() if record.is_file() else ""
    return f"\n{entry}" in lines if entry.endswith("/") else f"\n{entry}." in lines
