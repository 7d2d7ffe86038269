"""image: a Dockerfile of the project with the lock of this environment, for a cluster's nodes."""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

from raypipe.core import lock
from raypipe.core.errors import ConfigError, Problem
from raypipe.core.parcel import IGNORED
from raypipe.core.place import find_project

DOCKERFILE = """\
# {name}: Python {python}, Ray {ray}, {count} distributions. Written by `raypipe image`, which writes it anew with --force.
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 ray
COPY requirements.lock {wheel} /opt/
RUN pip install --no-cache-dir --no-deps -r /opt/requirements.lock /opt/{wheel} && rm -f /opt/requirements.lock /opt/{wheel}
RUN install -d -o ray -g ray /srv/{name}
ENV RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 PYTHONUNBUFFERED=1
USER ray
WORKDIR /srv/{name}
COPY --chown=ray:ray . .
# No secret is in this image: ledger, store and Ray's token come from the environment that runs it
# (RAYPIPE_LEDGER, RAYPIPE_STORE, RAY_AUTH_TOKEN_PATH).
"""


def image(options: argparse.Namespace) -> int:
    """Dockerfile, .dockerignore, requirements.lock and raypipe's wheel, in the project's folder."""
    place = find_project(None, Path(options.folder))
    found = {**lock.lock(), "ray": version("ray")}
    packages = {name: number for name, number in found.items() if name not in ("raypipe", "pip")}
    with tempfile.TemporaryDirectory() as scratch:
        wheel = lock.wheel(Path(scratch))
        facts = {"name": _safe(place.name), "python": platform.python_version(), "ray": version("ray"), "wheel": wheel.name}
        base = options.base or f"python:{platform.python_version()}-slim-bookworm"
        files = {
            "Dockerfile": DOCKERFILE.format(**facts, base=base, count=len(packages)).encode(),
            ".dockerignore": "".join(f"**/{name.rstrip('/')}\n" for name in IGNORED).encode(),
            "requirements.lock": "".join(f"{name}=={number.partition('+')[0]}\n" for name, number in packages.items()).encode(),
            wheel.name: wheel.read_bytes(),
        }
    _write(place.path, files, options.force)
    if options.json:
        print(json.dumps({"files": list(files), "base": base, "distributions": len(packages)}))
    else:
        print(f"{', '.join(files)} written to {options.folder}.\n  docker build -t {facts['name']} {options.folder}")
    return 0


def _write(folder: Path, files: dict[str, bytes], force: bool) -> None:
    there = [name for name in files if (folder / name).exists() and not name.endswith(".whl")]
    if there and not force:
        raise ConfigError([Problem(str(folder / name), "is there already; --force replaces it.") for name in there])
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _safe(name: str) -> str:
    """As Docker takes a name of an image."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name.lower()).strip("-_") or "project"
