"""What is wrong with a function of the user's, told with its line and the rows that it was given."""

from __future__ import annotations

import linecache
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from raypipe.core.errors import DataError, RaypipeError
from raypipe.core.frame import is_end, users_frame

SHOWN = 200
"""Characters of a row's values that a message shows."""
SEARCH_S = 30.0
"""How long the row that a function raises on is looked for, at most: about as long as calling it once more on the whole batch."""


Numbers = Sequence[int] | np.ndarray | Callable[[], np.ndarray]


@dataclass(frozen=True)
class Rows:
    """The rows that a function was given when it failed, counted from 1."""

    first: int
    last: int
    file: str = ""
    shown: str = ""
    """The values, where it is one row."""

    @classmethod
    def all_of(cls, table: pa.Table) -> Rows:
        return cls(1, table.num_rows)

    def __str__(self) -> str:
        rows = f"row {self.first:,}" if self.first == self.last else f"rows {self.first:,} to {self.last:,}"
        return f"{rows}{f' of {self.file}' if self.file else ''}{f': {self.shown}' if self.shown else ''}"


class FunctionError(DataError):
    """A function of the user's did what it must not do: the text says which and what, `rows` with which rows."""

    def __init__(self, text: str, rows: Rows | None = None):
        self.text, self.rows = text, rows
        super().__init__(f"{text.rstrip('.')}. In {rows}" if rows else text)

    def __reduce__(self) -> Any:
        return FunctionError, (self.text, self.rows), self.__dict__  # with its traceback, and whether it may be gone at the next try

    def named(self, name: str) -> FunctionError:
        """The same with a name in front."""
        return FunctionError(f"{name}: {self.text}", self.rows)

    def placed(self, file: str, numbers: Numbers) -> FunctionError:
        """The same with the rows as they are numbered in their file; nothing changes where a file is named already."""
        rows = self.rows
        if rows is None or rows.file or rows.last < rows.first:
            return self
        numbers = numbers() if callable(numbers) else numbers
        return FunctionError(self.text, replace(rows, file=file, first=int(numbers[rows.first - 1]), last=int(numbers[rows.last - 1])))


@contextmanager
def placed(file: str, numbers: Numbers) -> Iterator[None]:
    """What a function does wrong inside the block was with rows that have these numbers, from 1, in this file; they are counted then."""
    try:
        yield
    except FunctionError as error:
        raise error.placed(file, numbers) from error.__cause__


def raised(title: str, error: BaseException) -> str:
    """`function m.f raised KeyError: 'x' (line 7 of mine.py: return row['x'])`."""
    last = users_frame(error)
    what = f"{type(error).__name__}: {error}".strip(": ")
    where = place(last.filename, last.lineno or 0)
    advice = _READ_ONLY if isinstance(error, ValueError) and "read-only" in str(error) else ""
    return f"{title} raised {what} ({where}){advice}"


def place(filename: str, line: int) -> str:
    """`line 7 of mine.py: return 1 / x`; recorded source is named as it was in the project."""
    name = filename.partition(">/")[2] if filename.startswith("<recorded ") else filename
    text = linecache.getline(filename, line).strip()
    return f"line {line} of {name}{f': {text}' if text else ''}"


_READ_ONLY = ". The arrays that it gets are read-only, for others read them too: copy one before changing it, as in x = batch['x'].copy()"


def narrowed(
    call: Callable[[pa.Table], Any], table: pa.Table, error: BaseException, within_s: float = SEARCH_S
) -> tuple[Rows, BaseException]:
    """The fewest rows on which the call still raises, and what it raises there: halves are tried while one of them raises too.

    Each round costs at most one call on as many rows as the round before left, so that all of them cost about two of the whole.
    """
    first, count, end = 0, table.num_rows, time.monotonic() + within_s
    while count > 1 and time.monotonic() < end:
        half = count // 2
        for start, size in ((first, half), (first + half, count - half)):
            if found := _raises(call, table.slice(start, size)):
                first, count, error = start, size, found
                break
        else:
            break  # it takes rows of both halves
    return Rows(first + 1, first + count, shown=shown(table, first) if count == 1 else ""), error


def shown(table: pa.Table, row: int) -> str:
    """One row's values, shortened."""
    values = ", ".join(f"{name}={_value(table.column(name)[row])}" for name in table.column_names)
    return values if len(values) <= SHOWN else f"{values[: SHOWN - 1]}…"


def _raises(call: Callable[[pa.Table], Any], rows: pa.Table) -> BaseException | None:
    try:
        call(rows)
    except RaypipeError:
        return None
    except (Exception, SystemExit) as error:
        if is_end(error):
            raise
        return error
    return None


def _value(scalar: Any) -> str:
    try:
        text = repr(scalar.as_py())
    except (ValueError, OverflowError, ImportError):
        text = str(scalar)
    return text if len(text) <= 40 else f"{text[:39]}…"
