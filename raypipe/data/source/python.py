"""A function of the user's own as a source: a generator of Arrow tables with a cursor, or a `ray.data` call."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, RaypipeError
from raypipe.core.frame import is_end, users_frame
from raypipe.core.step import NO_IDENTITY, Function, Look
from raypipe.data.source.piece import BATCH_ROWS, Batch, Limit, New, Progress

PIECE_BYTES = 64 << 20
"""What a call is taken to bring, before anything is known of it: a task of its own."""
MAX_CURSOR_BYTES = 1 << 20


@runtime_checkable
class Code(Protocol):
    """A function of the user's that is not loaded yet: an import path, arguments and the recorded source."""

    target: str
    settings: dict[str, Any]
    recorded: Json

    def load(self) -> Any: ...


@dataclass(frozen=True)
class PythonPiece:
    """What a call brings beyond a cursor."""

    name: str
    cursor: Json
    limit: Limit | None = None
    size: int = PIECE_BYTES


@dataclass(frozen=True)
class PythonSource:
    """Rows of a function of the user's, run from its recorded source in a Ray task.

    A generator is called as `function(cursor, **arguments)` and yields pairs: a pyarrow.Table (or a ray.data.Dataset), and the cursor that
    stands behind it, any JSON value; the next run calls it with the last cursor that was committed, the first one with None. A function
    that returns a table or a Dataset is called as `function(**arguments)`, once; with other code or arguments all is taken anew.
    """

    revision: ClassVar[int] = 1

    function: Function = field(metadata=NO_IDENTITY)
    """The function, by its import path: {_target_: flights.new_rows}. Its code and `arguments` say which rows they are."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What it is called with beside the cursor, by name: JSON values, and no secrets."""
    latest: Function | None = field(default=None, metadata=NO_IDENTITY)
    """A second function, by its import path, called with the same arguments: the newest cursor there is, told cheaply and without Ray.
    Without it `plan` asks the generator for its first batch, to see whether there is one."""
    _code: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_code", _identity(self.function))

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = []
        for key, given in (("function", self.function), ("latest", self.latest)):
            if isinstance(given, Code) and given.settings:
                found.append(f"{key} has arguments beside _target_: write them under arguments")
            elif not (callable(given) or isinstance(given, Code) or (key == "latest" and given is None)):
                found.append(f"{key} is {given!r}, expected {{_target_: module.function}}")
        return found + (["arguments names 'cursor', which is given by raypipe"] if "cursor" in self.arguments else [])

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        name, position = _name(self.function), progress.position
        function = _loaded(self.function)
        if not inspect.isgeneratorfunction(function):
            state = {"whole": True}
            pieces = [PythonPiece(name, None)] if position is None else []
            return New(pieces, after=state, state=state, told=f"{name}: {'new' if pieces else 'taken'}")
        cursor = position["cursor"] if position else None
        ahead = self._ahead(function, cursor)
        pieces = [] if ahead == cursor and position is not None else [PythonPiece(name, cursor, limit)]
        told = f"{name}: {'something' if pieces else 'nothing'} new behind {json.dumps(cursor)}"
        return New(pieces, after={"cursor": cursor}, state={"cursor": ahead}, told=told)

    def batches(self, piece: PythonPiece, types: Mapping[str, pa.DataType]) -> Iterator[Batch]:
        function = _loaded(self.function)
        if not inspect.isgeneratorfunction(function):
            with _told(piece.name):
                found = function(**self.arguments)
            yield from (Batch(rows) for rows in _tables(piece.name, found))
            return
        num_rows = num_bytes = 0
        cursor = piece.cursor
        for found, after in self._pairs(function, piece.name, cursor):
            tables = list(_tables(piece.name, found))
            if after == cursor and any(rows.num_rows for rows in tables):
                raise DataError(f"{piece.name}: yielded rows with the cursor that it was at, {json.dumps(cursor)}: they would come twice")
            cursor = after
            for rows in tables:
                num_rows, num_bytes = num_rows + rows.num_rows, num_bytes + rows.nbytes
                yield Batch(rows)
            yield Batch((tables or [pa.table({})])[-1].slice(0, 0), mark={"cursor": cursor})
            if _is_full(piece.limit, num_rows, num_bytes):
                return

    def settle(self, new: New, marks: Sequence[Json]) -> New:
        """The cursor behind the last rows."""
        return replace(new, after=marks[-1], state=marks[-1]) if marks else new

    def _ahead(self, function: Callable[..., Any], cursor: Json) -> Json:
        """The newest cursor as far as it can be told without taking everything."""
        if self.latest is not None:
            name = _name(self.latest)
            with _told(name):
                return _cursor(name, _loaded(self.latest)(**self.arguments))
        for found, after in self._pairs(function, _name(self.function), cursor):
            if not isinstance(found, pa.Table) or found.num_rows:
                return after
        return cursor

    def _pairs(self, function: Callable[..., Any], name: str, cursor: Json) -> Iterator[tuple[Any, Json]]:
        with _told(name):
            generator = function(cursor, **self.arguments)
        while True:
            with _told(name):
                pair = next(generator, None)
            if pair is None:
                return
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise DataError(f"{name}: yielded {type(pair).__name__}, expected a pair: a pyarrow.Table and the cursor behind it")
            yield pair[0], _cursor(name, pair[1])


def _loaded(function: Any) -> Any:
    return function.load() if isinstance(function, Code) else function


def _name(function: Any) -> str:
    return function.target if isinstance(function, Code) else f"{function.__module__}.{function.__qualname__}"


def _identity(function: Any) -> str:
    """What of the function shapes the rows: its name, and its code without comments and layout."""
    if not isinstance(function, Code):
        return getattr(function, "__qualname__", "")
    return f"{function.target}:{function.recorded['closure'] if function.recorded else ''}"


def _cursor(name: str, cursor: Any) -> Json:
    """As it comes back from the ledger. DataError where it is none."""
    try:
        text = json.dumps(cursor, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: its cursor is a {type(cursor).__name__}, expected a JSON value ({error})") from None
    if len(text) > MAX_CURSOR_BYTES:
        raise DataError(f"{name}: its cursor has {len(text):,} bytes as JSON, at most {MAX_CURSOR_BYTES:,} are kept")
    return json.loads(text)


def _tables(name: str, found: Any) -> Iterator[pa.Table]:
    """The rows, in tables of a bounded size."""
    if isinstance(found, pa.Table):
        yield found.slice(0, 0)
        for start in range(0, found.num_rows, BATCH_ROWS):
            yield found.slice(start, BATCH_ROWS)
    elif _is_dataset(found):
        _refuse_no_cpu(name)
        with _told(name):
            schema = found.schema(fetch_if_missing=True)
        if schema is not None:
            yield pa.schema(list(zip(schema.names, schema.types, strict=True))).empty_table()
        with _told(name):
            yield from found.iter_batches(batch_size=BATCH_ROWS, batch_format="pyarrow")
    else:
        raise DataError(f"{name}: gave {type(found).__name__}, expected a pyarrow.Table or a ray.data.Dataset")


def _refuse_no_cpu(name: str) -> None:
    """A Dataset is run from inside of a task, which keeps a CPU while it waits: with one CPU it would wait for ever."""
    import ray

    if not ray.is_initialized():
        raise DataError(
            f"{name}: gave a ray.data.Dataset, and this run has no Ray (cluster=debug): give a pyarrow.Table, or run with a cluster"
        )
    if (num_cpus := ray.cluster_resources().get("CPU", 0)) < 2:
        raise DataError(f"{name}: gave a ray.data.Dataset, which needs a CPU beside the task that reads it; the cluster has {num_cpus:g}")


def _is_dataset(found: Any) -> bool:
    return any(f"{one.__module__}.{one.__qualname__}".startswith("ray.data.dataset.Dataset") for one in type(found).__mro__)


def _is_full(limit: Limit | None, num_rows: int, num_bytes: int) -> bool:
    if limit is None:
        return False
    over = ((limit.num_rows, num_rows), (limit.num_bytes, num_bytes))
    return any(bound is not None and found >= bound for bound, found in over)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the user's code raises, told with its line."""
    try:
        yield
    except RaypipeError:
        raise
    except (Exception, SystemExit) as error:
        if is_end(error):
            raise
        frame = users_frame(error)
        said = str(error) or type(error).__name__
        raise DataError(f"{name}: {type(error).__name__}: {said} ({Path(frame.filename).name}, line {frame.lineno})") from error
