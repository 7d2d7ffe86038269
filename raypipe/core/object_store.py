"""An object store under a root such as `s3://bucket/prefix`, through Arrow's file systems: what `core/store.py` asks of it.

Paths are relative to the root, and plain. What goes wrong is an OSError.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


def filesystem(root: str, path: str = "") -> tuple[FileSystem, str]:
    """Arrow's file system, and the path in it. ValueError for a root that is none."""
    from pyarrow.fs import FileSystem

    system, base = FileSystem.from_uri(_at_once(root))
    return system, f"{base.rstrip('/')}/{path}" if path else base


def _at_once(root: str) -> str:
    """Arrow's S3 writes in parts whatever there is, three requests, unless it is asked not to begin before it knows how much."""
    if not root.startswith("s3://"):
        return root
    return f"{root}{'&' if '?' in root else '?'}allow_delayed_open=true"


class Upload:
    """A file while it is written. It is shown when it is complete: closing it is what publishes it."""

    def __init__(self, root: str, path: str):
        self._system, self._full = filesystem(root, path)
        self.stream = self._system.open_output_stream(self._full)

    def keep(self) -> None:
        self.stream.close()

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            self.stream.close()
            self._system.delete_file(self._full)


def read(root: str, path: str) -> bytes:
    system, full = filesystem(root, path)
    with system.open_input_stream(full) as stream:
        return stream.read()


def size(root: str, path: str) -> int | None:
    """In bytes; None where there is no such file."""
    system, full = filesystem(root, path)
    info = system.get_file_info(full)
    return info.size if info.is_file else None


def files(root: str) -> list[tuple[str, int, float]]:
    """Every file: its path, its bytes, and when it was written (seconds since 1970)."""
    from pyarrow.fs import FileSelector

    system, base = filesystem(root)
    top = base.rstrip("/") + "/"
    found = system.get_file_info(FileSelector(base, recursive=True, allow_not_found=True))
    return [(i.path.removeprefix(top), i.size or 0, i.mtime.timestamp() if i.mtime else 0.0) for i in found if i.is_file]


def folders(root: str, path: str) -> dict[str, set[str]]:
    """What names of files have in front of them, with the names of the files. Folders of no file are none."""
    from pyarrow.fs import FileSelector

    system, full = filesystem(root, path)
    found: dict[str, set[str]] = {}
    for info in system.get_file_info(FileSelector(full, recursive=True, allow_not_found=True)):
        name, inside, file = info.path.removeprefix(f"{full}/").partition("/")
        if info.is_file and inside:
            found.setdefault(name, set()).add(file)
    return found


def remove(root: str, path: str) -> None:
    """Nothing happens where it is not there."""
    system, full = filesystem(root, path)
    with contextlib.suppress(FileNotFoundError):
        system.delete_file(full)


def remove_folder(root: str, path: str) -> None:
    system, full = filesystem(root, path)
    system.delete_dir(full)
