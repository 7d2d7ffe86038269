"""What a source of any kind offers an ingest: what is new in it, in pieces, and the rows of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import pyarrow as pa

from raypipe.core.artifact import Json

if TYPE_CHECKING:
    from raypipe.core.step import Look
    from raypipe.data.source.files import SourceFile

BATCH_ROWS = 131_072
"""Rows of a batch, at most."""


class Piece(Protocol):
    """A part of a source that one task reads: a file, a range of offsets, a range of keys. Small, picklable, without rows."""

    @property
    def name(self) -> str:
        """For messages, e.g. `data/a.parquet`, `orders/3`."""
        ...

    @property
    def size(self) -> int:
        """Bytes, estimated: small pieces share a task."""
        ...


@dataclass(frozen=True)
class Progress:
    """What a table has taken of a source, as it was committed with the rows."""

    position: Json = None
    """`New.after` of the last commit; None before the first."""
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    """Of a source of files: those that were judged, by path."""
    left_out: frozenset[str] = frozenset()
    """The paths among them of which no row was taken: unreadable, or a duplicate."""
    former: Json = None
    """Where everything is taken anew: the position that was reached before, with other settings say."""


NOTHING = Progress()


@dataclass(frozen=True)
class Limit:
    """How much one batch may take, about: a source stops at the first piece that reaches a bound, and takes at least one."""

    num_rows: int | None = None
    num_bytes: int | None = None


@dataclass(frozen=True)
class New:
    """What a source has beyond a progress."""

    pieces: Sequence[Piece] = ()
    """To be read; the table has their rows in this order."""
    after: Json = None
    """The position once they are taken: committed with their rows."""
    state: Json = None
    """What a plan compares: the state of the source up to and with these pieces, the same for the same `after`."""
    told: str = ""
    """A line for people: `3 new of 12 files`."""
    whole: bool = False
    """The pieces are all that the source is now: their rows replace those of the table."""
    more: bool = False
    """Whether a limit has left something for the next time."""
    lag: Mapping[str, float] = field(default_factory=dict)
    """How far the table is behind once these are taken, by unit: `files`, `messages`, `rows`, `seconds`."""
    changed: Sequence[Piece] = ()
    """Taken before, with other content since."""
    gone: Mapping[str, str] = field(default_factory=dict)
    """Taken before and not there any more: name -> what has its content now, or nothing."""
    doubles: Mapping[str, str] = field(default_factory=dict)
    """Among the pieces, those with the content of another one: name -> the other."""


@dataclass(frozen=True)
class Bad:
    """A record that cannot be read."""

    position: str
    """Where it is, e.g. `orders/3 offset 17`."""
    reason: str
    value: bytes | None = None


@dataclass(frozen=True)
class Batch:
    """Some rows of a piece, where there is more to say of them than the rows themselves."""

    rows: pa.Table
    numbers: Any = None
    """numpy integers [rows]: their places in the piece; by default counted from 1."""
    bad: Sequence[Bad] = ()
    mark: Json = None
    """Handed to the source's `settle` once all pieces are read."""


class Source(Protocol):
    """Where rows come from: a frozen dataclass of settings. A field with `metadata=NO_IDENTITY` does not shape the rows.

    A source whose position is known only when it was read has `settle(new, marks) -> New` too: `new` with `after` and `state` filled in
    from the marks of its batches, in order.
    """

    revision: ClassVar[int]

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        ...

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        """What is there beyond `progress`; it is asked for by `plan` too, so that it takes seconds at most. DataError where the source is
        not there, or is not (any more) what was taken."""
        ...

    def batches(self, piece: Any, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table | Batch]:
        """The rows of one of its own pieces, at least one batch, which may have no rows; `types` are those wanted, for formats that have
        none of their own. DataError names the piece."""
        ...
