"""Files of rows in a landing zone: found, told apart by content, and read piece by piece."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Protocol

import pyarrow as pa

from raypipe.core.errors import DataError, nearest
from raypipe.core.step import Look
from raypipe.core.wording import counted
from raypipe.data.names import column_problems
from raypipe.data.source.listing import list_below, name_of
from raypipe.data.source.location import Found, Location, reading
from raypipe.data.source.partitions import refuse_unasked, with_columns
from raypipe.data.source.piece import Limit, New, Progress
from raypipe.data.source.url import is_url, url_problems

NUM_READERS = 8
"""Files of an object store that are fetched at once for their digests."""
SETTLED_NS = 2 * 10**9
"""Times of change are as coarse as a second: until then an equal time is no proof of equal content."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, as it was found."""

    path: str
    """Relative to the project's folder where it lies inside; of an object store or web server the URL."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Only spares reading the file again for its digest; -1 where its place does not tell."""
    sha256: str


@dataclass(frozen=True)
class FilePiece:
    """A file as a piece of its source."""

    file: SourceFile
    where: str
    """Its whole path, or its URL."""

    @property
    def name(self) -> str:
        return self.file.path

    @property
    def size(self) -> int:
        return self.file.size

    @property
    def is_local(self) -> bool:
        return not is_url(self.where)


class FileSource(Protocol):
    """A source of files: its `new` and `batches` are `new_files` and `read_file`. It may have `partitions`, columns that folders state."""

    suffixes: ClassVar[tuple[str, ...]]
    """How the names of its files end, in small letters; an empty one: any name will do."""

    @property
    def path(self) -> str: ...

    def read(self, file: Location, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
        """The file's rows in batches, at least one; `types` are those wanted, for formats that have none of their own."""
        ...

    def has_rows(self, file: Location) -> bool: ...


def new_files(source: FileSource, look: Look, progress: Progress, limit: Limit | None = None) -> New:
    """The files that were not taken, by path; a file of which nothing could be taken is new again with its next content."""
    files, left_out = _listed(source, look.project_path, progress.files)
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
        told=f"{len(fresh):,} new of {counted(len(files), 'file')}{left_out}",
        more=bool(later),
        lag={"files": len(later)},
        changed=[_piece(file, look) for file in changed],
        gone={path: by_content.get(file.sha256, "") for path, file in taken.items() if path not in there},
        doubles=_doubles(source, look.project_path, files, {file.path for file in now}),
    )


def read_file(source: FileSource, piece: FilePiece, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """The file's rows in batches, the first of which may have none. DataError with the file's name where it is broken, or is not the
    file (any more) that was listed."""
    location = Location(piece.where, piece.name)
    partitions = _partitions(source)
    own = {name: type for name, type in types.items() if name not in partitions}
    with reading(piece.name, type(source).__name__):
        _refuse_changed(location, piece.file)
        if not piece.size:
            raise DataError("the file is empty (0 bytes)")
        for rows in source.read(location, own):
            yield with_columns(rows, partitions, piece.name)
        _refuse_changed(location, piece.file)


def is_whole(piece: FilePiece) -> bool:
    """Whether its bytes are those that were listed: then what is wrong with it stays wrong. DataError where they cannot be had."""
    return _digest(Location(piece.where, piece.name)) == piece.file.sha256


def list_files(source: FileSource, project_path: Path, known: Mapping[str, SourceFile]) -> list[SourceFile]:
    """The files of a source, by path; a digest is computed only where path, size and mtime are not those in `known`.

    DataError with everything that is wrong: a path that is not there, a folder or pattern without files, files of another kind.
    """
    return _listed(source, project_path, known)[0]


def _listed(source: FileSource, project_path: Path, known: Mapping[str, SourceFile]) -> tuple[list[SourceFile], str]:
    """And what is said of files that are left out for their names."""
    root, found, hidden = list_below(source.path, project_path)
    below = [file.where[len(root) + 1 :] for file in found]
    _refuse_others(source, below)
    refuse_unasked(source.path, below, _partitions(source))
    names = [name_of(file.where, project_path) for file in found]
    return _described(found, names, known), _left_out(hidden, source.suffixes)


def _left_out(hidden: Sequence[str], suffixes: tuple[str, ...]) -> str:
    """Of the files those that could be this source's: beside them lie marks of other programs (`_SUCCESS`, `.part-0.csv.crc`)."""
    folders = sum(name.endswith("/") for name in hidden)
    files = sum(not name.endswith("/") and name.lower().endswith(suffixes) for name in hidden)
    counted = [f"{n:,} {word}{'s' if n > 1 else ''}" for n, word in ((files, "file"), (folders, "folder")) if n]
    names = "whose name begins" if files + folders == 1 else "whose names begin"
    return f"; {' and '.join(counted)} {names} with _ or . {'is' if files + folders == 1 else 'are'} left out" if counted else ""


def state(files: Sequence[SourceFile]) -> str:
    """sha256 over path, size and content of every file."""
    return hashlib.sha256(json.dumps([[f.path, f.size, f.sha256] for f in files]).encode()).hexdigest()


def path_problems(path: str, columns: list[str] | None) -> list[str]:
    found = [] if path else ["path is empty, expected a file, a folder, a pattern or a URL"]
    found += ["path has a NUL character in it"] if "\0" in path else []
    found += url_problems(path) if is_url(path) else []
    if columns is None:
        return found
    return found + column_problems(columns)


def require(columns: Sequence[str] | None, names: Sequence[str]) -> None:
    missing = [f"no column '{name}'.{nearest(name, names)}" for name in columns or () if name not in names]
    if missing:
        raise DataError("\n".join(missing))


def _partitions(source: FileSource) -> Mapping[str, str | None]:
    return getattr(source, "partitions", {})


def _refuse_others(source: FileSource, below: Sequence[str]) -> None:
    """One file that is named outright may have any suffix."""
    other = [name for name in below if name and not name.lower().endswith(source.suffixes)]
    if not other:
        return
    kind, first = type(source).__name__, other[0].rpartition("/")[2]
    told = f"{first} is no {kind} file" if len(other) == 1 else f"{len(other)} files are no {kind}, the first is {first}"
    raise DataError(f"{source.path}: {told}. Name a pattern, e.g. {source.path.rstrip('/')}/*{source.suffixes[0]}")


def _described(found: Sequence[Found], names: Sequence[str], known: Mapping[str, SourceFile]) -> list[SourceFile]:
    """With digests: those that are known, or of the content."""
    made: list[SourceFile | None] = []
    for name, file in zip(names, found, strict=True):
        before = known.get(name)
        same = before and file.mtime_ns != -1 and (before.size, before.mtime_ns) == (file.size, file.mtime_ns)
        made.append(before if same else None)
    missing = [number for number, file in enumerate(made) if file is None]
    for number, digest in zip(missing, _digests([(Location(found[n].where, names[n]), found[n]) for n in missing]), strict=True):
        made[number] = SourceFile(names[number], found[number].size, found[number].mtime_ns, digest)
    return [file for file in made if file]


def _digests(files: Sequence[tuple[Location, Found]]) -> Iterable[str]:
    """An object store is slow to answer and wide: several files at once."""
    if not files or not files[0][0].is_remote:
        return map(_digest_now, files)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(NUM_READERS) as pool:
        return list(pool.map(_digest_now, files))


def _digest_now(file: tuple[Location, Found]) -> str:
    """Once a process, however often a run asks for the state of its source; a file that has just changed may do so again unseen."""
    location, found = file
    if found.mtime_ns == -1 or time.time_ns() - found.mtime_ns < SETTLED_NS:
        return _digest(location)
    return _digest_once(location, found)


@lru_cache(maxsize=65_536)
def _digest_once(location: Location, found: Found) -> str:
    return _digest(location)


def _digest(file: Location) -> str:
    sha256 = hashlib.sha256()
    with reading(file.name, "file"):
        for piece in file.raw(1 << 20):
            sha256.update(piece)
    return sha256.hexdigest()


def _piece(file: SourceFile, look: Look) -> FilePiece:
    return FilePiece(file, _where(file, look.project_path))


def _where(file: SourceFile, project_path: Path) -> str:
    return file.path if is_url(file.path) else os.path.join(project_path, file.path)


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
    return {file.path: first[file.sha256] for file in doubles if _has_rows(source, Location(_where(file, project_path), file.path))}


def _has_rows(source: FileSource, file: Location) -> bool:
    """A file that cannot be read has none that could come twice: reading it says what is wrong."""
    try:
        with reading(file.name, type(source).__name__):
            return source.has_rows(file)
    except DataError:
        return False


def _refuse_changed(location: Location, file: SourceFile) -> None:
    """Size and mtime only: the digest was taken a moment ago."""
    found = location.found()
    if found is None:
        raise DataError("was there when the run began, and is not any more. Run again.")
    if (found.size, found.mtime_ns) != (file.size, file.mtime_ns):
        raise DataError("is being written: it has changed since the run began. Run again when it is complete.")
