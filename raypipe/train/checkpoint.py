"""A checkpoint: a folder of plain files with a manifest of digests, whole or not there. It loads neither torch nor pickle.

Its name says how far the training had come, and which attempt wrote it: one that lost its lease, and works on, touches no other's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raypipe.core.artifact import Json
from raypipe.core.errors import StoreError

if TYPE_CHECKING:
    from raypipe.core.store import Store

FORMAT = 1
"""Of the folder's layout; a checkpoint of another one is passed over."""

NUM_KEPT = 2
"""Of each attempt: the newest and, should it not verify, the one before."""

_NAME = re.compile(r"(\d{6}-\d{9})-(\d{6,}-\w+)")
"""Epoch and step, and the attempt `TOKEN-ID`. Half-written ones have a dot before it, and more behind."""

MANIFEST = "manifest.json"
STATE = "state.json"


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint that verified: where it is and how far the training had come."""

    path: Path
    epoch: int
    """Epochs that are done."""
    step: int
    """Steps of the next epoch that are done."""
    num_epochs: int
    """Epochs that were asked for."""

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
    place = store.local(folder)
    place.mkdir(parents=True, exist_ok=True)
    target = place / f"{checkpoint.epoch:06d}-{checkpoint.step:09d}-{attempt}"
    part = place / f".{target.name}.{uuid.uuid4().hex[:8]}"
    try:
        _fill(part, {STATE: json.dumps(checkpoint.state).encode(), **checkpoint.files}, checkpoint)
        if target.exists():
            shutil.rmtree(target)
        os.rename(part, target)
        store.sync(f"{folder}/{target.name}")  # and what is above it; beside it another attempt may be at work
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise StoreError(f"{target}: the checkpoint cannot be written: {error.strerror or error}.") from error
    for old in [name for name in _names(place) if name.endswith(f"-{attempt}")][:-NUM_KEPT]:
        shutil.rmtree(place / old, ignore_errors=True)
    return CheckpointInfo(target, checkpoint.epoch, checkpoint.step, checkpoint.num_epochs)


def latest(store: Store, folder: str, warn: Callable[[str], None] = lambda text: None) -> CheckpointInfo | None:
    """The newest checkpoint whose every file has the digest in its manifest; `warn` hears of each that is passed over."""
    with contextlib.suppress(StoreError):  # an object store holds no checkpoints yet
        place = store.local(folder)
        for name in reversed(_names(place)):
            try:
                return _verified(place / name)
            except (OSError, ValueError, KeyError, TypeError) as error:
                warn(f"checkpoint {name} is passed over: {error}")
    return None


def of_shorter(store: Store, folder: str, num_epochs: int) -> CheckpointInfo | None:
    """The furthest checkpoint that verifies and is no further than `num_epochs`, of the trainings whose folders lie in `folder`.

    They differ in their epochs alone, so that what one has done is what another would begin with.
    """
    found: list[CheckpointInfo] = []
    with contextlib.suppress(StoreError, FileNotFoundError):
        for other in os.listdir(store.local(folder)):
            place = store.local(f"{folder}/{other}")
            for name in reversed(_names(place)):
                # One that is being replaced by the training that it belongs to is no loss.
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    info = _verified(place / name)
                    if (info.epoch, info.step) <= (num_epochs, 0):
                        found.append(info)
                        break
    return max(found, key=lambda info: (info.epoch, info.step), default=None)


def read(info: CheckpointInfo) -> Checkpoint:
    """The checkpoint's contents."""
    files = {p.name: p.read_bytes() for p in info.path.iterdir() if p.name != MANIFEST}
    state = json.loads(files.pop(STATE))
    return Checkpoint(info.epoch, info.step, info.num_epochs, state, files)


def sweep(store: Store, folder: str, attempt: str) -> None:
    """Deletes what earlier attempts left half-written, and all but the newest NUM_KEPT of their checkpoints. For the holder of the lease.

    What a later attempt writes stays: whoever sweeps may have lost the lease meanwhile.
    """
    with contextlib.suppress(StoreError, FileNotFoundError):  # an object store holds none yet
        place = store.local(folder)
        by = {name: _attempt(name) for name in os.listdir(place)}
        earlier = {name for name, other in by.items() if other != attempt and _token(other) <= _token(attempt)}
        for name in earlier - {*sorted(filter(_NAME.fullmatch, earlier))[-NUM_KEPT:]}:
            shutil.rmtree(place / name, ignore_errors=True)


def _names(place: Path) -> list[str]:
    """Names of complete checkpoints, oldest first."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(filter(_NAME.fullmatch, os.listdir(place)))
    return []


def _attempt(name: str) -> str:
    """That wrote a checkpoint, or half of one; empty of what is none."""
    found = _NAME.match(name.removeprefix("."))
    return found[2] if found else ""


def _token(attempt: str) -> int:
    return int(attempt.partition("-")[0] or 0)


def _fill(part: Path, files: Mapping[str, bytes], checkpoint: Checkpoint) -> None:
    listed = [{"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()]
    manifest = {"format": FORMAT, "epoch": checkpoint.epoch, "step": checkpoint.step, "num_epochs": checkpoint.num_epochs, "files": listed}
    part.mkdir()
    for name, data in {**files, MANIFEST: json.dumps(manifest).encode()}.items():
        with open(part / name, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _sync_folder(part)


def _verified(path: Path) -> CheckpointInfo:
    """Raises ValueError and its like where a file is missing, torn or changed."""
    manifest = json.loads((path / MANIFEST).read_bytes())
    if manifest["format"] != FORMAT:
        raise ValueError(f"its format is {manifest['format']}, this raypipe reads {FORMAT}")
    for file in manifest["files"]:
        with open(path / file["path"], "rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != file["sha256"]:
                raise ValueError(f"{file['path']} is not what was written")
    return CheckpointInfo(path, manifest["epoch"], manifest["step"], manifest["num_epochs"])


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
