"""A function of batches over every fragment of a table: one fragment out for each in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.fragment.fragment import Fragment, write_fragment, write_pieces
from raypipe.data.fragment.spans import Span, read_spans
from raypipe.data.function.callee import Callee, Code
from raypipe.data.function.columns import agreed, as_agreed, joined
from raypipe.data.function.fault import FunctionError, Rows, placed
from raypipe.data.function.printed import printed
from raypipe.data.function.probe import unchanged, unsteady
from raypipe.data.function.settled import Piece, settled
from raypipe.data.map import Workers, map_fragments
from raypipe.data.rows import Item, Written, fragment_path
from raypipe.data.transform.kernel import is_large

if TYPE_CHECKING:
    from raypipe.core.step import Work
    from raypipe.core.store import Store

HowMany = Literal["same", "any"]


@dataclass(frozen=True)
class Batches:
    """How a function is called: with which columns and rows at once, and what of rows it may give back."""

    code: Code
    rows: HowMany = "same"
    columns: Sequence[str] | None = None
    """Those it gets; where it gives as many rows as it gets, the others go round it."""
    batch_rows: int | None = None
    """Rows of a call; None: a fragment, and of a large one a row group."""

    def over(self, work: Work, parts: Sequence[Fragment], on: Workers, before: pa.Schema | None = None) -> Written:
        """Every fragment worked on and written. FunctionError where one comes out with other columns than another, or than `before`.

        Each note: `rows` that went in, `printed`, `unsteady` (how two calls on the same rows differed)."""
        kernel = _Kernel(work.store, work.path, self, work.inline)
        pieces = map_fragments(kernel, [Item(i, part) for i, part in enumerate(parts)], inline=work.inline, on=on)
        if before is None and all(piece.schema is None for piece in pieces):  # not a row in any: the function alone knows its columns
            pieces = [replace(kernel, even_empty=True)(Item(0, parts[0])), *pieces[1:]]
        return settled(work, f"{self.code.target}", pieces, before)


@dataclass(frozen=True)
class _Kernel:
    """A fragment -> the fragment that it becomes. It travels to a task with the function's source."""

    store: Store
    path: str
    batches: Batches
    inline: bool
    even_empty: bool = False

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "callee"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @cached_property
    def callee(self) -> Callee:
        """Loaded once a process; a class is built once, too."""
        return self.batches.code.load()

    def __call__(self, item: Item) -> Piece:
        path, note = fragment_path(self.path, item.number), {"rows": item.fragment.num_live}
        if not item.fragment.num_live and not self.even_empty:
            return Piece(item.path, item.number, None, None, note)
        with printed(self.inline) as out:
            if item.number == 0:
                note |= self._probed(item.fragment)
            fragment, schema = self._written(item.fragment, path)
        return Piece(item.path, item.number, fragment, schema, note | ({"printed": str(out)} if str(out) else {}))

    def _written(self, fragment: Fragment, path: str) -> tuple[Fragment, pa.Schema]:
        pieces = self._made(fragment)
        if is_large(fragment):
            first = next(pieces)
            return write_pieces(self.store, path, _alike(fragment.path, first, pieces)), first.schema
        tables, schema = [], None
        for table in pieces:
            tables.append(table)
            schema = _agreed(self.callee.title, schema, table, fragment.path)
        assert schema is not None
        return write_fragment(self.store, path, joined(tables, schema)), schema

    def _made(self, fragment: Fragment) -> Iterator[pa.Table]:
        wanted = None if self.batches.rows == "same" else self.batches.columns
        for span in read_spans(self.store, fragment, wanted, by_group=is_large(fragment)):
            size = self.batches.batch_rows or max(1, span.rows.num_rows)
            for start in range(0, max(1, span.rows.num_rows), size):
                with placed(fragment.path, span.numbers[start : start + size]):
                    yield self._batch(span.rows.slice(start, size))

    def _batch(self, rows: pa.Table) -> pa.Table:
        given = rows if self.batches.columns is None else rows.select(list(self.batches.columns))
        made = self.callee(given)
        if self.batches.rows == "any":
            return made
        if made.num_rows != rows.num_rows:
            raise FunctionError(
                f"{self.callee.title} returned {made.num_rows:,} rows for {rows.num_rows:,}: say `rows: any` where it may drop or add rows",
                Rows.all_of(rows),
            )
        return made if self.batches.columns is None else _over(rows, made)

    def _probed(self, fragment: Fragment) -> dict[str, Json]:
        """Whether it lets its input alone, and gives the same twice."""
        span = next(iter(read_spans(self.store, fragment, self.batches.columns, by_group=True)))
        rows = _first_rows(span)
        with placed(fragment.path, span.numbers), unchanged(self.callee.title, rows):
            told = unsteady(self.callee, rows)
        return {"unsteady": told} if told else {}


def _first_rows(span: Span, num_rows: int = 32) -> pa.Table:
    return span.rows.slice(0, num_rows)


def _over(rows: pa.Table, made: pa.Table) -> pa.Table:
    """What was made put over or after the other columns."""
    for name in made.column_names:
        at = rows.schema.get_field_index(name)
        field = made.schema.field(name)
        rows = rows.append_column(field, made.column(name)) if at < 0 else rows.set_column(at, field, made.column(name))
    return rows


def _agreed(title: str, schema: pa.Schema | None, table: pa.Table, file: str) -> pa.Schema:
    try:
        return agreed(schema, table.schema)
    except DataError as error:
        raise FunctionError(f"{title} returned other columns for one batch of {file} than for those before: {error}") from error


def _alike(file: str, first: pa.Table, others: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Pieces with the columns of the first, which is written by then."""
    yield first
    for number, piece in enumerate(others, 2):
        found = _agreed("the function", first.schema, piece, file)
        if not found.equals(first.schema):
            names = [f.name for f in first.schema if pa.types.is_null(f.type) and not pa.types.is_null(found.field(f.name).type)]
            raise FunctionError(
                f"the function returned column '{names[0]}' of {file} without a type for its first rows, all of them null, and as "
                f"{found.field(names[0]).type} in batch {number}: give the column its type where all values are null too"
            )
        yield as_agreed(piece, cast(pa.Schema, first.schema))
