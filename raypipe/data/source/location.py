"""A file of a source, wherever it lies: on this machine's disks, in an object store or on a web server."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.source.url import is_url

COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
"""Suffix -> Arrow's name of the codec, for formats that are text."""


@dataclass(frozen=True)
class Found:
    """A file as a listing tells of it."""

    where: str
    """Its whole path, or its URL."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Or what else changes with the content: a number made of a web server's ETag. -1 where nothing is known."""


@dataclass(frozen=True)
class Location:
    """A file by its whole path or its URL. It travels to a task, which opens what it needs."""

    where: str
    name: str = ""
    """As messages and columns with paths have it: relative to the project's folder where it lies inside."""

    @property
    def is_remote(self) -> bool:
        return is_url(self.where)

    def open(self) -> Any:
        """A pyarrow.NativeFile to seek in: of a remote file only the ranges that are asked for are fetched."""
        if not self.is_remote:
            return pa.OSFile(self.where)
        from raypipe.data.source.remote import open_file

        return open_file(self.where)

    def stream(self) -> Any:
        """A pyarrow.NativeFile from front to end, decompressed where the suffix says that it is compressed."""
        raw = self._stream()
        codec = COMPRESSED.get(os.path.splitext(self.where)[1].lower())
        return pa.CompressedInputStream(raw, codec) if codec else raw

    def pieces(self, num_bytes: int) -> Iterator[bytes]:
        """The content, decompressed, in pieces of at most so many bytes."""
        with self.stream() as stream:
            while piece := stream.read(num_bytes):
                yield piece

    def lines(self) -> Iterator[bytes]:
        """The content, decompressed, by lines, each with the b"\\n" that ends it."""
        import io

        with io.BufferedReader(self.stream(), 1 << 20) as reader:
            yield from reader

    def raw(self, num_bytes: int) -> Iterator[bytes]:
        """The content as it lies there, in pieces of at most so many bytes."""
        with self._stream() as stream:
            while piece := stream.read(num_bytes):
                yield piece

    def found(self) -> Found | None:
        """As it is now; None where it is not there any more."""
        if self.is_remote:
            from raypipe.data.source.remote import find

            return find(self.where)
        try:
            stat = os.stat(self.where)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Found(self.where, stat.st_size, stat.st_mtime_ns)

    def _stream(self) -> Any:
        if not self.is_remote:
            return pa.OSFile(self.where)
        from raypipe.data.source.remote import open_stream

        return open_stream(self.where)


@contextmanager
def reading(name: str, kind: str) -> Iterator[None]:
    """What goes wrong while a file is read, told with its name: as a damaged `kind`, or as a place that cannot be reached."""
    try:
        yield
    except DataError as error:
        raise DataError("\n".join(f"{name}: {line}" for line in str(error).splitlines())) from None
    except (pa.ArrowException, OSError, EOFError) as error:
        raise DataError(f"{name}: {_words(error, kind)}") from None


def _words(error: Exception, kind: str) -> str:
    if isinstance(error, OSError) and error.errno in _TOLD:
        return _TOLD[error.errno]
    from raypipe.data.source.words import is_of_the_place, said

    text = said(error)
    if is_of_the_place(error):
        return f"cannot be reached: {text}. It was tried three times; run again once its store answers."
    return f"cannot be read as {kind}: {text}. It may be cut off or damaged: fetch it again."


_TOLD = {
    errno.ENOENT: "was there when the run began, and is not any more. Run again.",
    errno.EACCES: "cannot be read: permission denied. Let the user that runs this read it.",
}
