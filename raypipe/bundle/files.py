"""The files of a bundle: their names, their digests, and reading them back only if they are what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from raypipe.core.artifact import File, Json, Model
from raypipe.core.errors import DataError, StoreError

if TYPE_CHECKING:
    from raypipe.core.store import Store

VERSION = 1
"""Of the layout; a newer one is refused."""

BUNDLE = "bundle.json"
"""Version, format, digests of the other files, lineage and environment. It holds no import path."""
SIGNATURE = "signature.json"
"""Inputs, features, label, classes and the threshold."""
TRANSFORM = "transform.json"
"""The fitted chain as data."""
CODE = "code.json"
"""Source text, with digests, of the functions of the user's that the chain calls; absent where it calls none."""
EXAMPLES = "sample.arrow"
"""A few rows with the answers that this bundle gives to them."""

Contents = Mapping[str, bytes]
"""Name -> bytes, of every file of a bundle."""


def digest(files: Iterable[File]) -> str:
    """sha256 over the names and digests of all files but bundle.json: two trainings that give the same model have the same one."""
    return _digest({Path(file.path).name: file.sha256 for file in files})


def describe(contents: Contents, about: Json) -> bytes:
    """bundle.json for these files; `about` is its format, lineage and environment."""
    files = [{"path": name, "size": len(data), "sha256": _sha256(data)} for name, data in sorted(contents.items())]
    head = {"bundle": VERSION, "digest": _digest({f["path"]: f["sha256"] for f in files})}
    return json.dumps({**head, **about, "files": files}, indent=2).encode()


def read_store(store: Store, model: Model) -> Contents:
    """Every file of the artifact, verified against the sha256 in the ledger's record."""
    contents = {file.path.removeprefix(f"{model.path}/"): store.read(file) for file in model.files}
    if BUNDLE not in contents:
        raise StoreError(f"model {model.id} at {model.path}: no {BUNDLE} among its files, so it is no bundle.")
    return contents


def read_folder(folder: Path) -> Contents:
    """Every file that the folder's own bundle.json names, verified against the sha256 that it gives; others are not read."""
    document = parse(_read(folder, BUNDLE))
    contents = {BUNDLE: _read(folder, BUNDLE)}
    for file in document["files"]:
        name = file["path"]
        if Path(name).name != name:
            raise DataError(f"{folder / BUNDLE}: names a file outside its folder, '{name}'.")
        contents[name] = _read(folder, name)
        if _sha256(contents[name]) != file["sha256"]:
            raise StoreError(f"{folder / name}: its bytes are not those that {BUNDLE} names. Copy the bundle again.")
    return contents


def parse(data: bytes) -> Json:
    """bundle.json as a value; DataError where it is none, or of a newer version."""
    try:
        document = json.loads(data)
        version = document["bundle"]
        files = [(f["path"], f["sha256"]) for f in document["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{BUNDLE} is not one that raypipe wrote: {error!r}.") from None
    if not isinstance(version, int) or version > VERSION:
        raise DataError(f"the bundle is of version {version}; this raypipe reads up to {VERSION}: use a newer raypipe.")
    if not all(isinstance(text, str) for pair in files for text in pair):
        raise DataError(f"{BUNDLE} is not one that raypipe wrote: a file without path or sha256.")
    return document


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{folder / name}: not there, so {folder} is no complete bundle.") from None


def _digest(sha256: Mapping[str, str]) -> str:
    parts = sorted((name, value) for name, value in sha256.items() if name != BUNDLE)
    return _sha256(json.dumps(parts).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
