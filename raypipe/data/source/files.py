"""Files of rows in a landing zone: found, told apart by content, and read piece by piece."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import pyarrow as pa

from raypipe.core.errors import DataError, nearest
from raypipe.core.step import Look
from raypipe.data.names import column_problems
from raypipe.data.source.piece import Limit, New, Progress


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


@dataclass(frozen=True)
class FilePiece:
    """A file as a piece of its source."""

    file: SourceFile
    where: str
    """Its whole path."""

    @property
    def name(self) -> str:
        return self.file.path

    @property
    def size(self) -> int:
        return self.file.size


class FileSource(Protocol):
    """A source of files: its `new` and `batches` are `new_files` and `read_file`."""

    suffixes: ClassVar[tuple[str, ...]]

    @property
    def path(self) -> str: ...

    def read(self, path: Path, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        """The file's rows in batches, at least one; `types` are those wanted, for formats that have none of their own."""
        ...

    def has_rows(self, path: Path) -> bool: ...


def new_files(source: FileSource, look: Look, progress: Progress, limit: Limit | None = None) -> New:
    """The files that were not taken, by path; a file of which nothing could be taken is new again with its next content."""
    files = list_files(source, look.project_path, progress.files)
    taken = {path: file for path, file in progress.files.items() if path not in progress.left_out}
    changed = [file for file in files if file.path in taken and file.sha256 != taken[file.path].sha256]
    fresh = [file for file in files if file.path not in taken and file.sha256 != _digest_of(progress.files.get(file.path))]
    now = _within(fresh, limit)
    later = {file.path for file in fresh[len(now) :]}
    listed = [file for file in files if file.path not in later]
    by_content = {file.sha256: file.path for file in files}
    there = {file.path for file in files}
    return New(
        pieces=[_piece(file, look) for file in now],
        state={"files": len(listed), "state": state(listed)},
        told=f"{len(fresh):,} new of {len(files):,} files",
        more=bool(later),
        lag={"files": len(later)},
        changed=[_piece(file, look) for file in changed],
        gone={path: by_content.get(file.sha256, "") for path, file in taken.items() if path not in there},
        doubles=_doubles(source, look.project_path, files, {file.path for file in now}),
    )


def read_file(source: FileSource, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """The file's rows in batches, the first of which may have none. DataError with the file's name where it is broken, or is not the
    file (any more) that was listed."""
    path = Path(piece.where)
    try:
        _refuse_changed(path, piece.file)
        yield from source.read(path, types)
        _refuse_changed(path, piece.file)
    except DataError as error:
        raise DataError("\n".join(f"{piece.name}: {line}" for line in str(error).splitlines())) from None
    except (pa.ArrowException, OSError) as error:
        kind = type(source).__name__
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"{piece.name}: cannot be read as {kind}: {said}. It may be cut off or damaged: fetch it again.") from None


def list_files(source: FileSource, project_path: Path, known: Mapping[str, SourceFile]) -> list[SourceFile]:
    """The files of a source, by path; a digest is computed only where path, size and mtime are not those in `known`.

    DataError with everything that is wrong: a path that is not there, a folder or pattern without files, files of another kind, empty
    files.
    """
    paths = _paths(source, project_path)
    names = {path: _name(path, project_path) for path in paths}
    empty = [f"{names[path]}: the file is empty (0 bytes)" for path in paths if not path.stat().st_size]
    if empty:
        raise DataError("\n".join(empty))
    return [_described(path, names[path], known) for path in paths]


def state(files: Sequence[SourceFile]) -> str:
    """sha256 over path, size and content of every file."""
    return hashlib.sha256(json.dumps([[f.path, f.size, f.sha256] for f in files]).encode()).hexdigest()


def path_problems(path: str, columns: list[str] | None) -> list[str]:
    found = [] if path else ["path is empty, expected a file, a folder or a pattern"]
    found += [f"path is {path}: sources are read from the file system, mount or copy it"] if "://" in path else []
    if columns is None:
        return found
    return found + column_problems(columns)


def require(columns: Sequence[str] | None, names: Sequence[str]) -> None:
    missing = [f"no column '{name}'.{nearest(name, names)}" for name in columns or () if name not in names]
    if missing:
        raise DataError("\n".join(missing))


def _paths(source: FileSource, project_path: Path) -> list[Path]:
    whole = project_path / source.path
    if whole.is_file():
        return [whole]
    inside = whole.rglob("*") if whole.is_dir() else map(Path, glob.glob(str(whole), recursive=True))
    found = sorted(path for path in inside if path.is_file() and not _is_hidden(path, whole))
    if not found:
        what = "the folder holds no file" if whole.is_dir() else "there is no such file or folder, and nothing matches it as a pattern"
        raise DataError(f"{source.path}: {what} (looked in {project_path})")
    _refuse_others(source, found)
    _refuse_partitions(source, whole, found)
    return found


def _is_hidden(path: Path, whole: Path) -> bool:
    """As Spark and Arrow have it: what begins with . or _ is no data."""
    parts = path.relative_to(whole).parts if whole.is_dir() else (path.name,)
    return any(part.startswith((".", "_")) for part in parts)


def _refuse_others(source: FileSource, found: Sequence[Path]) -> None:
    other = [path.name for path in found if path.suffix.lower() not in source.suffixes]
    if other:
        files = (
            f"{other[0]} is no {type(source).__name__} file" if len(other) == 1 else f"{len(other)} files are no {type(source).__name__}"
        )
        first = "" if len(other) == 1 else f", the first is {other[0]}"
        raise DataError(f"{source.path}: {files}{first}. Name a pattern, e.g. {source.path.rstrip('/')}/*{source.suffixes[0]}")


def _refuse_partitions(source: FileSource, whole: Path, found: Sequence[Path]) -> None:
    """A folder named `year=2013` holds a column that is in no file."""
    named = [part for path in found if whole.is_dir() for part in path.relative_to(whole).parts[:-1] if "=" in part]
    if named:
        raise DataError(
            f"{source.path}: folders such as {named[0]} state a column by their name, which is not read: write it into the files"
        )


def _name(path: Path, project_path: Path) -> str:
    return path.relative_to(project_path).as_posix() if path.is_relative_to(project_path) else path.as_posix()


def _described(path: Path, name: str, known: Mapping[str, SourceFile]) -> SourceFile:
    found, before = path.stat(), known.get(name)
    if before and (before.size, before.mtime_ns) == (found.st_size, found.st_mtime_ns):
        return before
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return SourceFile(name, found.st_size, found.st_mtime_ns, digest)


def _piece(file: SourceFile, look: Look) -> FilePiece:
    return FilePiece(file, str(look.project_path / file.path))


def _digest_of(file: SourceFile | None) -> str:
    return file.sha256 if file else ""


def _within(files: Sequence[SourceFile], limit: Limit | None) -> Sequence[SourceFile]:
    """As many of the first ones as a limit lets in; how many rows a file has is known when it is read."""
    if limit is None or limit.num_bytes is None:
        return files
    filled = 0
    for number, file in enumerate(files, 1):
        filled += file.size
        if filled >= limit.num_bytes:
            return files[:number]
    return files


def _doubles(source: FileSource, project_path: Path, files: Sequence[SourceFile], new: set[str]) -> dict[str, str]:
    """New files with the content of another one, unless they have no rows; of two new ones the second."""
    first: dict[str, str] = {}
    for file in sorted(files, key=lambda file: file.path in new):
        first.setdefault(file.sha256, file.path)
    doubles = [file for file in files if file.path in new and first[file.sha256] != file.path]
    return {file.path: first[file.sha256] for file in doubles if source.has_rows(project_path / file.path)}


def _refuse_changed(path: Path, file: SourceFile) -> None:
    """Size and mtime only: the digest was taken a moment ago."""
    if not path.exists():
        raise DataError("was there when the run began, and is not any more. Run again.")
    found = path.stat()
    if (found.st_size, found.st_mtime_ns) != (file.size, file.mtime_ns):
        raise DataError("is being written: it has changed since the run began. Run again when it is complete.")
