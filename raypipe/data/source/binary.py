"""Files of any kind as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.files import FilePiece, new_files, path_problems, read_file
from raypipe.data.source.location import Location
from raypipe.data.source.piece import Limit, New, Progress

MAX_BYTES = (1 << 31) - 1
"""Of a file: what a value of Arrow's type `binary` holds."""


@dataclass(frozen=True)
class Binary:
    """Files of any kind, a row each: columns `bytes`, as they lie there, `path` and `size`."""

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = ("",)

    path: str
    """A file, a folder (with those below it) or a pattern, relative to the project's folder; or a URL: s3, gs, abfss, http, https."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        return path_problems(self.path, None)

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        return new_files(self, look, progress, limit)

    def batches(self, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        return read_file(self, piece, types)

    def read(self, file: Location, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        data = content(file)
        yield pa.table({"bytes": pa.array([data], pa.binary()), "path": [file.name], "size": pa.array([len(data)], pa.int64())})

    def has_rows(self, file: Location) -> bool:
        return True


def content(file: Location) -> bytes:
    """All of a file that becomes one value."""
    found = file.found()
    if found and found.size > MAX_BYTES:
        raise DataError(f"has {found.size:,} bytes, too many for one value: at most {MAX_BYTES:,}")
    return b"".join(file.raw(8 << 20))
