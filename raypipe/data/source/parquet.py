"""Parquet files as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.files import FilePiece, new_files, path_problems, read_file, require
from raypipe.data.source.piece import BATCH_ROWS, Limit, New, Progress


@dataclass(frozen=True)
class Parquet:
    """Parquet files. Page checksums are verified where the files have them."""

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    path: str
    """A file, a folder (with those below it) or a pattern, relative to the project's folder."""
    columns: list[str] | None = None
    """The columns to read; null: all."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        return path_problems(self.path, self.columns)

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        return new_files(self, look, progress, limit)

    def batches(self, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        return read_file(self, piece, types)

    def read(self, path: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema = file.schema_arrow.remove_metadata()
            require(self.columns, schema.names)
            names = self.columns or schema.names
            yield schema.empty_table().select(names)
            num_rows = 0
            for batch in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
                num_rows += batch.num_rows
                yield pa.Table.from_batches([batch]).select(names).replace_schema_metadata(None)
            if num_rows != file.metadata.num_rows:
                raise DataError(f"{num_rows:,} rows could be read, the file says that it has {file.metadata.num_rows:,}")

    def has_rows(self, path: Path) -> bool:
        import pyarrow.parquet as pq

        return pq.read_metadata(path).num_rows > 0
