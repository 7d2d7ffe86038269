"""Text files as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.files import FilePiece, new_files, path_problems, read_file
from raypipe.data.source.location import Location
from raypipe.data.source.piece import Limit, New, Progress

BLOCK_BYTES = 8 << 20
MAX_BYTES = 1 << 30
"""Of a text that is one row, decompressed."""


@dataclass(frozen=True)
class Text:
    """Text files in UTF-8, compressed or not, a row a line or a row a file: columns `text`, `path` and, where asked for, `line`."""

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = tuple(
        f"{kind}{packed}" for kind in (".txt", ".text", ".md", ".log") for packed in ("", ".gz", ".zst")
    )

    path: str
    """A file, a folder (with those below it) or a pattern, relative to the project's folder; or a URL: s3, gs, abfss, http, https."""
    rows: Literal["lines", "files"] = "lines"
    """`lines`: a row a line, without the line's end, empty ones left out; `files`: a row a file."""
    line_numbers: bool = False
    """Whether there is a column `line`, counted from 1, empty lines too."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = path_problems(self.path, None)
        found += [] if self.rows in ("lines", "files") else [f"rows is {self.rows!r}, expected lines or files"]
        return found + (["line_numbers goes with rows: lines"] if self.line_numbers and self.rows == "files" else [])

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        return new_files(self, look, progress, limit)

    def batches(self, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        return read_file(self, piece, types)

    def read(self, file: Location, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        if self.rows == "files":
            yield self._table(file, [_whole(file)], [1])
            return
        yield self._table(file, [], [])
        last = 0
        for lines in _blocks(file):
            kept = [number for number, line in enumerate(lines) if line.strip()]
            yield self._table(file, [lines[number] for number in kept], [last + number + 1 for number in kept])
            last += len(lines)

    def has_rows(self, file: Location) -> bool:
        return self.rows == "files" or any(line.strip() for line in file.lines())

    def _table(self, file: Location, texts: list[bytes], numbers: list[int]) -> pa.Table:
        try:
            text = pa.array(texts, pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:
            number = next(n for n, line in zip(numbers, texts, strict=True) if not _is_utf8(line))
            raise DataError(f"{'' if self.rows == 'files' else f'line {number}: '}is not UTF-8") from None
        columns = {"text": text, "path": pa.repeat(pa.scalar(file.name, pa.string()), len(texts))}
        return pa.table(columns | ({"line": pa.array(numbers, pa.int64())} if self.line_numbers else {}))


def _blocks(file: Location) -> Iterator[list[bytes]]:
    """Lines without their ends."""
    rest = b""
    for piece in file.pieces(BLOCK_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        yield [line.removesuffix(b"\r") for line in lines]
    if rest:
        yield [rest.removesuffix(b"\r")]


def _whole(file: Location) -> bytes:
    data = b""
    for piece in file.pieces(BLOCK_BYTES):
        data += piece
        if len(data) > MAX_BYTES:
            raise DataError(f"has more than {MAX_BYTES:,} bytes of text, too many for one row: read it with rows: lines")
    return data


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
