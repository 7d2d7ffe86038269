"""Hugging Face datasets on disk as a source: folders that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.core.step import Look
from raypipe.data.source.files import FilePiece, new_files, path_problems, read_file, require
from raypipe.data.source.listing import list_below
from raypipe.data.source.location import Location, reading
from raypipe.data.source.piece import Limit, New, Progress
from raypipe.data.source.url import is_url


@dataclass(frozen=True)
class HuggingFace:
    """A dataset that `save_to_disk` wrote: Arrow files and the `state.json` that names them. The package `datasets` is not needed.

    Columns come as they are stored: a ClassLabel as its number, an image or audio as a struct of bytes and path, an array as lists.
    """

    revision: ClassVar[int] = 1
    suffixes: ClassVar[tuple[str, ...]] = (".arrow",)

    path: str
    """The folder, relative to the project's folder, or a URL: s3, gs, abfss."""
    split: str | None = None
    """Of a DatasetDict: which of its datasets."""
    columns: list[str] | None = None
    """The columns to read; null: all."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = path_problems(self.path, self.columns)
        return found + (["path is read as a folder: an S3 or other store's URL, not http"] if self.path.startswith("http") else [])

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        folder = _folder(self, look.project_path)
        shards = replace(self, path=f"{folder}/*.arrow")
        _refuse_others(folder, look.project_path)
        return new_files(shards, look, progress, limit)

    def batches(self, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        return read_file(self, piece, types)

    def read(self, file: Location, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        with file.open() as opened, pa.ipc.open_stream(opened) as stream:
            require(self.columns, stream.schema.names)
            names = self.columns or stream.schema.names
            yield _stored(stream.schema.empty_table().select(names))
            for batch in stream:
                yield _stored(pa.Table.from_batches([batch]).select(names))

    def has_rows(self, file: Location) -> bool:
        with file.open() as opened, pa.ipc.open_stream(opened) as stream:
            return any(batch.num_rows for batch in stream)


def _folder(source: HuggingFace, project_path: Path) -> str:
    """The folder of the one dataset."""
    folder = source.path.rstrip("/")
    splits = _json(folder, "dataset_dict.json", project_path)
    if splits is None:
        if source.split is not None:
            raise DataError(f"{folder}: is one dataset without splits (it has no dataset_dict.json): leave the setting split out")
        return folder
    names = list(splits.get("splits", []))
    if source.split not in names:
        hint = nearest(source.split, names) if source.split else f" Set split to one of: {', '.join(names)}."
        raise DataError(
            f"{folder}: is a dict of datasets, and {f'{source.split!r} is none of them' if source.split else 'none is named'}.{hint}"
        )
    return f"{folder}/{source.split}"


def _refuse_others(folder: str, project_path: Path) -> None:
    """DataError where the folder's files are not those that `state.json` names: it is the last that is written."""
    state = _json(folder, "state.json", project_path)
    if state is None:
        raise DataError(f"{folder}: has no state.json: no dataset that save_to_disk wrote, or it is still being written")
    named = {str(entry.get("filename")) for entry in state.get("_data_files", [])}
    there = {file.where.rpartition("/")[2] for file in list_below(f"{folder}/*.arrow", project_path)[1]}
    if lost := sorted(named - there):
        raise DataError(f"{folder}: state.json names {lost[0]}, which is not there: the folder is not complete, fetch it again")
    if other := sorted(there - named):
        raise DataError(f"{folder}: state.json does not name {other[0]}, which another save has left: remove it")


def _json(folder: str, name: str, project_path: Path) -> Json:
    """The document; None where there is no such file."""
    where = f"{folder}/{name}"
    file = Location(where if is_url(folder) else str(project_path / where), where)
    with reading(where, "JSON"):
        if file.found() is None:
            return None
        try:
            found = json.loads(b"".join(file.raw(1 << 20)))
        except ValueError as error:
            raise DataError(f"is no JSON ({error}): the folder is damaged, fetch it again") from None
    if not isinstance(found, dict):
        raise DataError(f"{where}: is no JSON object: the folder is damaged, fetch it again")
    return found


def _stored(rows: pa.Table) -> pa.Table:
    """As the file has them: without the types and notes that only the package `datasets` knows."""
    made = {}
    for column in rows.schema:
        values = rows.column(column.name)
        is_theirs = isinstance(column.type, pa.BaseExtensionType) and column.type.extension_name.startswith("datasets.")
        made[column.name] = pa.chunked_array([c.storage for c in values.chunks], column.type.storage_type) if is_theirs else values
    return pa.table(made)
