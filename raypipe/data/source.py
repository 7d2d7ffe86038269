"""Sources: files of rows in a landing zone, found, told apart by content, and read piece by piece."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import pyarrow as pa

from raypipe.core.errors import DataError

BATCH_ROWS = 131_072


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, as it was found."""

    path: str
    """Relative to the project's folder where it lies inside."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Only spares reading the file again for its digest."""
    sha256: str


class Source(Protocol):
    """Where rows come from."""

    path: str
    suffixes: ClassVar[tuple[str, ...]]

    def batches(self, path: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        """The file's rows in pieces; `types` are those that a contract states, for formats that have none of their own."""
        ...


@dataclass(frozen=True)
class Parquet:
    """Parquet files. Page checksums are verified where the files have them."""

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    path: str
    """A file, a folder or a pattern, relative to the project's folder."""
    columns: list[str] | None = None
    """The columns to read; null: all."""

    def batches(self, path: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            missing = [c for c in self.columns or () if c not in file.schema_arrow.names]
            if missing:
                raise DataError(f"there is no column '{missing[0]}' among {', '.join(file.schema_arrow.names)}")
            if not file.num_row_groups:
                yield file.schema_arrow.empty_table().select(self.columns or file.schema_arrow.names)
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, columns=self.columns, use_threads=False)
                yield table.select(self.columns) if self.columns else table


@dataclass(frozen=True)
class Csv:
    """CSV files with a header line. A contract's types are taken; without one they are guessed from the first rows of each file."""

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)

    path: str
    """A file, a folder or a pattern, relative to the project's folder."""
    columns: list[str] | None = None
    """The columns to read; null: all."""
    types: dict[str, str] = field(default_factory=dict)
    """Column -> Arrow type, where no contract states it."""
    null_values: list[str] = field(default_factory=lambda: [""])
    """What stands for a missing value."""
    delimiter: str = ","
    """What stands between two values."""

    def batches(self, path: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        from pyarrow import csv

        from raypipe.data.types import parse_type

        convert = csv.ConvertOptions(
            column_types={**types, **{name: parse_type(type_) for name, type_ in self.types.items()}},
            null_values=self.null_values,
            strings_can_be_null=True,
            include_columns=self.columns,
        )
        parse = csv.ParseOptions(delimiter=self.delimiter, invalid_row_handler=_refuse_row)
        options = csv.ReadOptions(use_threads=False, block_size=8 << 20)
        with csv.open_csv(path, options, parse, convert) as reader:
            num_batches = 0
            for batch in reader:
                num_batches += 1
                yield pa.Table.from_batches([batch])
            if not num_batches:
                yield reader.schema.empty_table()


def list_files(source: Source, project_path: Path, known: Mapping[str, SourceFile]) -> list[SourceFile]:
    """The files of a source, by path; a digest is computed only where path, size and mtime are not those in `known`.

    DataError for a path that is not there, a folder or pattern without files, an empty file, two files of one content, and files of
    another kind among them, each by name.
    """
    found = [_describe(path, project_path, known) for path in _paths(source, project_path)]
    seen: dict[str, str] = {}
    for file in found:
        if file.sha256 in seen:
            raise DataError(f"{file.path}: the same content as {seen[file.sha256]}; its rows would be taken twice. Remove one of them.")
        seen[file.sha256] = file.path
    return found


def read_batches(source: Source, project_path: Path, file: SourceFile, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """The file's rows in pieces of a row group or block. DataError with the file's name where it is broken."""
    try:
        yield from source.batches(project_path / file.path, types)
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file.path}: cannot be read: {str(error).splitlines()[0]}") from None


def state(files: Sequence[SourceFile]) -> str:
    """sha256 over path, size and content of every file."""
    return hashlib.sha256(json.dumps([[f.path, f.size, f.sha256] for f in files]).encode()).hexdigest()


def _paths(source: Source, project_path: Path) -> list[Path]:
    whole = project_path / source.path
    if whole.is_file():
        return [whole]
    inside = whole.iterdir() if whole.is_dir() else map(Path, glob.glob(str(whole), recursive=True))
    found = sorted(p for p in inside if p.is_file() and not p.name.startswith((".", "_")))
    if not found:
        what = "the folder holds no file" if whole.is_dir() else "there is no such file, folder or match"
        raise DataError(f"{source.path}: {what} (looked in {project_path}).")
    other = [p.name for p in found if p.suffix not in source.suffixes]
    if other:
        kind = type(source).__name__
        raise DataError(f"{source.path}: {len(other)} files are no {kind}, the first is {other[0]}. Name a pattern, e.g. {source.path}/*{source.suffixes[0]}.")
    return found


def _describe(path: Path, project_path: Path, known: Mapping[str, SourceFile]) -> SourceFile:
    name = str(path.relative_to(project_path)) if path.is_relative_to(project_path) else str(path)
    found = path.stat()
    if not found.st_size:
        raise DataError(f"{name}: the file is empty (0 bytes).")
    before = known.get(name)
    if before and (before.size, before.mtime_ns) == (found.st_size, found.st_mtime_ns):
        return before
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return SourceFile(name, found.st_size, found.st_mtime_ns, digest)


def _refuse_row(row: object) -> str:
    number = getattr(row, "number", None)
    expected, actual = getattr(row, "expected_columns", "?"), getattr(row, "actual_columns", "?")
    place = f"row {number}" if number is not None else f"the row '{str(getattr(row, 'text', ''))[:60]}'"
    raise DataError(f"{place} has {actual} values, the header {expected}")
