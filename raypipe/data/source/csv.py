"""CSV files as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from raypipe.core.step import Look
from raypipe.data.source.files import FilePiece, new_files, path_problems, read_file
from raypipe.data.source.piece import Limit, New, Progress
from raypipe.data.types import is_type, parse_type


@dataclass(frozen=True)
class Csv:
    """CSV files in UTF-8 with a header line. A contract's types are taken; without one they are guessed from the first file."""

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".txt")

    path: str
    """A file, a folder (with those below it) or a pattern, relative to the project's folder."""
    columns: list[str] | None = None
    """The columns to read; null: all."""
    types: dict[str, str] = field(default_factory=dict)
    """Column -> Arrow type, where no contract states it."""
    null_values: list[str] = field(default_factory=lambda: [""])
    """What stands for a missing value, quoted or not."""
    delimiter: str = ","
    """What stands between two values: one character."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = path_problems(self.path, self.columns)
        found += [
            f"types.{name}: '{type}' is no type, e.g. int64, float64, string" for name, type in self.types.items() if not is_type(type)
        ]
        return found + ([] if len(self.delimiter) == 1 else [f"delimiter is {self.delimiter!r}, expected one character"])

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        return new_files(self, look, progress, limit)

    def batches(self, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        return read_file(self, piece, types)

    def read(self, path: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        from raypipe.data.source.csv_text import read

        wanted = {**types, **{name: parse_type(type) for name, type in self.types.items()}}
        return read(path, wanted, self.columns, self.null_values, self.delimiter)

    def has_rows(self, path: Path) -> bool:
        with path.open("rb") as file:
            return sum(1 for line, _ in zip((line for line in file if line.strip()), range(2), strict=False)) > 1
