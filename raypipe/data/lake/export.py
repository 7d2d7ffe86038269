"""A snapshot copied out for others: a folder of Parquet files, or an Iceberg table over them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from raypipe.core.errors import ConfigError, DataError
from raypipe.data.fragment.fragment import Fragment, read_row_groups
from raypipe.data.types import type_name

if TYPE_CHECKING:
    from raypipe.core.store import Store

CATALOG = "catalog.db"
"""pyiceberg's catalog, beside the files of an Iceberg export."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    num_files: int
    num_rows: int
    notes: tuple[str, ...] = ()
    """Columns that have another type there, a line each."""


def to_parquet(store: Store, fragments: Sequence[Fragment], schema: pa.Schema, folder: Path) -> Exported:
    """A file a fragment, without deleted rows, in the columns of the snapshot and their exact types, a row group in memory at a time.

    The folder appears whole or not at all; ConfigError where there is something already.
    """
    beside = _beside(folder)
    try:
        paths = _write(store, fragments, schema, beside)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Exported(folder, len(paths), sum(fragment.num_live for fragment in fragments))


def to_iceberg(store: Store, fragments: Sequence[Fragment], schema: pa.Schema, folder: Path, name: str) -> Exported:
    """The same files under an Iceberg table `NAMESPACE.TABLE` (version 2), in a catalog of pyiceberg's (SQLite) in that folder.

    Types that Iceberg lacks become the nearest that holds every value, which is noted; DataError names a column for which there is none.
    """
    try:
        from pyiceberg.catalog.sql import SqlCatalog
    except ModuleNotFoundError:
        raise ConfigError("an export to Iceberg needs the package pyiceberg: pip install 'raypipe[iceberg]'") from None
    nearest = iceberg_schema(schema)
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: there is something already; name a folder that is new or empty.")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        paths = _write(store, fragments, nearest, folder / "data")
        catalog = SqlCatalog("raypipe", uri=f"sqlite:///{folder.absolute()}/{CATALOG}", warehouse=f"file://{folder.absolute()}")
        namespace, _, table = name.rpartition(".")
        catalog.create_namespace(namespace or "main")
        made: Any = catalog.create_table(f"{namespace or 'main'}.{table}", nearest, location=f"file://{folder.absolute()}/{table}")
        made.add_files([f"file://{path.absolute()}" for path in paths])
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    notes = [
        f"column '{a.name}': {type_name(a.type)} as {type_name(b.type)}" for a, b in zip(schema, nearest, strict=True) if a.type != b.type
    ]
    return Exported(folder, len(paths), sum(fragment.num_live for fragment in fragments), tuple(notes))


def iceberg_schema(schema: pa.Schema) -> pa.Schema:
    """The nearest types that Iceberg 2 has; DataError with every column for which there is none that holds all its values."""
    made, problems = [], []
    for column in schema:
        type_ = _iceberg_type(column.type)
        if type_ is None:
            problems.append(f"column '{column.name}' is {type_name(column.type)}, for which Iceberg has no type that holds every value")
        else:
            made.append(pa.field(column.name, type_, column.nullable))
    if problems:
        raise DataError("\n".join(problems))
    return pa.schema(made)


def _iceberg_type(type_: Any) -> pa.DataType | None:
    is_ = pa.types
    if is_.is_dictionary(type_):
        return _iceberg_type(type_.value_type)
    if is_.is_list(type_) or is_.is_large_list(type_) or is_.is_fixed_size_list(type_):
        inner = _iceberg_type(type_.value_type)
        return None if inner is None else pa.list_(inner)
    if is_.is_integer(type_):
        wide = {"uint64": pa.decimal128(20, 0), "int64": pa.int64(), "uint32": pa.int64()}
        return wide.get(str(type_), pa.int32())
    if is_.is_timestamp(type_):
        return None if type_.unit == "ns" else pa.timestamp("us", "UTC" if type_.tz else None)
    if is_.is_time(type_):
        return None if type_.unit == "ns" else pa.time64("us")
    if is_.is_decimal(type_):
        return type_ if type_.precision <= 38 else None
    return _PLAIN.get(str(type_))


_PLAIN: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "halffloat": pa.float32(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date32[day]": pa.date32(),
    "date64[ms]": pa.date32(),
    **dict.fromkeys(("string", "large_string", "string_view"), pa.string()),
    **dict.fromkeys(("binary", "large_binary", "binary_view"), pa.binary()),
}


def _beside(folder: Path) -> Path:
    if folder.exists():
        raise ConfigError(f"{folder}: there is something already; name a folder that is new.")
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    return beside


def _write(store: Store, fragments: Sequence[Fragment], schema: pa.Schema, folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    paths = []
    for number, fragment in enumerate(fragments):
        paths.append(folder / f"part-{number:05d}.parquet")
        with pq.ParquetWriter(paths[-1], schema, compression="zstd", write_page_checksum=True) as writer:
            for rows in read_row_groups(store, fragment, schema.names):
                writer.write_table(rows.cast(schema))
    return paths
