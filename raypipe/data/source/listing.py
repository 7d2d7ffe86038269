"""Listings of files: a folder, a pattern or one file becomes what is there, in order, with size and time of change."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.source.location import Found, Location
from raypipe.data.source.url import is_url

_WILD = re.compile(r"[*?\[]")


def list_below(path: str, project_path: Path) -> tuple[str, list[Found], list[str]]:
    """The fixed part of a source's path (a folder, or the one file), whole or as a URL, the files that it names, in order, and the files
    and folders that are left out for their names.

    What begins with . or _ is no data, as Spark and Arrow have it. DataError where there is nothing, and for symbolic links that lead out
    of the fixed part, to another folder, or nowhere.
    """
    whole = path.rstrip("/") if is_url(path) else os.path.abspath(project_path / path)
    hidden: list[str] = []
    root, found = _remote(whole, hidden) if is_url(path) else _local(whole, path, hidden)
    if not found:
        what = (
            "the folder holds no file" if os.path.isdir(whole) else "there is no such file or folder, and nothing matches it as a pattern"
        )
        raise DataError(f"{path}: {what}" + ("" if is_url(path) else f" (looked in {project_path})"))
    _refuse_names(found)
    return root, sorted(found, key=lambda file: file.where.split("/")), hidden


def name_of(where: str, project_path: Path) -> str:
    """Relative to the project's folder where it lies inside."""
    inside = f"{project_path}/"
    return where[len(inside) :] if where.startswith(inside) else where


def _refuse_names(found: list[Found]) -> None:
    """A name of bytes that are no UTF-8 could be told nowhere, the ledger included."""
    for file in found:
        try:
            file.where.encode()
        except UnicodeEncodeError:
            raise DataError(f"{file.where!a}: the name is not UTF-8: rename the file") from None


def _local(whole: str, path: str, hidden: list[str]) -> tuple[str, list[Found]]:
    try:
        if os.path.isfile(whole):
            stat = os.stat(whole)
            return whole, [Found(whole, stat.st_size, stat.st_mtime_ns)]
        if os.path.isdir(whole):
            return whole, list(_scan(whole, os.path.realpath(whole), path, hidden))
        root = fixed_part(whole)
        real = os.path.realpath(root)
        matches = sorted(glob.glob(whole, recursive=True))
        hidden += [match for match in matches if os.path.basename(match).startswith("_")]
        return root, [file for match in matches if (file := _match(match, real, path)) is not None]
    except PermissionError as error:
        raise DataError(f"{error.filename}: cannot be listed: permission denied. Let the user that runs this read it.") from None


def _scan(folder: str, real: str, path: str, hidden: list[str]) -> Iterator[Found]:
    """One stat a file. `real` is the folder that symbolic links may not lead out of."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith((".", "_")):
                hidden.append(entry.path + "/" * entry.is_dir())
                continue
            if entry.is_symlink():
                _refuse_link(entry.path, real, path)
            if entry.is_dir():
                yield from _scan(entry.path, real, path, hidden)
            elif file := _stated(entry):
                yield file


def _stated(entry: os.DirEntry[str]) -> Found | None:
    try:
        stat = entry.stat()
    except FileNotFoundError:
        return None  # gone since the folder was read: as if it had never been there
    return Found(entry.path, stat.st_size, stat.st_mtime_ns) if entry.is_file() else None


def _match(match: str, real: str, path: str) -> Found | None:
    if os.path.basename(match).startswith(("_", ".")) or not os.path.isfile(match):
        return None
    if os.path.islink(match) or os.path.dirname(match) != real:
        _refuse_outside(match, os.path.realpath(match), real, path)
    return Location(match).found()


def _refuse_link(link: str, real: str, path: str) -> None:
    leads_to = os.path.realpath(link)
    if os.path.isdir(leads_to):
        raise DataError(f"{path}: {link} is a symbolic link to a folder, which is not followed. Name that folder as the path: {leads_to}")
    if not os.path.exists(leads_to):
        raise DataError(f"{path}: {link} is a symbolic link that leads nowhere. Remove it, or put back what it leads to")
    _refuse_outside(link, leads_to, real, path)


def _refuse_outside(link: str, leads_to: str, real: str, path: str) -> None:
    if not f"{leads_to}/".startswith(f"{real.rstrip('/')}/"):
        raise DataError(f"{path}: {link} is, or lies behind, a symbolic link that leads out of {real}, to {leads_to}. Copy the file in")


def _remote(url: str, hidden: list[str]) -> tuple[str, list[Found]]:
    from raypipe.data.source import remote

    is_web = url.startswith("http")
    root = url if is_web else fixed_part(url)
    try:
        if root == url and (one := remote.find(url)):
            return url, [one]
        if is_web:
            raise DataError(f"{url}: the server has no such file")
        found = remote.list_below(root)
    except (OSError, pa.ArrowException) as error:
        raise remote.told(url, error) from None
    for file in found:
        if ".." in file.where.split("/"):
            raise DataError(f"{file.where}: a name with `..` in it leads out of {root}: name the file otherwise")
    pattern = re.compile(translated(url[len(root) :])) if root != url else None
    matching = [file for file in found if pattern is None or pattern.fullmatch(file.where[len(root) :])]
    hidden += [file.where for file in matching if _is_hidden(file.where[len(root) :])]
    return root, [file for file in matching if not _is_hidden(file.where[len(root) :])]


def fixed_part(path: str) -> str:
    """The folder in front of the first part of a path that is a pattern; the path itself where none is.

    >>> fixed_part("s3://bucket/a/2013-*/b.csv"), fixed_part("/data/a")
    ('s3://bucket/a', '/data/a')
    """
    parts = path.split("/")
    for number, part in enumerate(parts):
        if _WILD.search(part):
            return "/".join(parts[:number])
    return path


def translated(pattern: str) -> str:
    """A pattern as a regular expression: * within a name, ** over folders.

    >>> translated("/**/a-*.csv")
    '/(?:.*/)?a\\\\-[^/]*\\\\.csv'
    """
    made = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\[[^]/]+\])", pattern):
        made += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}.get(part) or (part if part.startswith("[") else re.escape(part))
    return made


def _is_hidden(below: str) -> bool:
    return any(part.startswith((".", "_")) for part in below.split("/"))
