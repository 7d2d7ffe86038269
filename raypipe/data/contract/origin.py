"""Where a contract reads rows: the fragments of a table, or the files of a source. Both travel to tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from raypipe.data.fragment.fragment import Fragment, read_row_groups
from raypipe.data.source.piece import Batch, Piece, Source

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store


class Origin(Protocol):
    """Some rows of a table, in order."""

    @property
    def path(self) -> str:
        """What is told where it cannot be read."""
        ...

    @property
    def name(self) -> str:
        """Under which its rows are told."""
        ...

    @property
    def tells_rows(self) -> bool:
        """Whether the numbers of its rows are those that a person finds there."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """The rows with their numbers, a bounded number at a time."""
        ...


@dataclass(frozen=True)
class OfTable:
    """A fragment."""

    store: Store
    fragment: Fragment
    made_of: str | None = None
    """The name of what it was made of, where rows are told by that."""

    @property
    def path(self) -> str:
        return self.fragment.path

    @property
    def name(self) -> str:
        return self.made_of or self.fragment.path

    @property
    def tells_rows(self) -> bool:
        return self.made_of is None

    @property
    def size(self) -> int:
        return self.fragment.size

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[tuple[pa.Table, np.ndarray]]:
        return _numbered(read_row_groups(self.store, self.fragment, columns))


@dataclass(frozen=True)
class OfSource:
    """A file of a source."""

    source: Source
    piece: Piece
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Those that are wanted, for formats that have none of their own."""
    tells_rows: bool = True

    @property
    def path(self) -> str:
        return self.piece.name

    @property
    def name(self) -> str:
        return self.piece.name

    @property
    def size(self) -> int:
        return self.piece.size

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[tuple[pa.Table, np.ndarray]]:
        rows = (batch.rows if isinstance(batch, Batch) else batch for batch in self.source.batches(self.piece, self.types))
        return _numbered(batch if columns is None else batch.select(list(columns)) for batch in rows)


@dataclass(frozen=True)
class Numbered:
    """One with its number among those that are worked on."""

    number: int
    origin: Origin

    @property
    def size(self) -> int:
        return self.origin.size

    @property
    def path(self) -> str:
        return self.origin.path


def _numbered(batches: Any) -> Iterator[tuple[pa.Table, np.ndarray]]:
    import numpy as np

    first = 1
    for rows in batches:
        yield rows, np.arange(first, first + rows.num_rows)
        first += rows.num_rows
