"""Names of columns and tables, as settings and as SQL have them."""

from __future__ import annotations

from typing import Any


def column_problems(columns: Any, key: str = "columns") -> list[str]:
    """What is wrong with a setting that should be a list of names."""
    if isinstance(columns, str):
        return [f"{key} is the text '{columns}', expected a list: {key}: [{columns}]"]
    if not isinstance(columns, list | tuple) or not all(isinstance(name, str) for name in columns):
        return [f"{key} is {columns!r}, expected a list of column names"]
    if not columns:
        return [f"{key} is empty, expected at least one column name"]
    twice = sorted({name for name in columns if list(columns).count(name) > 1})
    return [f"{key} names '{name}' twice" for name in twice]


def bytes_problems(value: Any, key: str) -> list[str]:
    """What is wrong with a setting that bounds what a task holds."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return [] if is_number and value > 0 else [f"{key} is {value!r}, expected a number of bytes above 0"]


def quoted(name: str) -> str:
    """As SQL has a name that may hold anything."""
    return '"' + name.replace('"', '""') + '"'
