"""Folders that state a column by their name, such as `year=2013`: read as columns where that is asked for, refused otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import pyarrow as pa

from raypipe.core.errors import DataError, nearest
from raypipe.data.types import is_type, parse_type, type_name

NULL = "__HIVE_DEFAULT_PARTITION__"


def partition_problems(partitions: Mapping[str, str | None], columns: Sequence[str] | None) -> list[str]:
    """What is wrong with the setting."""
    if not isinstance(partitions, Mapping):
        return [f"partitions is {partitions!r}, expected names with types, e.g. partitions: {{year: int64}}"]
    bad = {name: type for name, type in partitions.items() if type is not None and not is_type(type)}
    found = [f"partitions.{name}: '{type}' is no type, e.g. int64, string, date32; null: not read" for name, type in bad.items()]
    also = [name for name in columns or () if name in partitions]
    return found + [f"columns names '{name}', which partitions adds: take it out of columns" for name in also]


def stated(below: str) -> dict[str, str]:
    """What the folders of a path state, in order.

    >>> stated("year=2013/month=1%2F2/a=b.csv")
    {'year': '2013', 'month': '1/2'}
    """
    pairs = [part.partition("=") for part in below.split("/")[:-1]]
    return {unquote(key): unquote(value) for key, sign, value in pairs if sign and key}


def refuse_unasked(path: str, below: Sequence[str], partitions: Mapping[str, str | None]) -> None:
    """DataError for a folder that states a column that nobody asked for."""
    for folder in {one.rpartition("/")[0] for one in below if "=" in one}:
        for key, value in stated(folder + "/").items():
            if key not in partitions:
                guess = "int64" if value.lstrip("-").isdigit() else "string"
                raise DataError(
                    f"{path}: folders such as {key}={value} state a column by their name: ask for it with partitions: {{{key}: {guess}}}, "
                    f"or leave it out with partitions: {{{key}: null}}"
                )


def with_columns(rows: pa.Table, partitions: Mapping[str, str | None], where: str) -> pa.Table:
    """The rows with what the folders of `where` state, behind the file's own columns.

    DataError for a column that no folder states, that the file has as well, or that is not of its type.
    """
    found = stated(where)
    for name, type in partitions.items():
        if name not in found:
            raise DataError(f"no folder states '{name}', as {name}=... would.{nearest(name, found)}")
        if type is None:
            continue
        if name in rows.column_names:
            raise DataError(f"column '{name}' is in the file and in the name of its folder: set partitions: {{{name}: null}}")
        rows = rows.append_column(name, pa.repeat(_value(name, found[name], parse_type(type)), rows.num_rows))
    return rows


def _value(name: str, text: str, type: pa.DataType) -> pa.Scalar:
    if text == NULL:
        return pa.scalar(None, type)
    try:
        return pa.scalar(text, pa.string()).cast(type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f"folder {name}={text}: '{text}' is no {type_name(type)}, which partitions states for '{name}'") from None
