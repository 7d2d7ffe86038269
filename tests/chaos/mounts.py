"""Small disks of a test's own: one that can be full, and one whose power can be cut."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

EXT4_IOC_SHUTDOWN = 0x8004587D
"""_IOR('X', 125, __u32), of the kernel's fs/ext4/ext4.h."""
NO_LOG_FLUSH = 2


def _run(*command: str) -> str:
    """What went wrong; empty where nothing did."""
    if not shutil.which(command[0]):
        return f"{command[0]} is not installed"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stderr.strip() or f"{command[0]} failed" if done.returncode else ""


class Disk:
    """A mounted file system."""

    def __init__(self, folder: Path, source: str, *options: str):
        self.path = folder / "disk"
        self._mount = ("mount", *options, source, str(self.path))
        self.path.mkdir()

    def mount(self, part: str) -> None:
        """Skips the test, naming the part of the suite that is left out, where this process may not mount."""
        if wrong := _run(*self._mount):
            pytest.skip(f"{part} need root and the right to mount, and are left out: {wrong.splitlines()[0]}")

    def unmount(self) -> None:
        assert not (wrong := _run("umount", str(self.path))), wrong

    def grow(self, size: str) -> None:
        assert not (wrong := _run("mount", "-o", f"remount,size={size}", str(self.path))), wrong

    def cut_power(self) -> None:
        """As the kernel does it for tests: nothing more reaches the disk, its journal included. Then it is back, and repaired."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, "little"))
        finally:
            os.close(descriptor)

    def come_back(self) -> None:
        self.unmount()
        self.mount("power cuts")


@contextlib.contextmanager
def small(folder: Path, size: str) -> Iterator[Disk]:
    disk = Disk(folder, "none", "-t", "tmpfs", "-o", f"size={size}")
    disk.mount("full disks")
    try:
        yield disk
    finally:
        disk.unmount()


@contextlib.contextmanager
def powered(folder: Path, megabytes: int = 128) -> Iterator[Disk]:
    """ext4 in a file."""
    image = folder / "image"
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    if wrong := _run("mkfs.ext4", "-q", "-F", str(image)):
        pytest.skip(f"power cuts need mkfs.ext4, and are left out: {wrong}")
    disk = Disk(folder, str(image), "-o", "loop")
    disk.mount("power cuts")
    try:
        yield disk
    finally:
        disk.unmount()
