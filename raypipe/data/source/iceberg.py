"""Iceberg tables that others own as a source: read through pyiceberg, never written."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import pyarrow as pa

from raypipe.core.errors import ConfigError, DataError
from raypipe.core.step import Look
from raypipe.data.names import column_problems
from raypipe.data.source.files import require
from raypipe.data.source.piece import Limit, New, Progress
from raypipe.data.source.url import is_url, url_problems
from raypipe.data.source.words import said


@dataclass(frozen=True)
class IcebergPiece:
    """A data file of a table, with what is deleted of it."""

    name: str
    size: int
    metadata: str
    """Where the table's metadata was read."""
    task: Any
    """pyiceberg's FileScanTask."""


@dataclass(frozen=True)
class Iceberg:
    """A table of an Iceberg catalog, or of a metadata file. The progress is its snapshot: then only what was appended is read.

    A table of which rows were deleted or replaced since is refused by name: a table here never loses rows unseen. Rewritten files
    (compaction) hold the same rows and are passed over.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("pyiceberg",)

    name: str
    """`namespace.name` in the catalog; or the path or URL of a metadata file, NAME.metadata.json, of one fixed state."""
    catalog: str = "default"
    """The catalog's name in pyiceberg's own configuration (PYICEBERG_CATALOG__NAME__URI, ~/.pyiceberg.yaml), where its credentials are."""
    columns: list[str] | None = None
    """The columns to read; null: all."""
    where: str | None = None
    """Which rows, as pyiceberg writes it: "year >= 2013 and carrier = 'AA'". Files without such rows are not read."""
    snapshot: int | None = None
    """The snapshot to read up to; null: the current one."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = [] if self.name else ["name is empty, expected namespace.name or a metadata file"]
        found += [text.replace("path", "name", 1) for text in url_problems(self.name)] if is_url(self.name) else []
        if is_url(self.name) and not _is_file(self.name):
            found.append(f"name is {self.name}: of a URL, name the metadata file, .../metadata/NAME.metadata.json")
        return found + ([] if self.columns is None else column_problems(self.columns))

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        where = self.name if is_url(self.name) or not _is_file(self.name) else os.path.abspath(look.project_path / self.name)
        with _told(self.name):
            table = _loaded(self.catalog, where)
            current = table.snapshot_by_id(self.snapshot) if self.snapshot is not None else table.current_snapshot()
            if self.snapshot is not None and current is None:
                raise DataError(f"{self.name}: has no snapshot {self.snapshot}")
            require(self.columns, table.schema().column_names)
            tasks = [] if current is None else list(self._tasks(table, current.snapshot_id, progress.position))
        pieces = [_piece(self, where, table, task) for task in tasks]
        after = {"table": str(table.metadata.table_uuid), "snapshot": current.snapshot_id if current else None}
        return New(pieces, after, state=after, told=f"{len(pieces):,} new data files of {self.name}")

    def batches(self, piece: IcebergPiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow

        with _told(piece.name):
            table = _at(self.catalog, piece.metadata.partition("#")[0], piece.metadata.partition("#")[2])
            schema = table.schema() if self.columns is None else table.schema().select(*self.columns)
            arrow = schema_to_pyarrow(schema, include_field_ids=False)
            yield arrow.empty_table()
            scan = ArrowScan(table.metadata, table.io, schema, _filter(self.where, table.schema()))
            for batch in scan.to_record_batches([piece.task]):
                yield pa.Table.from_batches([batch]).select(arrow.names).cast(arrow).replace_schema_metadata(None)

    def _tasks(self, table: Any, snapshot: int, taken: Any) -> Sequence[Any]:
        chosen = {"row_filter": _filter(self.where, table.schema())}
        if taken is None or taken["snapshot"] is None:
            return sorted(table.scan(snapshot_id=snapshot, **chosen).plan_files(), key=_order)
        self._refuse_other(table, snapshot, taken)
        if taken["snapshot"] == snapshot:
            return []
        scan = table.incremental_append_scan(from_snapshot_id_exclusive=taken["snapshot"], to_snapshot_id_inclusive=snapshot, **chosen)
        return sorted(scan.plan_files(), key=_order)

    def _refuse_other(self, table: Any, snapshot: int, taken: Any) -> None:
        from pyiceberg.table.snapshots import Operation, ancestors_of

        advice = "Take everything anew into another table (setting `table` of Ingest)."
        if str(table.metadata.table_uuid) != taken["table"]:
            raise DataError(f"{self.name}: is another table of that name than the one that was taken. {advice}")
        since = []
        for one in ancestors_of(table.snapshot_by_id(snapshot), table.metadata):
            if one.snapshot_id == taken["snapshot"]:
                break
            since.append(one)
        else:
            raise DataError(
                f"{self.name}: snapshot {taken['snapshot']}, up to which it was taken, is not in its history any more. {advice}"
            )
        changed = [one for one in since if one.summary is None or one.summary.operation not in (Operation.APPEND, Operation.REPLACE)]
        if changed:
            what = changed[-1].summary.operation.value if changed[-1].summary else "an unknown change"
            raise DataError(f"{self.name}: snapshot {changed[-1].snapshot_id} ({what}) deleted or replaced rows that were taken. {advice}")


def _is_file(table: str) -> bool:
    return table.endswith((".metadata.json", ".metadata.json.gz"))


def _filter(where: str | None, schema: Any) -> Any:
    from pyiceberg.expressions import AlwaysTrue, parser
    from pyiceberg.expressions.visitors import bind

    if where is None:
        return AlwaysTrue()
    try:
        parsed = parser.parse(where)
        bind(schema, parsed, case_sensitive=True)
    except Exception as error:
        raise DataError(f"where is {where!r}, which is no condition on this table: {said(error)}") from None
    return parsed


def _order(task: Any) -> tuple[int, str]:
    return getattr(task.file, "_data_sequence_number", None) or 0, task.file.file_path


def _piece(source: Iceberg, where: str, table: Any, task: Any) -> IcebergPiece:
    path = task.file.file_path
    if _is_file(where):
        _refuse_outside(source.name, table.metadata_location, [path, *(deletes.file_path for deletes in task.delete_files)])
    return IcebergPiece(
        f"{source.name}: {path.rpartition('/')[2]}", task.file.file_size_in_bytes, f"{where}#{table.metadata_location}", task
    )


def _refuse_outside(name: str, metadata: str, paths: Sequence[str]) -> None:
    """A metadata file is data: what it names must lie beside it, so that it cannot send the reader elsewhere."""
    root = metadata.rpartition("/metadata/")[0] or metadata.rpartition("/")[0]
    for path in paths:
        plain = path.removeprefix("file://") if not is_url(root) else path
        if not plain.startswith(f"{root}/") or ".." in plain.split("/"):
            raise DataError(f"{name}: names the file {path}, which does not lie below {root}: read such a table through its catalog")


def _loaded(catalog: str, table: str) -> Any:
    """The table as it is now."""
    if _is_file(table):
        return _static(table)
    from pyiceberg.catalog import load_catalog

    try:
        return load_catalog(catalog).load_table(table)
    except ValueError as error:
        raise ConfigError(
            f"{table}: the catalog '{catalog}' cannot be used: {said(error)}. pyiceberg's own configuration names it"
        ) from None


@lru_cache(maxsize=8)
def _at(catalog: str, table: str, metadata: str) -> Any:
    """The table as it was when a piece of it was named, once in each process."""
    if _is_file(table):
        return _static(metadata)
    loaded = _loaded(catalog, table)
    return loaded if loaded.metadata_location == metadata else _table(metadata, loaded.io)


def _static(metadata: str) -> Any:
    """Read with settings of the environment alone: those in a metadata file may name code and endpoints."""
    from pyiceberg.io.pyarrow import PyArrowFileIO

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return _table(metadata, PyArrowFileIO({"s3.endpoint": endpoint} if endpoint else {}))


def _table(metadata: str, io: Any) -> Any:
    from pyiceberg.catalog.noop import NoopCatalog
    from pyiceberg.serializers import FromInputFile
    from pyiceberg.table import Table

    return Table(("table",), FromInputFile.table_metadata(io.new_input(metadata)), metadata, io, NoopCatalog("none"))


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What pyiceberg says, told with the table's or the file's name; its warnings are for whoever owns the table."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError as error:
        raise error if str(error).startswith(name) else DataError(f"{name}: {error}") from None
    except ImportError:
        raise ConfigError("Iceberg tables are read by pyiceberg, which is not installed: pip install 'raypipe[iceberg]'") from None
    except (ConfigError, GeneratorExit):
        raise
    except Exception as error:
        raise DataError(f"{name}: cannot be read: {said(error)}") from None
