"""Values that may not come twice in a whole table: found by ranges of their keys, so that memory is bounded whatever the table's size."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.artifact import Json
from raypipe.core.step import Work
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.findings import NUM_EXAMPLES, finding, shown
from raypipe.data.contract.hashed import keys_of_rows
from raypipe.data.contract.keys_kept import MOST_SUSPECTS, Repeats, keys_of, once
from raypipe.data.contract.origin import Numbered, OfTable, Origin
from raypipe.data.map import map_fragments
from raypipe.data.where.where import bound_value

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from raypipe.core.store import Store

RANGE_ROWS = 4_000_000
"""Rows whose keys a task holds at a time, with about 24 bytes each."""


@dataclass(frozen=True)
class Known:
    """What is known of a table of which the first fragments were there before: their keys are kept beside them."""

    num: int
    """So many of the origins."""
    unique: frozenset[str]
    """Sets of columns, as findings name them, of which no values come twice in those."""


def repeated(work: Work, contract: Contract, origins: Sequence[Origin], num_rows: int, known: Known | None = None) -> list[dict[str, Json]]:
    """A finding for each set of columns that the contract wants unique, over all the rows of a table.

    A first pass writes the sorted 64-bit keys of each fragment, a second one goes through them range by range; what comes twice is proved
    by its values, so that a table is never refused for two values that have one key. A row that lacks a value is not counted. Of fragments
    that are `known` only those are asked whose bounds meet those of a new one, and their kept keys are looked at, not their rows.
    """
    made = []
    for number, columns in enumerate(contract.unique_sets):
        search = _Search(work, columns, origins, num_rows, f"{work.path}/unique-{number}", keeps=known is not None)
        if known is not None and ", ".join(columns) in known.unique and _num_rows(origins[known.num :]) <= RANGE_ROWS:
            found = search.found_among_new(known.num, contract.types())
        else:
            found = search.found()
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
    keeps: bool
    """Whether keys are kept beside fragments."""

    def found(self) -> dict[str, Json]:
        store, inline = self.work.store, self.work.inline
        num_ranges = max(1, -(-self.num_rows // RANGE_ROWS))
        items = [Numbered(n, origin) for n, origin in enumerate(self.origins)]
        slices = map_fragments(_Keys(store, self.columns, self.path, num_ranges, self.keeps), items, inline=inline)
        ranges = [_Range(n, tuple(s.of(n) for s in slices)) for n in range(num_ranges)]
        states = map_fragments(_Twice(store), ranges, inline=inline or num_ranges == 1)
        for part in slices:
            if not part.is_kept:
                store.remove(part.path)
        figure = sum(part.repeats.num for part in slices) + sum(repeats.num for repeats in states)
        if not figure:
            return {"figure": 0, "examples": []}
        suspects = itertools.chain(*(part.repeats.keys for part in slices), *(repeats.keys for repeats in states))
        return self._proved(figure, suspects, self.origins)

    def found_among_new(self, num_known: int, types: Mapping[str, pa.DataType]) -> dict[str, Json]:
        """No value comes twice among the first origins, whose rows are read only where one of their keys comes again."""
        import numpy as np

        store, inline = self.work.store, self.work.inline
        there, new = self.origins[:num_known], self.origins[num_known:]
        items = [Numbered(n, origin) for n, origin in enumerate(new)]
        slices = map_fragments(_Keys(store, self.columns, self.path, 1, self.keeps), items, inline=inline)
        keys, among = once(np.concatenate([np.zeros(0, np.uint64), *(_read(store, *part.of(0)) for part in slices)]))
        store.write(f"{self.path}.keys", keys.astype("<u8").tobytes())
        asked = [origin for origin in there if self._may_meet(origin, new, types)]
        kernel = _Again(store, self.columns, (f"{self.path}.keys", 0, len(keys)))
        again = map_fragments(kernel, [Numbered(n, origin) for n, origin in enumerate(asked)], inline=inline)
        store.remove(f"{self.path}.keys")
        figure = among.num + sum(part.repeats.num for part in slices) + sum(repeats.num for repeats in again)
        if not figure:
            return {"figure": 0, "examples": []}
        suspects = itertools.chain(*(part.repeats.keys for part in slices), among.keys, *(repeats.keys for repeats in again))
        return self._proved(figure, suspects, [*(o for o, repeats in zip(asked, again, strict=True) if repeats.num), *new])

    def _proved(self, figure: int, suspects: Iterable[int], origins: Sequence[Origin]) -> dict[str, Json]:
        items = [Numbered(n, origin) for n, origin in enumerate(origins)]
        places = map_fragments(_Values(self.columns, frozenset(suspects)), items, inline=self.work.inline)
        proved, examples = _proved(places, origins)
        return {"figure": proved if figure <= MOST_SUSPECTS else figure, "examples": examples}

    def _may_meet(self, origin: Origin, new: Sequence[Origin], types: Mapping[str, pa.DataType]) -> bool:
        """Whether a value of a fragment may be one of a new one, as far as their bounds tell."""
        return any(all(_overlap(origin, other, name, types[name]) for name in self.columns) for other in new)


@dataclass(frozen=True)
class _Slices:
    """A file of the sorted different keys of a fragment, uint64 little-endian, and where in it each range ends."""

    path: str
    start: int
    """The byte where the first one lies."""
    ends: tuple[int, ...]
    repeats: Repeats
    """Within the fragment: a value that all rows have takes no more room than one."""
    is_kept: bool

    def of(self, number: int) -> tuple[str, int, int]:
        begin, end = self.ends[number - 1] if number else 0, self.ends[number]
        return self.path, self.start + begin * 8, end - begin


@dataclass(frozen=True)
class _Keys:
    """A fragment -> its keys, in a file. It travels to a task."""

    store: Store
    columns: tuple[str, ...]
    path: str
    num_ranges: int
    keeps: bool

    def __call__(self, item: Numbered) -> _Slices:
        if self.keeps and isinstance(item.origin, OfTable):
            kept = keys_of(self.store, item.origin.fragment, self.columns)
            return _Slices(kept.path, kept.start, self._ends(kept.keys), kept.repeats, True)
        import numpy as np

        pieces = [keys_of_rows(rows)[1] for rows, _ in item.origin.batches(self.columns)]
        found, repeats = once(np.concatenate([np.zeros(0, np.uint64), *pieces]))
        path = f"{self.path}-{item.number:05d}.keys"
        self.store.write(path, found.astype("<u8").tobytes())
        return _Slices(path, 0, self._ends(found), repeats, False)

    def _ends(self, found: np.ndarray) -> tuple[int, ...]:
        import numpy as np

        bounds = np.array([(number * 2**64) // self.num_ranges for number in range(1, self.num_ranges)], dtype=np.uint64)
        return (*np.searchsorted(found, bounds).tolist(), len(found))


@dataclass(frozen=True)
class _Again:
    """A fragment -> which of the new keys it has. It travels to a task."""

    store: Store
    columns: tuple[str, ...]
    new: tuple[str, int, int]

    def __call__(self, item: Numbered) -> Repeats:
        import numpy as np

        assert isinstance(item.origin, OfTable), "only what is in the table is known"
        there = keys_of(self.store, item.origin.fragment, self.columns).keys
        new = _read(self.store, *self.new)
        both = new[there[np.searchsorted(there, new).clip(max=len(there) - 1)] == new] if len(there) else new[:0]
        return Repeats(len(both), tuple(both[:MOST_SUSPECTS].tolist()))


@dataclass(frozen=True)
class _Range:
    number: int
    slices: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class _Twice:
    """A range of keys -> those that come more than once. It travels to a task."""

    store: Store

    def __call__(self, item: _Range) -> Repeats:
        import numpy as np

        return once(np.concatenate([np.zeros(0, np.uint64), *(_read(self.store, *part) for part in item.slices)]))[1]


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


def _read(store: Store, path: str, start: int, num: int) -> np.ndarray:
    import numpy as np

    filesystem, full = store.filesystem(path)
    with filesystem.open_input_file(full) as file:
        return np.frombuffer(file.read_at(num * 8, start), "<u8")


def _num_rows(origins: Sequence[Origin]) -> int:
    return sum(origin.fragment.num_rows for origin in origins if isinstance(origin, OfTable))


def _overlap(one: Origin, other: Origin, name: str, type_: pa.DataType) -> bool:
    assert isinstance(one, OfTable), "it is in the table"
    assert isinstance(other, OfTable), "it is to be"
    ends = [origin.fragment.stats.get(name, {}).get(end) for origin in (one, other) for end in ("min", "max")]
    if None in ends or one.fragment.as_now is not None:
        return True
    low, high, other_low, other_high = (bound_value(end, type_) for end in ends)
    return low <= other_high and other_low <= high


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
