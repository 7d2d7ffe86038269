"""The store: a folder, or a place in an object store, where the bytes of artifacts lie under relative paths."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from raypipe.core import object_store
from raypipe.core.artifact import File
from raypipe.core.errors import StoreError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

CHUNK_BYTES = 1 << 20


class Writer:
    """A file of the store while it is written; its digest is computed on the way."""

    def __init__(self, path: str, target: _Part | object_store.Upload):
        self._path, self._target = path, target
        self._sha256 = hashlib.sha256()
        self._size = 0
        self._file: File | None = None

    def write(self, data: Any) -> int:
        """Takes any bytes-like object, Arrow buffers included; returns the number of bytes."""
        view = memoryview(data).cast("B")
        with _store_errors(self._path, "written"):
            self._target.stream.write(view)
        self._sha256.update(view)
        self._size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Part of the file interface that libraries call; the file is synced as a whole at the end."""

    closed = False

    def close(self) -> None:
        """Likewise: the end of the with block closes it."""

    @property
    def file(self) -> File:
        """The record of the file, once it is complete and durable."""
        assert self._file is not None, "read .file after the with block"
        return self._file

    def _keep(self) -> None:
        self._target.keep()
        self._file = File(self._path, self._size, self._sha256.hexdigest())


@dataclass(frozen=True)
class Store:
    """Files under `root`, an absolute folder or a URI such as `s3://bucket/prefix`. It pickles: a task opens what it needs."""

    root: str

    @classmethod
    def open(cls, root: str | Path) -> Store:
        """Makes the folder where there is none. StoreError, in one line, where it cannot be written."""
        if is_remote(str(root)):
            return cls(_checked_uri(str(root)))
        return cls(_open_folder(Path(str(root).removeprefix("file://"))))

    def locate(self, path: str) -> str:
        """The absolute path, or URI, of a relative path; refuses what would lead out of the root, symlinks included."""
        relative = _relative(path)
        if is_remote(self.root):
            base, _, query = self.root.partition("?")
            return f"{base}/{relative}" + (f"?{query}" if query else "")
        full = os.path.join(self.root, relative)
        if not os.path.realpath(full).startswith(self.root.rstrip("/") + "/"):
            raise StoreError(f"{path}: a symbolic link leads out of the store at {self.root}")
        return full

    def filesystem(self, path: str) -> tuple[FileSystem, str]:
        """Arrow's file system and the path in it: a URI would take a `%3D` in a name for an escape."""
        if is_remote(self.root):
            return object_store.filesystem(self.root, _relative(path))
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem(), self.locate(path)

    def local(self, path: str) -> Path:
        """The file as a path, for libraries that need a real one. StoreError on an object store."""
        if is_remote(self.root):
            raise StoreError(f"{path}: {self.root} is an object store, and this needs a file on disk")
        return Path(self.locate(path))

    @contextlib.contextmanager
    def create(self, path: str) -> Iterator[Writer]:
        """Writes a file piece by piece. It appears under its name when it is complete and synced; after an exception it does not."""
        with _store_errors(path, "written"):
            target = object_store.Upload(self.root, _relative(path)) if is_remote(self.root) else _Part(self.locate(path))
        writer = Writer(_relative(path), target)
        try:
            yield writer
            with _store_errors(path, "written"):
                writer._keep()
        except BaseException:
            target.drop()
            raise

    def write(self, path: str, data: Any) -> File:
        with self.create(path) as writer:
            writer.write(data)
        return writer.file

    def write_folder(self, path: str, files: Mapping[str, bytes]) -> None:
        """Writes a folder that is there as a whole, synced, or not at all, in place of one of that name.

        An object store has no folders: there the last of `files` is written when the others are complete: who finds it finds all.
        """
        if is_remote(self.root):
            self._write_in_order(path, files)
            return
        with _store_errors(path, "written"):
            _write_folder(self.locate(path), files)
        self.sync(path)

    def _write_in_order(self, path: str, files: Mapping[str, bytes]) -> None:
        self.remove(f"{path}/{list(files)[-1]}")  # what is replaced is whole no more before it is touched
        try:
            for name, data in files.items():
                self.write(f"{path}/{name}", data)
        except BaseException:
            self.remove_folder(path)
            raise

    def adopt(self, path: str) -> File:
        """The record of a file that some library wrote at `local(path)`, which is synced and digested."""
        full = self.local(path)
        sha256 = hashlib.sha256()
        with _store_errors(path, "read"), _open_read(str(full)) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                sha256.update(chunk)
            os.fsync(stream.fileno())
            return File(_relative(path), os.fstat(stream.fileno()).st_size, sha256.hexdigest())

    def read(self, file: File | str) -> bytes:
        """The bytes; where a File is given, StoreError if they are not those that were recorded."""
        path = file if isinstance(file, str) else file.path
        with _store_errors(path, "read"):
            data = object_store.read(self.root, _relative(path)) if is_remote(self.root) else _read_local(self.locate(path))
        if isinstance(file, File) and (found := hashlib.sha256(data).hexdigest()) != file.sha256:
            raise StoreError(
                f"{path}: the bytes in the store are not what was recorded ({len(data)} bytes with sha256 {found[:12]}, "
                f"expected {file.size} with {file.sha256[:12]}); restore the file, or delete it and the next run makes it again"
            )
        return data

    def sync(self, folder: str) -> None:
        """Makes the names in `folder`, the folders below and those up to the root durable. Called once, before publishing."""
        if is_remote(self.root):
            return
        top = self.local(folder) if folder else Path(self.root)
        with _store_errors(folder, "synced"):
            for path, _, _ in os.walk(top):
                _sync_folder(path)
            while str(top) != self.root:
                top = top.parent
                _sync_folder(str(top))

    def holds(self, file: File) -> bool:
        """Whether it is there with that size. The bytes are verified when they are read."""
        if is_remote(self.root):
            with _store_errors(file.path, "looked up"):
                return object_store.size(self.root, _relative(file.path)) == file.size
        with contextlib.suppress(OSError):
            full = self.locate(file.path)
            return os.path.isfile(full) and os.path.getsize(full) == file.size
        return False

    def size(self) -> tuple[int, int]:
        """Number of files, and their bytes."""
        sizes = [size for _, size, _ in self.files()]
        return len(sizes), sum(sizes)

    def files(self) -> Iterator[tuple[str, int, float]]:
        """Every file: its path, its bytes, and when it was written (seconds since 1970)."""
        if is_remote(self.root):
            with _store_errors("store", "listed"):
                found = object_store.files(self.root)
            yield from found
            return
        for folder, _, names in os.walk(self.root):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    found = os.lstat(full := os.path.join(folder, name))
                    yield os.path.relpath(full, self.root), found.st_size, found.st_mtime

    def folders(self, path: str) -> dict[str, set[str]]:
        """The folders in one, by name, each with the names of its files; half-written ones too. None where it is not there."""
        with _store_errors(path, "listed"):
            return object_store.folders(self.root, _relative(path)) if is_remote(self.root) else _folders(self.locate(path))

    def remove_folder(self, path: str) -> None:
        """Deletes a folder with what is in it, as far as that can be done: others may be at it, and `gc` comes by."""
        if is_remote(self.root):
            with contextlib.suppress(OSError):
                object_store.remove_folder(self.root, _relative(path))
        else:
            shutil.rmtree(self.locate(path), ignore_errors=True)

    def remove(self, path: str) -> None:
        """Deletes a file, and the folders that are empty then. Nothing happens where it is not there. For `gc` alone."""
        with _store_errors(path, "deleted"):
            if is_remote(self.root):
                object_store.remove(self.root, _relative(path))
                return
            full = self.locate(path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(full)
            with contextlib.suppress(OSError):  # the first that is not empty
                while (full := os.path.dirname(full)) != self.root:
                    os.rmdir(full)


def is_remote(root: str) -> bool:
    """Whether a store's root is a URI of an object store rather than a folder."""
    return "://" in root and not root.startswith("file://")


def _relative(path: str) -> str:
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise StoreError(f"{path!r}: a path in the store is relative and plain, like `runs/a/part-0.parquet`")
    return path


def _open_folder(root: Path) -> str:
    try:
        root = root.expanduser().absolute()
        fresh = not root.exists()
        root.mkdir(parents=True, exist_ok=True)
        if fresh:
            _sync_folder(str(root.parent))
    except OSError as error:
        raise StoreError(f"store {root}: the folder cannot be made: {reason(error)}. RAYPIPE_STORE names another place.") from None
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise StoreError(f"store {root}: the folder is not writable. RAYPIPE_STORE names another place.")
    return os.path.realpath(root)


def reason(error: OSError) -> str:
    """What the system says, without the errno and the path that the sentence already has."""
    return (error.strerror or str(error)).lower() if error.errno else str(error)


@contextlib.contextmanager
def _store_errors(path: str, verb: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise StoreError(f"{path}: not in the store") from None
    except OSError as error:
        hint = " Free some space: what was done so far is kept, and the run goes on from there." if error.errno == errno.ENOSPC else ""
        raise StoreError(f"{path}: cannot be {verb}: {reason(error)}.{hint}") from error


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Part:
    """Written beside its name, synced, then renamed: a task that is tried again replaces the whole file, never a part of it."""

    def __init__(self, full: str):
        folder, name = os.path.split(full)
        os.makedirs(folder, exist_ok=True)
        self._full, self._part = full, os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}.part")
        self.stream = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666), "wb")

    def keep(self) -> None:
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        os.replace(self._part, self._full)

    def drop(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._part)
        with contextlib.suppress(OSError):
            self.stream.close()


def _write_folder(full: str, files: Mapping[str, bytes]) -> None:
    """Written beside its name, synced, then renamed, as a file is."""
    above, name = os.path.split(full)
    os.makedirs(above, exist_ok=True)
    part = os.path.join(above, f".{name}.{uuid.uuid4().hex[:8]}")
    try:
        os.mkdir(part)
        for name, data in files.items():
            with open(os.path.join(part, name), "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        _sync_folder(part)
        if os.path.exists(full):
            shutil.rmtree(full)
        os.rename(part, full)
    except OSError:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _folders(full: str) -> dict[str, set[str]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(full) as entries:
        return {entry.name: _names(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)}
    return {}


def _names(folder: str) -> set[str]:
    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
        return set(os.listdir(folder))
    return set()


def _open_read(full: str) -> BinaryIO:
    return os.fdopen(os.open(full, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def _read_local(full: str) -> bytes:
    with _open_read(full) as stream:
        return stream.read()


def _checked_uri(root: str) -> str:
    if "@" in root.split("://", 1)[1].split("/", 1)[0]:
        raise StoreError("store: a URI with a user or a key in it would end up in logs; put credentials in the environment instead")
    try:
        object_store.filesystem(root.rstrip("/"))
    except (ValueError, OSError) as error:
        raise StoreError(f"store {root}: {error}") from None
    return root.rstrip("/")
