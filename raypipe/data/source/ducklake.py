"""DuckLake tables that others own as a source: the catalog is asked read-only, in SQLite or PostgreSQL, and the files read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.step import NO_IDENTITY, Look
from raypipe.data.names import column_problems
from raypipe.data.source.location import Location, reading
from raypipe.data.source.piece import BATCH_ROWS, Batch, Limit, New, Progress
from raypipe.data.source.sql import Sql


@dataclass(frozen=True)
class LakeColumn:
    """A column as the snapshot that is read has it."""

    name: str
    id: int
    """Its field id in the files; a file without it is older than the column."""
    type: str
    default: str | None
    """What older files have in it."""


@dataclass(frozen=True)
class LakePiece:
    """A data file of a table, with its delete file."""

    name: str
    size: int
    where: str
    deletes: str | None
    columns: tuple[LakeColumn, ...]


@dataclass(frozen=True)
class DuckLake:
    """A table of a DuckLake catalog that another program writes. The progress is its snapshot: then only what was added is read.

    A table of which rows were deleted or changed since is refused by name. Rows that the catalog keeps inlined are refused too: their
    owner flushes them. Columns are matched by field id, so that renamed and added ones read as the snapshot has them.
    """

    revision: ClassVar[int] = 1

    name: str
    """The table: NAME, or SCHEMA.NAME."""
    catalog: str | None = field(default=None, metadata=NO_IDENTITY)
    """The catalog's database: sqlite:///PATH, relative to the project's folder, or postgresql://USER@HOST/DATABASE, without a password."""
    catalog_env: str | None = field(default=None, metadata=NO_IDENTITY)
    """Instead of `catalog`: the environment variable that holds the URL, password and all."""
    columns: list[str] | None = None
    """The columns to read; null: all. No others are fetched."""
    snapshot: int | None = None
    """The snapshot to read up to; null: the newest."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = [] if self.name else ["name is empty, expected a table's name"]
        found += [] if self.columns is None else column_problems(self.columns)
        return found + [text.replace("url", "catalog") for text in self.database.problems()]

    @property
    def database(self) -> Sql:
        """The catalog as a database to ask."""
        return Sql(table="ducklake_snapshot", url=self.catalog, url_env=self.catalog_env)

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        from raypipe.data.source.ducklake_catalog import read

        found = read(self, look.project_path)
        pieces = found.beyond(progress.position)
        return New(pieces, after=found.position, state=found.position, told=f"{len(pieces):,} new data files of {self.name}")

    def batches(self, piece: LakePiece, types: Mapping[str, pa.DataType]) -> Iterator[Batch]:
        with reading(piece.name, "Parquet"):
            yield from _batches(piece)


def _batches(piece: LakePiece) -> Iterator[Batch]:
    import numpy as np
    import pyarrow.parquet as pq

    deleted = _positions(piece)
    with pq.ParquetFile(Location(piece.where, piece.name).open(), page_checksum_verification=True) as file:
        names = _names(file.schema_arrow)
        wanted = [names[column.id] for column in piece.columns if column.id in names]
        yield Batch(_conformed(file.schema_arrow.empty_table().select(wanted), piece, names))
        first = 0
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted, use_threads=False):
            numbers = np.arange(first, first + batch.num_rows)
            kept = ~np.isin(numbers, deleted)
            # A file may hold none of the columns: then only the number of its rows counts.
            rows = _conformed(pa.Table.from_batches([batch]), piece, names, batch.num_rows)
            yield Batch(rows.filter(pa.array(kept)), numbers[kept] + 1)
            first += batch.num_rows


def _names(schema: pa.Schema) -> dict[int, str]:
    """Field id -> the name that the file has for it."""
    found = {}
    for column in schema:
        number = (column.metadata or {}).get(b"PARQUET:field_id")
        if number is None:
            raise DataError(
                f"column '{column.name}' has no field id: files that another program added are not read; have their owner rewrite them"
            )
        found[int(number)] = column.name
    return found


def _conformed(rows: pa.Table, piece: LakePiece, names: Mapping[int, str], num_rows: int = 0) -> pa.Table:
    made: dict[str, Any] = {}
    for column in piece.columns:
        type = arrow_type(column.type)
        if column.id in names:
            values = rows.column(names[column.id])
            made[column.name] = values if type is None or values.type == type else values.cast(type)
        elif type is None:
            raise DataError(f"column '{column.name}' of type {column.type} was added after this file, which is read of plain types only")
        else:
            default = pa.scalar(None, type) if column.default is None else pa.scalar(column.default).cast(type)
            made[column.name] = pa.repeat(default, num_rows)
    return pa.table(made)


def _positions(piece: LakePiece) -> Any:
    """The places, from 0, of the rows that are deleted."""
    import numpy as np
    import pyarrow.parquet as pq

    if piece.deletes is None:
        return np.array([], np.int64)
    with reading(piece.deletes.rpartition("/")[2], "Parquet"):
        return pq.read_table(Location(piece.deletes).open(), columns=["pos"])["pos"].to_numpy()


def arrow_type(name: str) -> pa.DataType | None:
    """DuckLake's type in Arrow; None for nested and rare ones, which are read as the file has them.

    >>> arrow_type("timestamptz"), arrow_type("decimal(8,2)")
    (TimestampType(timestamp[us, tz=UTC]), Decimal128Type(decimal128(8, 2)))
    """
    import re

    if found := re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", name):
        return pa.decimal128(int(found[1]), int(found[2]))
    return _TYPES.get(name)


_TYPES: dict[str, pa.DataType] = {
    **{name: pa.type_for_alias(name) for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{f"timestamp_{unit}": pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")},
    "float32": pa.float32(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "varchar": pa.string(),
    "json": pa.string(),
    "blob": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
