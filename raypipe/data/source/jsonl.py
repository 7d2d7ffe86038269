"""Files of JSON lines as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from raypipe.core.step import Look
from raypipe.data.names import column_problems
from raypipe.data.source.files import FilePiece, new_files, path_problems, read_file
from raypipe.data.source.location import Location
from raypipe.data.source.partitions import partition_problems
from raypipe.data.source.piece import Limit, New, Progress
from raypipe.data.types import is_type, parse_type


@dataclass(frozen=True)
class JsonLines:
    """Files with a JSON object a line, compressed or not; a field that a line has not is null, one that no line of a file has is refused.

    A contract's types are taken; without one the first 8 MB of the first file say them.
    """

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = tuple(
        f"{kind}{packed}" for kind in (".jsonl", ".ndjson", ".json") for packed in ("", ".gz", ".zst")
    )

    path: str
    """A file, a folder (with those below it) or a pattern, relative to the project's folder; or a URL: s3, gs, abfss, http, https."""
    columns: list[str] | None = None
    """The fields to read; null: all."""
    types: dict[str, str] = field(default_factory=dict)
    """Field -> Arrow type, where no contract states it."""
    optional: list[str] = field(default_factory=list)
    """Fields that a whole file may lack: they are null then."""
    partitions: dict[str, str | None] = field(default_factory=dict)
    """Column that folders such as `year=2013` state -> its Arrow type; null: not read."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = path_problems(self.path, self.columns) + partition_problems(self.partitions, self.columns)
        found += column_problems(self.optional, "optional") if self.optional else []
        bad = {name: type for name, type in self.types.items() if not is_type(type)}
        return found + [f"types.{name}: '{type}' is no type, e.g. int64, float64, string" for name, type in bad.items()]

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        return new_files(self, look, progress, limit)

    def batches(self, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        return read_file(self, piece, types)

    def read(self, file: Location, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        from raypipe.data.source.json_text import read

        return read(file, {**types, **{name: parse_type(type) for name, type in self.types.items()}}, self.columns, self.optional)

    def has_rows(self, file: Location) -> bool:
        return any(line.strip() for line in file.lines())
