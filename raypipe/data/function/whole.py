"""A function of whole tables, or of tables piece by piece, called once, in one task; what it returns is written as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import DataError, RaypipeError
from raypipe.core.form import Form
from raypipe.core.frame import is_end
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.fragment.spans import read_spans
from raypipe.data.function.callee import Callee, Code, from_form, to_form
from raypipe.data.function.columns import agreed, joined
from raypipe.data.function.fault import FunctionError, Rows, raised
from raypipe.data.function.printed import printed
from raypipe.data.function.settled import Piece, settled
from raypipe.data.map import map_fragments
from raypipe.data.rows import FRAGMENT_ROWS, Written, fragment_path

if TYPE_CHECKING:
    from raypipe.core.step import Work
    from raypipe.core.store import Store

FRAGMENT_BYTES = 128 << 20
"""What is waited for before a fragment is written, of rows that are wide."""


@dataclass(frozen=True)
class Given:
    """One table as it travels to the task, and as what the function gets it."""

    schema: pa.Schema
    fragments: Sequence[Fragment]
    form: Form


def call(work: Work, code: Code, tables: Mapping[str, Given]) -> tuple[Written, str]:
    """Calls the function with these tables by name; what it returned, written, and what it printed. FunctionError in words about what is
    none of the form that it gives."""
    item = _Item(code.target, tables)
    pieces, out = map_fragments(_Call(code, work.store, work.path, work.inline), [item], inline=work.inline)[0]
    return settled(work, code.target, pieces), out


def write_stream(store: Store, path: str, title: str, tables: Iterator[pa.Table]) -> Iterator[Piece]:
    """Tables of one schema, in order, as fragments of FRAGMENT_ROWS or FRAGMENT_BYTES; what is waiting is all that is in memory."""
    waiting: list[pa.Table] = []
    schema: pa.Schema | None = None
    number = num_rows = 0
    for count, table in enumerate(tables, 1):
        try:
            schema = agreed(schema, table.schema)
        except DataError as error:
            where = f"piece {count:,} (from row {num_rows + sum(t.num_rows for t in waiting) + 1:,} of what it gave)"
            raise FunctionError(f"{title} gave other columns in {where} than in those before: {error}") from error
        waiting.append(table)
        while sum(t.num_rows for t in waiting) >= FRAGMENT_ROWS or sum(t.nbytes for t in waiting) >= FRAGMENT_BYTES:
            whole = joined(waiting, schema)
            yield _piece(store, path, number, whole.slice(0, FRAGMENT_ROWS), num_rows)
            number, num_rows = number + 1, num_rows + min(FRAGMENT_ROWS, whole.num_rows)
            waiting = [whole.slice(FRAGMENT_ROWS)] if whole.num_rows > FRAGMENT_ROWS else []
    if schema is None:
        raise FunctionError(f"{title} gave no table at all: give at least an empty one, which says what the columns are")
    if waiting or number == 0:
        yield _piece(store, path, number, joined(waiting, schema), num_rows)


def _piece(store: Store, path: str, number: int, table: pa.Table, before: int) -> Piece:
    name = f"rows {before + 1:,} to {before + table.num_rows:,} of what it gave"
    return Piece(name, number, write_fragment(store, fragment_path(path, number), table), table.schema)


@dataclass(frozen=True)
class _Item:
    path: str
    """The function, for a message about its task."""
    tables: Mapping[str, Given]


@dataclass(frozen=True)
class _Call:
    """Hands the tables over, calls, writes. It travels to a task with the function's source."""

    code: Code
    store: Store
    path: str
    inline: bool

    def __call__(self, item: _Item) -> tuple[list[Piece], str]:
        with printed(self.inline) as out:
            callee, gives = self.code.load(), self.code.gives
            feed = _Feed(self.store)
            given = {name: feed.of(callee.title, table) for name, table in item.tables.items()}
            made = feed.tell(callee, lambda: callee.function(**given, **callee.settings))
            tables = _streamed(callee, made, feed) if gives.streamed else iter([_taken(callee, made, feed)])
            pieces = list(write_stream(self.store, self.path, callee.title, tables))
        return pieces, str(out)


@dataclass
class _Feed:
    """What the function has been handed, as far as it has come."""

    store: Store
    origins: list[tuple[Form, Any, pa.Table]] = field(default_factory=list)
    """Of each table, or of the first piece of it."""
    last: Rows | None = None
    """The rows of the piece that was handed out last."""

    def of(self, title: str, table: Given) -> Any:
        if table.form.streamed:
            return self._pieces(title, table)
        from raypipe.data.fragment.together import read_fragments

        rows = read_fragments(self.store, table.fragments, table.schema)
        return self._one(title, table.form, rows, keep=True)

    def tell(self, callee: Callee, run: Callable[[], Any]) -> Any:
        """What code of the user's returns; what it raises is told with the rows that it got last."""
        try:
            return run()
        except RaypipeError:
            raise
        except (Exception, SystemExit) as error:
            if is_end(error):
                raise
            raise FunctionError(raised(callee.title, error), self.last) from error

    def _pieces(self, title: str, table: Given) -> Iterator[Any]:
        first = True
        for fragment in table.fragments:
            for span in read_spans(self.store, fragment, table.schema.names, by_group=True):
                if span.rows.num_rows:
                    self.last = Rows(int(span.numbers[0]), int(span.numbers[-1]), fragment.path)
                    yield self._one(title, table.form, span.rows, keep=first)
                    first = False

    def _one(self, title: str, form: Form, rows: pa.Table, keep: bool) -> Any:
        try:
            given = to_form(form, rows)
        except DataError as error:
            raise FunctionError(f"{title} takes {form}: {error}", self.last) from error
        if keep:
            self.origins.append((form, given, rows))
        return given


def _streamed(callee: Callee, made: Any, feed: _Feed) -> Iterator[pa.Table]:
    if not hasattr(made, "__next__"):
        raise FunctionError(f"{callee.title} returned {type(made).__name__}, expected {callee.gives}: `yield` each piece")
    end = object()
    while (piece := feed.tell(callee, lambda: next(made, end))) is not end:
        yield _taken(callee, piece, feed)


def _taken(callee: Callee, made: Any, feed: _Feed) -> pa.Table:
    try:
        computed = callee.collected(made) if callee.gives.kind == "lazy" else made
        return from_form(callee.gives, computed, feed.origins)
    except FunctionError:
        raise
    except DataError as error:
        raise FunctionError(f"{callee.title} {error}", feed.last) from error
