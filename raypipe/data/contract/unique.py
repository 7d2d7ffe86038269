"""Values that may not come twice in a whole table: found by ranges of their keys, so that memory is bounded whatever the table's size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Json
from raypipe.core.step import Work
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.findings import NUM_EXAMPLES, finding, shown
from raypipe.data.contract.hashed import keys_of_rows
from raypipe.data.contract.origin import Numbered, Origin
from raypipe.data.map import map_fragments

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store

RANGE_ROWS = 4_000_000
"""Rows whose keys a task holds at a time, with about 24 bytes each."""
MOST_SUSPECTS = 4_096
"""Keys that come twice and are proved by their values; where there are more, a range is not proved."""


def repeated(work: Work, contract: Contract, origins: Sequence[Origin], num_rows: int) -> list[dict[str, Json]]:
    """A finding for each set of columns that the contract wants unique, over all the rows of a table.

    A first pass writes the sorted 64-bit keys of each fragment, a second one goes through them range by range; what comes twice is proved
    by its values, so that a table is never refused for two values that have one key. A row that lacks a value is not counted.
    """
    made = []
    for number, columns in enumerate(contract.unique_sets):
        found = _Search(work, columns, origins, num_rows, f"{work.path}/unique-{number}").found()
        column = contract.columns[columns[0]] if len(columns) == 1 and contract.columns[columns[0]].unique else None
        about = finding(", ".join(columns), "unique", None, column.breach("unique") if column else "fail", 0.0)
        made.append(about | found | {"rows": num_rows})
    return made


@dataclass(frozen=True)
class _Search:
    work: Work
    columns: tuple[str, ...]
    origins: Sequence[Origin]
    num_rows: int
    path: str

    def found(self) -> dict[str, Json]:
        store, inline = self.work.store, self.work.inline
        num_ranges = max(1, -(-self.num_rows // RANGE_ROWS))
        items = [Numbered(n, origin) for n, origin in enumerate(self.origins)]
        slices = map_fragments(_Keys(store, self.columns, self.path, num_ranges), items, inline=inline)
        ranges = [_Range(n, tuple(s.of(n) for s in slices)) for n in range(num_ranges)]
        states = map_fragments(_Twice(store), ranges, inline=inline or num_ranges == 1)
        for part in slices:
            store.remove(part.path)
        figure = sum(part.repeats.num for part in slices) + sum(repeats.num for repeats in states)
        if not figure:
            return {"figure": 0, "examples": []}
        suspects = frozenset(itertools.chain(*(part.repeats.keys for part in slices), *(repeats.keys for repeats in states)))
        places = map_fragments(_Values(self.columns, suspects), items, inline=inline)
        proved, examples = _proved(places, self.origins)
        return {"figure": proved if figure <= MOST_SUSPECTS else figure, "examples": examples}


@dataclass(frozen=True)
class _Repeats:
    num: int
    """Rows whose key came before."""
    keys: tuple[int, ...]
    """The keys that come more than once, the first MOST_SUSPECTS."""


@dataclass(frozen=True)
class _Slices:
    """A file of the sorted different keys of a fragment, uint64 little-endian, and where in it each range ends."""

    path: str
    ends: tuple[int, ...]
    repeats: _Repeats
    """Within the fragment: a value that all rows have takes no more room than one."""

    def of(self, number: int) -> tuple[str, int, int]:
        return self.path, self.ends[number - 1] if number else 0, self.ends[number]


@dataclass(frozen=True)
class _Keys:
    """A fragment -> its keys, in a file. It travels to a task."""

    store: Store
    columns: tuple[str, ...]
    path: str
    num_ranges: int

    def __call__(self, item: Numbered) -> _Slices:
        import numpy as np

        pieces = [keys_of_rows(rows)[1] for rows, _ in item.origin.batches(self.columns)]
        found, repeats = _once(np.concatenate([np.zeros(0, np.uint64), *pieces]))
        bounds = np.array([(number * 2**64) // self.num_ranges for number in range(1, self.num_ranges)], dtype=np.uint64)
        ends = (*np.searchsorted(found, bounds).tolist(), len(found))
        path = f"{self.path}-{item.number:05d}.keys"
        self.store.write(path, found.astype("<u8").tobytes())
        return _Slices(path, ends, repeats)


@dataclass(frozen=True)
class _Range:
    number: int
    slices: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class _Twice:
    """A range of keys -> those that come more than once. It travels to a task."""

    store: Store

    def __call__(self, item: _Range) -> _Repeats:
        import numpy as np

        return _once(np.concatenate([np.zeros(0, np.uint64), *(self._read(*part) for part in item.slices)]))[1]

    def _read(self, path: str, start: int, end: int) -> np.ndarray:
        import numpy as np

        filesystem, full = self.store.filesystem(path)
        with filesystem.open_input_file(full) as file:
            return np.frombuffer(file.read_at((end - start) * 8, start * 8), "<u8")


@dataclass(frozen=True)
class _Values:
    """A fragment -> row numbers and values of those of its rows whose keys are suspect, as many as a proof may need."""

    columns: tuple[str, ...]
    suspects: frozenset[int]

    def __call__(self, item: Numbered) -> list[_Placed]:
        import numpy as np

        wanted, made = np.array(sorted(self.suspects), np.uint64), []
        for table, numbers in item.origin.batches(self.columns):
            at, found = keys_of_rows(table)
            for row in at[np.isin(found, wanted)][: 2 * MOST_SUSPECTS - len(made)].tolist():
                values = [table.column(name)[row] for name in self.columns]
                made.append((int(numbers[row]), tuple(v.as_py() for v in values), tuple(shown(v) for v in values)))
        return made


_Placed = tuple[int, tuple[Any, ...], tuple[Json, ...]]
"""A row's number, its values, and those as examples have them."""


def _once(found: np.ndarray) -> tuple[np.ndarray, _Repeats]:
    """The different keys, sorted, and what came more than once."""
    import numpy as np

    different, counts = np.unique(found, return_counts=True)
    return different, _Repeats(len(found) - len(different), tuple(different[counts > 1][:MOST_SUSPECTS].tolist()))


def _proved(places: Sequence[Sequence[_Placed]], origins: Sequence[Origin]) -> tuple[int, list[Json]]:
    """The rows that have values which came before, and the first of them."""
    seen: set[Any] = set()
    figure, examples = 0, []
    for origin, part in zip(origins, places, strict=True):
        for row, values, told in part:
            if values in seen:
                figure += 1
                value = told[0] if len(told) == 1 else ", ".join(map(str, told))
                examples.append({"file": origin.name, "row": row if origin.tells_rows else None, "value": value})
            seen.add(values)
    return figure, examples[:NUM_EXAMPLES]
