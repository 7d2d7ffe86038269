"""The parcel: a project's files as they travel with a job, without what is no code, and never larger than a bound."""

from __future__ import annotations

import fnmatch
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raypipe.core.errors import ConfigError, Problem
from raypipe.core.place import MARK

IGNORE_FILE = ".raypipeignore"
IGNORED = (
    *(".raypipe/", ".git/", ".venv/", "venv/", "__pycache__/", ".ipynb_checkpoints/", ".pytest_cache/", ".ruff_cache/", "node_modules/"),
    *(
        "*.pyc",
        ".env",
        ".env.*",
        ".netrc",
        ".pgpass",
        "*.pem",
        "*.key",
        "id_rsa*",
        "id_ed25519*",
        ".aws/",
        ".ssh/",
        "wandb/",
        "*.egg-info/",
    ),
)
"""What is left at home: what raypipe and tools keep, and files where secrets lie by custom. NAME/ is a folder, at any depth."""

MAX_BYTES = 100 << 20
NUM_NAMED = 5


@dataclass(frozen=True)
class Parcel:
    """Files of a project, by their paths in it."""

    folder: Path
    paths: tuple[str, ...]
    num_bytes: int
    left: tuple[str, ...]
    """Links that lead out of the project: they stay behind."""

    def packed(self, more: Mapping[str, bytes]) -> bytes:
        """A zip of them and of `more`; the same bytes for the same files, so that they travel once."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in sorted({*self.paths, *more}):
                entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o600 << 16 if path in more else 0o644 << 16
                archive.writestr(entry, more[path] if path in more else (self.folder / path).read_bytes())
        return out.getvalue()


def gather(folder: Path, max_bytes: int = MAX_BYTES) -> Parcel:
    """What travels of a project. ConfigError, with the largest files named, where that is more than the bound."""
    ignored = (*IGNORED, *_own(folder))
    paths, left = [], []
    for path in _walked(folder, ignored):
        inside = (folder / path).resolve().is_relative_to(folder.resolve())
        (paths if inside else left).append(path)
    sizes = {path: (folder / path).stat().st_size for path in paths}
    total = sum(sizes.values())
    if total > max_bytes:
        largest = sorted(sizes, key=lambda path: -sizes[path])[:NUM_NAMED]
        named = ", ".join(f"{path} ({sizes[path] / 1e6:,.1f} MB)" for path in largest)
        what = f"{total / 1e6:,.1f} MB in {len(paths):,} files, and {max_bytes / 1e6:,.1f} MB may travel. The largest: {named}."
        hint = f"Name what the job does not read in {IGNORE_FILE} (data/, *.parquet), and read data from where the cluster reaches it."
        raise ConfigError([Problem(str(folder), f"{what} {hint}")])
    return Parcel(folder, tuple(sorted(paths)), total, tuple(sorted(left)))


def mark(folder: Path, name: str) -> dict[str, bytes]:
    """raypipe.toml for a project that has none: where the parcel is unpacked the folder's name is another."""
    return {} if (folder / MARK).is_file() else {MARK: f"project = {json.dumps(name)}\n".encode()}


def _own(folder: Path) -> list[str]:
    file = folder / IGNORE_FILE
    lines = file.read_text().splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _walked(folder: Path, ignored: Sequence[str]) -> Iterator[str]:
    for top, folders, files in os.walk(folder):
        base = Path(top).relative_to(folder).as_posix()
        prefix = "" if base == "." else f"{base}/"
        folders[:] = sorted(name for name in folders if not _left_out(f"{prefix}{name}", name, ignored, True))
        yield from (f"{prefix}{name}" for name in sorted(files) if not _left_out(f"{prefix}{name}", name, ignored, False))


def _left_out(path: str, name: str, ignored: Sequence[str], is_folder: bool) -> bool:
    for pattern in ignored:
        wanted = pattern.rstrip("/")
        if pattern.endswith("/") and not is_folder:
            continue
        if fnmatch.fnmatch(path if "/" in wanted else name, wanted.lstrip("/")):
            return True
    return False
