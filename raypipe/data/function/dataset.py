"""A function of Datasets of Ray's: called in the driver, where it only says what is to be done; the result is written by tasks."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raypipe.core import spill
from raypipe.core.errors import RaypipeError
from raypipe.data.dataset import dataset
from raypipe.data.function.callee import Callee, Code, to_form
from raypipe.data.function.fault import FunctionError, place, raised
from raypipe.data.function.settled import Piece, settled
from raypipe.data.function.sink import sink_of
from raypipe.data.function.whole import Given
from raypipe.data.rows import Written

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

    from raypipe.core.step import Work


def call(work: Work, code: Code, tables: Mapping[str, Given]) -> Written:
    """Calls the function with Datasets (and tables in memory, where it takes such beside), and writes the Dataset that it returns.

    Rows keep their order unless the function turns `preserve_order` off. Raises FunctionError with the line of the user's code.
    """
    import ray.data

    callee = code.load(apart=True)
    with spill.told(callee.title), _unlogged():
        result = callee.tell(lambda: callee.function(**{n: _given(work, t) for n, t in tables.items()}, **callee.settings))
        if not isinstance(result, ray.data.Dataset):
            raise FunctionError(f"{callee.title} returned {type(result).__name__}, expected a ray.data.Dataset")
        pieces = _written(work, callee, result, [t.schema for t in tables.values()])
    return settled(work, code.target, pieces)


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Ray Data writes the stack of what it raises to the terminal; here it is told in one message, and the stack lies in the run's log."""
    logger = logging.getLogger("ray.data")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _given(work: Work, table: Given) -> Any:
    from raypipe.data.fragment.together import read_fragments

    if table.form.kind != "dataset":
        return to_form(table.form, read_fragments(work.store, table.fragments, table.schema))
    rows = dataset(work.store, table.fragments, table.schema.names)
    # The table's digest is over its rows in order: with another order every time it would be another table.
    rows.context.execution_options.preserve_order = True
    return rows


def _written(work: Work, callee: Callee, result: ray.data.Dataset, own: Sequence[pa.Schema]) -> list[Piece]:
    sink = sink_of(work.store, work.path, own)
    try:
        result.write_datasink(sink)
    except RaypipeError:
        raise
    except Exception as error:
        raise _told(callee, error) from error
    blocks = sorted(sink.blocks, key=lambda block: (block.task, block.first))
    filled = [b for b in blocks if b.fragment] or blocks[:1]
    if not filled:
        raise FunctionError(f"{callee.title} returned a Dataset without a row and without columns: there is nothing to make a table of")
    return [Piece(b.name, number, b.fragment, b.schema) for number, b in enumerate(filled)]


def _told(callee: Callee, error: Exception) -> Exception:
    """What was raised in a task, with the line of the user's code; Ray hands on the traceback as text alone."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, RaypipeError):
        return cause
    text = _COLOURS.sub("", str(error)).split("\nThe above exception was the direct cause")[0].strip()
    what = next((line for line in reversed(text.splitlines()) if line.strip()), type(error).__name__)
    frames = _FRAMES.findall(text)
    if not frames:
        return FunctionError(raised(callee.title, error) if error.__traceback__ and not text else f"{callee.title} failed: {what}")
    filename, line = next((f for f in reversed(frames) if f[0].startswith("<recorded ")), frames[-1])
    return FunctionError(f"{callee.title} raised {what} ({place(filename, int(line))})")


_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FRAMES = re.compile(r'^ *File "([^"]+)", line (\d+), in ', re.MULTILINE)
