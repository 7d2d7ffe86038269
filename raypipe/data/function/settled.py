"""Fragments that a function made one by one, settled as one table's: with the same columns in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.fragment.fragment import Fragment, read_row_groups, write_fragment, write_pieces
from raypipe.data.function.columns import agreed, as_agreed
from raypipe.data.function.fault import FunctionError
from raypipe.data.map import map_fragments
from raypipe.data.rows import Written

if TYPE_CHECKING:
    from raypipe.core.step import Work
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Piece:
    """What a function made of one piece of its input."""

    name: str
    """Of the piece, for messages: a file, or `block 3`."""
    number: int
    fragment: Fragment | None
    """None where there was not a row to call it with."""
    schema: pa.Schema | None
    note: Json = None


def settled(work: Work, target: str, pieces: Sequence[Piece], before: pa.Schema | None = None) -> Written:
    """The table's fragments in order. FunctionError naming two pieces whose columns differ.

    A piece whose column holds nothing but nulls, and has no type, is written anew with the type of the others; `before` are columns that
    are there already.
    """
    schema, first = before, "what was made before"
    for piece in pieces:
        if piece.schema is None:
            continue
        try:
            schema, first = agreed(schema, piece.schema), first if schema is not None else piece.name
        except DataError as error:
            raise FunctionError(f"{target} returned other columns for {piece.name} than for {first}: {error}") from error
    assert schema is not None, "no piece with columns"
    anew = [piece for piece in pieces if piece.fragment is None or piece.schema is None or not piece.schema.equals(schema)]
    done = map_fragments(_Anew(work.store, work.path, schema), [_Item(p.number, p.name, p.fragment) for p in anew], inline=work.inline)
    written = dict(zip([piece.number for piece in anew], done, strict=True))
    parts = [written.get(piece.number) or cast(Fragment, piece.fragment) for piece in pieces]
    return Written(parts, schema, [piece.note for piece in pieces])


@dataclass(frozen=True)
class _Item:
    number: int
    path: str
    fragment: Fragment | None

    @property
    def size(self) -> int:
        return self.fragment.size if self.fragment else 0


@dataclass(frozen=True)
class _Anew:
    """Writes a fragment again with the columns of the others; an empty one where there is none."""

    store: Store
    path: str
    schema: pa.Schema

    def __call__(self, item: _Item) -> Fragment:
        path = f"{self.path}/part-{item.number:05d}-typed.parquet"
        if item.fragment is None or not item.fragment.num_rows:
            return write_fragment(self.store, path, self.schema.empty_table())
        return write_pieces(self.store, path, (as_agreed(rows, self.schema) for rows in read_row_groups(self.store, item.fragment)))
