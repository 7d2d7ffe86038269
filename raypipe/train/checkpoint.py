"""A checkpoint: a folder of plain files with a manifest of digests, whole or not there. It loads neither torch nor pickle.

Its name says how far the training had come, and which attempt wrote it: one that lost its lease, and works on, touches no other's.
The manifest is written last: on an object store, which has no folders to rename, a checkpoint is there when its manifest is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass

from raypipe.core.artifact import File, Json
from raypipe.core.errors import StoreError
from raypipe.core.store import Store, is_remote
from raypipe.core.transient import is_transient

FORMAT = 1
"""Of the folder's layout; a checkpoint of another one is passed over."""

NUM_KEPT = 2
"""Of each attempt: the newest and, should it not verify, the one before."""

_NAME = re.compile(r"(\d{6}-\d{9})-(\d{6,}-\w+)")
"""Epoch and step, and the attempt `TOKEN-ID`. In a folder half-written ones have a dot before it, and more behind."""

MANIFEST = "manifest.json"
STATE = "state.json"


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint that verified: where it is and how far the training had come."""

    path: str
    """In the store."""
    epoch: int
    """Epochs that are done."""
    step: int
    """Steps of the next epoch that are done."""
    num_epochs: int
    """Epochs that were asked for."""
    files: tuple[File, ...]
    """Without the manifest."""

    def __str__(self) -> str:
        return f"epoch {self.epoch} of {self.num_epochs}" + (f", step {self.step}" if self.step else "")


@dataclass(frozen=True)
class Checkpoint:
    """What a training needs to go on: JSON, and files by name (safetensors, model text)."""

    epoch: int
    step: int
    num_epochs: int
    state: Json
    files: Mapping[str, bytes]


def write(store: Store, folder: str, attempt: str, checkpoint: Checkpoint) -> CheckpointInfo:
    """Writes a checkpoint under `folder` so that a kill or a power cut leaves it whole or absent, and keeps the attempt's last NUM_KEPT."""
    path = f"{folder}/{checkpoint.epoch:06d}-{checkpoint.step:09d}-{attempt}"
    files = {STATE: json.dumps(checkpoint.state).encode(), **checkpoint.files}
    listed = [{"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()]
    manifest = {"format": FORMAT, "epoch": checkpoint.epoch, "step": checkpoint.step, "num_epochs": checkpoint.num_epochs, "files": listed}
    store.write_folder(path, {**files, MANIFEST: json.dumps(manifest).encode()})
    for old in [name for name in _whole(store.folders(folder)) if name.endswith(f"-{attempt}")][:-NUM_KEPT]:
        store.remove_folder(f"{folder}/{old}")
    return _info(path, manifest)


def latest(store: Store, folder: str, warn: Callable[[str], None] = lambda text: None) -> CheckpointInfo | None:
    """The newest checkpoint whose every file has the digest in its manifest; `warn` hears of each that is passed over.

    StoreError where an object store does not answer: that says nothing of a checkpoint.
    """
    return next(_verifying(store, folder, _whole(store.folders(folder)), warn), None)


def of_shorter(store: Store, folder: str, num_epochs: int) -> CheckpointInfo | None:
    """The furthest checkpoint that verifies and is no further than `num_epochs`, of the trainings whose folders lie in `folder`.

    They differ in their epochs alone, so that what one has done is what another would begin with.
    """
    found: list[CheckpointInfo] = []
    for place in [f"{folder}/{other}" for other in store.folders(folder)]:
        near = [name for name in _whole(store.folders(place)) if name.split("-")[:2] <= [f"{num_epochs:06d}", f"{0:09d}"]]
        # One that is being replaced by the training that it belongs to is no loss.
        found += filter(None, [next(_verifying(store, place, near, lambda text: None), None)])
    return max(found, key=lambda info: (info.epoch, info.step), default=None)


def read(store: Store, info: CheckpointInfo) -> Checkpoint:
    """The checkpoint's contents. StoreError where they are not those that verified."""
    files = {file.path.rpartition("/")[2]: store.read(file) for file in info.files}
    state = json.loads(files.pop(STATE))
    return Checkpoint(info.epoch, info.step, info.num_epochs, state, files)


def sweep(store: Store, folder: str, attempt: str) -> None:
    """Deletes what earlier attempts left half-written, and all but the newest NUM_KEPT of their checkpoints. For the holder of the lease.

    What a later attempt writes stays: whoever sweeps may have lost the lease meanwhile.
    """
    there = store.folders(folder)
    by = {name: _attempt(name) for name in there}
    earlier = {name for name, other in by.items() if other != attempt and _token(other) <= _token(attempt)}
    for name in earlier - {*[name for name in _whole(there) if name in earlier][-NUM_KEPT:]}:
        store.remove_folder(f"{folder}/{name}")


def _whole(folders: Mapping[str, Set[str]]) -> list[str]:
    """Names of the complete checkpoints among folders with the names of their files, oldest first."""
    return sorted(name for name, files in folders.items() if MANIFEST in files and _NAME.fullmatch(name))


def _attempt(name: str) -> str:
    """That wrote a checkpoint, or half of one; empty of what is none."""
    found = _NAME.match(name.removeprefix("."))
    return found[2] if found else ""


def _token(attempt: str) -> int:
    return int(attempt.partition("-")[0] or 0)


def _verifying(store: Store, folder: str, names: list[str], warn: Callable[[str], None]) -> Iterator[CheckpointInfo]:
    """Those that verify, the newest first."""
    for name in reversed(names):
        try:
            yield _verified(store, f"{folder}/{name}")
        except (StoreError, ValueError, KeyError, TypeError) as error:
            if is_remote(store.root) and is_transient(error):
                raise
            warn(f"checkpoint {name} is passed over: {error}")


def _verified(store: Store, path: str) -> CheckpointInfo:
    """Raises StoreError, ValueError and its like where a file is missing, torn or changed."""
    manifest = json.loads(store.read(f"{path}/{MANIFEST}"))
    if manifest["format"] != FORMAT:
        raise ValueError(f"its format is {manifest['format']}, this raypipe reads {FORMAT}")
    info = _info(path, manifest)
    for file in info.files:
        if hashlib.sha256(store.read(file.path)).hexdigest() != file.sha256:
            raise ValueError(f"{file.path.rpartition('/')[2]} is not what was written")
    return info


def _info(path: str, manifest: Json) -> CheckpointInfo:
    files = tuple(File(f"{path}/{file['path']}", file["size"], file["sha256"]) for file in manifest["files"])
    return CheckpointInfo(path, manifest["epoch"], manifest["step"], manifest["num_epochs"], files)
