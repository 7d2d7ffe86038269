"""Values that may not come twice in a whole table: found by ranges of their keys, so that memory is bounded whatever the table's size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Json
from raypipe.core.step import Work
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.findings import NUM_EXAMPLES, finding, shown
from raypipe.data.contract.hashed import keys_of_rows
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.map import map_fragments
from raypipe.data.rows import Item

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store

RANGE_ROWS = 4_000_000
"""Rows whose keys a task holds at a time, with about 24 bytes each."""
MOST_SUSPECTS = 4_096
"""Keys that come twice and are proved by their values; where there are more, a range is not proved."""


def repeated(work: Work, contract: Contract, fragments: Sequence[Fragment], names: Mapping[str, str]) -> list[dict[str, Json]]:
    """A finding for each set of columns that the contract wants unique, over all the fragments of a table.

    `names` says under which name a fragment is told (the file that it was made of); its own path where there is none. A first pass writes
    the sorted 64-bit keys of each fragment, a second one goes through them range by range; what comes twice is proved by its values, so
    that a table is never refused for two values that have one key. A row that lacks a value is not counted.
    """
    made = []
    for number, columns in enumerate(contract.unique_sets):
        found = _Search(work, columns, fragments, f"{work.path}/unique-{number}").found(names)
        column = contract.columns[columns[0]] if len(columns) == 1 and contract.columns[columns[0]].unique else None
        about = finding(", ".join(columns), "unique", None, column.breach("unique") if column else "fail", 0.0)
        made.append(about | found | {"rows": sum(fragment.num_live for fragment in fragments)})
    return made


@dataclass(frozen=True)
class _Search:
    work: Work
    columns: tuple[str, ...]
    fragments: Sequence[Fragment]
    path: str

    def found(self, names: Mapping[str, str]) -> dict[str, Json]:
        store, inline = self.work.store, self.work.inline
        num_rows = sum(f.num_live for f in self.fragments)
        num_ranges = max(1, -(-num_rows // RANGE_ROWS))
        items = [Item(n, fragment) for n, fragment in enumerate(self.fragments)]
        slices = map_fragments(_Keys(store, self.columns, self.path, num_ranges), items, inline=inline)
        ranges = [_Range(n, tuple(s.of(n) for s in slices)) for n in range(num_ranges)]
        states = map_fragments(_Twice(store), ranges, inline=inline or num_ranges == 1)
        for part in slices:
            store.remove(part.path)
        figure = sum(part.repeats.num for part in slices) + sum(repeats.num for repeats in states)
        if not figure:
            return {"figure": 0, "examples": []}
        suspects = frozenset(itertools.chain(*(part.repeats.keys for part in slices), *(repeats.keys for repeats in states)))
        places = map_fragments(_Values(store, self.columns, suspects), items, inline=inline)
        proved, examples = _proved(places, [(names.get(f.path), f.path) for f in self.fragments])
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

    def __call__(self, item: Item) -> _Slices:
        import numpy as np

        found, repeats = _once(keys_of_rows(read_fragment(self.store, item.fragment, list(self.columns)))[1])
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

    store: Store
    columns: tuple[str, ...]
    suspects: frozenset[int]

    def __call__(self, item: Item) -> list[_Placed]:
        import numpy as np

        table = read_fragment(self.store, item.fragment, list(self.columns))
        at, found = keys_of_rows(table)
        rows = at[np.isin(found, np.array(sorted(self.suspects), np.uint64))][: 2 * MOST_SUSPECTS]
        scalars = [[table.column(name)[row] for name in self.columns] for row in rows.tolist()]
        return [
            (int(row) + 1, tuple(v.as_py() for v in values), tuple(shown(v) for v in values))
            for row, values in zip(rows.tolist(), scalars, strict=True)
        ]


_Placed = tuple[int, tuple[Any, ...], tuple[Json, ...]]
"""A row's number, its values, and those as examples have them."""


def _once(found: np.ndarray) -> tuple[np.ndarray, _Repeats]:
    """The different keys, sorted, and what came more than once."""
    import numpy as np

    different, counts = np.unique(found, return_counts=True)
    return different, _Repeats(len(found) - len(different), tuple(different[counts > 1][:MOST_SUSPECTS].tolist()))


def _proved(places: Sequence[Sequence[_Placed]], files: Sequence[tuple[str | None, str]]) -> tuple[int, list[Json]]:
    """The rows that have values which came before, and the first of them."""
    seen: set[Any] = set()
    figure, examples = 0, []
    for (name, path), part in zip(files, places, strict=True):
        for row, values, told in part:
            if values in seen:
                figure += 1
                value = told[0] if len(told) == 1 else ", ".join(map(str, told))
                # The number of a row in its fragment is not that in the file that it came from.
                examples.append({"file": name or path, "row": None if name else row, "value": value})
            seen.add(values)
    return figure, examples[:NUM_EXAMPLES]
