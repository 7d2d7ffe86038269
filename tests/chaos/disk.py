"""A disk that remembers what a power cut would leave of it: bytes that were synced, under names whose folders were synced since."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Disk:
    """Stands in for `os` in the store. Each call takes effect at once on real files; `step` is told of it before, and may raise."""

    def __init__(self, root: Path, step: Callable[[str], None], is_dead: Callable[[], bool]):
        self.root = str(root)
        self._step, self._is_dead = step, is_dead
        self._folders: dict[str, dict[str, tuple[int, bool]]] = {}
        """Folder -> name -> inode, and whether it is a folder: as they were when the folder was last synced."""
        self._bytes: dict[int, bytes] = {}
        """Inode -> what was in the file when it was last synced."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            self._step("open")
        descriptor = os.open(path, flags, mode)
        if flags & os.O_CREAT:
            self._bytes.pop(os.fstat(descriptor).st_ino, None)  # the number of a file that was deleted is given out again
        return descriptor

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._step("mkdir")
        os.makedirs(path, exist_ok=exist_ok)

    def fsync(self, descriptor: int) -> None:
        self._step("fsync")
        found = os.fstat(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if stat.S_ISDIR(found.st_mode):
            self._folders[path] = _entries(path)
        else:
            self._bytes[found.st_ino] = Path(path).read_bytes()

    def replace(self, source: str, target: str) -> None:
        self._step("rename")
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        """What is dead tidies nothing up."""
        if not self._is_dead():
            os.unlink(path)

    def rmdir(self, path: str) -> None:
        self._step("rmdir")
        os.rmdir(path)

    def durable(self, path: str) -> bytes | None:
        """What a file of the store would hold after a power cut; None where its name would be lost."""
        folder, inode = self.root, 0
        for part in path.split("/"):
            if part not in (known := self._folders.get(folder, {})):
                return None
            folder, inode = f"{folder}/{part}", known[part][0]
        return self._bytes.get(inode, b"")

    def cut(self) -> None:
        """The power is cut, and comes back: what was not synced is gone."""
        kept = dict(self._left(""))
        for name in os.listdir(self.root):
            shutil.rmtree(os.path.join(self.root, name))
        self._folders.clear()
        self._bytes.clear()
        for path, data in kept.items():
            full = Path(self.root, path)
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_bytes(data)
            self._bytes[full.stat().st_ino] = data
        for folder, _, _ in os.walk(self.root):
            self._folders[folder] = _entries(folder)

    def _left(self, folder: str) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        for name, (inode, is_folder) in self._folders.get(os.path.join(self.root, folder).rstrip("/"), {}).items():
            path = f"{folder}/{name}".lstrip("/")
            found += self._left(path) if is_folder else [(path, self._bytes.get(inode, b""))]
        return found


def _entries(folder: str) -> dict[str, tuple[int, bool]]:
    with os.scandir(folder) as found:
        return {entry.name: (entry.inode(), entry.is_dir()) for entry in found}
