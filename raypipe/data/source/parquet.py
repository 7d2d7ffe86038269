"""Parquet files as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.files import FilePiece, new_files, path_problems, read_file, require
from raypipe.data.source.location import Location
from raypipe.data.source.partitions import partition_problems
from raypipe.data.source.piece import BATCH_ROWS, Limit, New, Progress

BATCH_BYTES = 256 << 20
"""About as much is in memory of rows so wide that BATCH_ROWS of them would be more."""


@dataclass(frozen=True)
class Parquet:
    """Parquet files. Page checksums are verified where the files have them."""

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    path: str
    """A file, a folder (with those below it) or a pattern, relative to the project's folder; or a URL: s3, gs, abfss, http, https."""
    columns: list[str] | None = None
    """The columns to read; null: all. Of a remote file no others are fetched."""
    partitions: dict[str, str | None] = field(default_factory=dict)
    """Column that folders such as `year=2013` state -> its Arrow type; null: not read."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        return path_problems(self.path, self.columns) + partition_problems(self.partitions, self.columns)

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        return new_files(self, look, progress, limit)

    def batches(self, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        return read_file(self, piece, types)

    def read(self, file: Location, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(file.open(), page_checksum_verification=True, pre_buffer=file.is_remote) as opened:
            schema = opened.schema_arrow.remove_metadata()
            _refuse_twice(schema.names)
            require(self.columns, schema.names)
            names = self.columns or schema.names
            yield schema.empty_table().select(names)
            num_rows = 0
            for batch in _batches(opened, names, file.is_remote):
                num_rows += batch.num_rows
                yield pa.Table.from_batches([batch]).select(names).replace_schema_metadata(None)
            if num_rows != opened.metadata.num_rows:
                raise DataError(f"{num_rows:,} rows could be read, the file says that it has {opened.metadata.num_rows:,}")

    def has_rows(self, file: Location) -> bool:
        import pyarrow.parquet as pq

        return pq.read_metadata(file.open()).num_rows > 0


def _refuse_twice(names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError("\n".join(f"column '{name}' is there twice" for name in twice))


def _batches(file: Any, names: Sequence[str], is_remote: bool) -> Iterator[pa.RecordBatch]:
    """Of a remote file a row group is fetched at a time, in as few requests as its columns allow."""
    num_rows = _batch_rows(file.metadata)
    for groups in [[n] for n in range(file.num_row_groups)] if is_remote else [list(range(file.num_row_groups))]:
        yield from file.iter_batches(num_rows, groups, columns=names, use_threads=False)


def _batch_rows(footer: Any) -> int:
    num_bytes = sum(footer.row_group(n).total_byte_size for n in range(footer.num_row_groups))
    return max(1, min(BATCH_ROWS, BATCH_BYTES * footer.num_rows // max(1, num_bytes)))
