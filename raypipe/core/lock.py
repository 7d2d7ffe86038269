"""The lock: every distribution of this environment with its version, and what of it another environment lacks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

from raypipe.core.errors import ClusterError

OWN = ("raypipe", "ray", "pip", "setuptools", "wheel")
"""raypipe travels by itself, Ray must be there already, and pip is what installs."""


def lock() -> dict[str, str]:
    """Distribution -> version, sorted by their normal names. Left out are those that are installed from a folder, for no index has them,
    and those that Ray brings in a folder of its own, which it puts on the search path when it is imported."""
    found = {
        normal(str(each.metadata["Name"])): each.version
        for each in distributions()
        if not _folder_of(each.read_text("direct_url.json")) and Path(str(each.locate_file(""))).name != "thirdparty_files"
    }
    return dict(sorted(found.items()))


def lacking(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """`name==version` of what another environment has not, or has in another version. A local label (`+cpu`) says how a version was
    built, not which it is, and no index but its own knows it."""
    there = {normal(name): _public(version) for name, version in theirs.items()}
    return [f"{name}=={_public(v)}" for name, v in ours.items() if name not in OWN and there.get(name) != _public(v)]


def source() -> Path | None:
    """The folder that raypipe is installed from; None where an index has it."""
    try:
        return _folder_of(distribution("raypipe").read_text("direct_url.json"))
    except PackageNotFoundError:
        return Path(__file__).parents[2]


def wheel(folder: Path) -> Path:
    """raypipe itself as a wheel in this folder, built from where it is installed from, or taken from the index."""
    found = source()
    with tempfile.TemporaryDirectory() as scratch:
        what = ["--no-build-isolation", _copied(found, Path(scratch))] if found else [f"raypipe=={distribution('raypipe').version}"]
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), *what]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("raypipe-*.whl"))
    if done.returncode or not wheels:
        raise ClusterError(f"raypipe's own wheel cannot be made: {(done.stderr.strip().splitlines() or ['pip said nothing'])[-1]}")
    return wheels[-1]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _copied(folder: Path, scratch: Path) -> str:
    """What setuptools reads of it: a build writes beside its sources."""
    for name in ("raypipe", "configs"):
        shutil.copytree(folder / name, scratch / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (folder / name).is_file():
            shutil.copy(folder / name, scratch / name)
    return str(scratch)


def _folder_of(direct_url: str | None) -> Path | None:
    if not direct_url:
        return None
    url = str(json.loads(direct_url).get("url", ""))
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)) if url.startswith("file:") else None


def _public(version: str) -> str:
    return version.partition("+")[0]
