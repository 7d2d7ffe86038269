"""What two parts of a split have in common: rows of the same content, or the same keys, counted, with examples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.contract.findings import LONGEST_VALUE, NUM_EXAMPLES
from raypipe.data.contract.hashed import keys
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.map import map_fragments
from raypipe.data.parts import PARTS
from raypipe.data.split import columns as rule_columns
from raypipe.data.split import part_of
from raypipe.data.types import value_type

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store

MOST_ROWS = 8_000_000
"""Which the driver adds up at once, with about 55 bytes each; a larger table is read once more for each further so many."""
MISSING = 0x9E3779B97F4A7C15
"""What stands for a null; NaN, whatever its bits, is one value."""


@dataclass(frozen=True)
class Shared:
    """What a later part (validation, test) has in common with an earlier one."""

    earlier: str
    later: str
    num_values: int
    """Different contents that are in both."""
    num_rows: int
    """Rows of the later part whose content is in the earlier one."""
    of_rows: int
    """Rows of the later part."""
    examples: list[Json] = field(default_factory=list)
    """`value` (column -> text), and for each of the two parts `file` and `row`, the first there, counted from 1."""


@dataclass(frozen=True)
class Sought:
    """Where rows are looked at, by which columns."""

    store: Store
    split: Json
    columns: tuple[str, ...]
    nulls: bool
    """Whether a null is content like any other; otherwise a row that has one is left out."""

    def rows(self, fragment: Fragment) -> tuple[pa.Table, np.ndarray, np.ndarray]:
        """The columns, the code of each row's part, and the hash of its content; 3 where it is of no part or left out."""
        import numpy as np

        whole = read_fragment(self.store, fragment, list(dict.fromkeys([*self.columns, *rule_columns(self.split)])))
        parts: Any = part_of(self.split, whole)
        table, codes = whole.select(list(self.columns)), parts.indices.to_numpy().copy()
        if not self.nulls:
            for column in table.columns:
                codes[column.is_null(nan_is_null=True).to_numpy()] = len(PARTS)
        found = np.zeros(table.num_rows, dtype=np.uint64)
        for column in table.columns:
            found = mixed(found * np.uint64(31) + hashed(column))
        return table, codes, found


def shared(sought: Sought, fragments: Sequence[Fragment], inline: bool) -> list[Shared]:
    """For each two parts what they share. Contents are told apart by 64 bits of hash: of n rows two different ones pass for equal with a
    chance of about n^2 / 2^65 (40 million: 1 in 20,000). Examples are proved by their values.

    One read of the columns for each 8 million rows, and one more where something is shared.
    """
    import numpy as np

    num_rounds = max(1, -(-sum(f.num_live for f in fragments) // MOST_ROWS))
    pairs = [(a, b) for a, b in combinations(range(len(PARTS)), 2)]
    figures, common, of_rows = {pair: [0, 0] for pair in pairs}, {pair: np.array([], np.uint64) for pair in pairs}, [0] * len(PARTS)
    for number in range(num_rounds):
        found = _merged(map_fragments(_Contents(sought, number, num_rounds), fragments, inline=inline))
        of_rows = [n + int(counts.sum()) for n, (_, counts) in zip(of_rows, found, strict=True)]
        for a, b in pairs:
            both, _, at = np.intersect1d(found[a][0], found[b][0], assume_unique=True, return_indices=True)
            figures[a, b] = [figures[a, b][0] + len(both), figures[a, b][1] + int(found[b][1][at].sum())]
            common[a, b] = np.concatenate([common[a, b], both[: NUM_EXAMPLES - len(common[a, b])]])
    examples = _examples(sought, fragments, common, inline)
    return [
        Shared(PARTS[a], PARTS[b], num_values, num_rows, of_rows[b], examples[a, b]) for (a, b), (num_values, num_rows) in figures.items()
    ]


def hashed(column: pa.ChunkedArray) -> np.ndarray:
    """uint64 [rows]: equal values have equal hashes."""
    import numpy as np

    found = np.full(len(column), MISSING, dtype=np.uint64)
    values = column.drop_null()
    if pa.types.is_dictionary(values.type):
        values = values.cast(value_type(values.type))
    if pa.types.is_nested(values.type) or _is_binary(values.type):
        made = np.array([_digest(value) for value in values.to_pylist()], dtype=np.uint64)
    else:
        made = keys(values)
        if pa.types.is_floating(values.type):
            made = np.where(np.isnan(values.cast(pa.float64()).to_numpy()), np.uint64(1), made)
    found[column.is_valid().to_numpy()] = made
    return found


def mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014)."""
    import numpy as np

    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class _State:
    """By part: the hashes that are there, sorted, and the rows of each. A class, so that Ray hands the arrays on as they are."""

    parts: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True)
class _Contents:
    """A fragment -> its contents of one round. It travels to a task."""

    sought: Sought
    number: int
    num_rounds: int

    def __call__(self, fragment: Fragment) -> _State:
        import numpy as np

        _, codes, found = self.sought.rows(fragment)
        mine = found % np.uint64(self.num_rounds) == np.uint64(self.number)
        counted = [np.unique(found[mine & (codes == code)], return_counts=True) for code in range(len(PARTS))]
        return _State(tuple((hashes, counts.astype(np.uint32)) for hashes, counts in counted))


@dataclass(frozen=True)
class _Places:
    """A fragment -> of each wanted hash and part the first row: hash, code of the part, row, values as text."""

    sought: Sought
    wanted: Any

    def __call__(self, fragment: Fragment) -> list[tuple[int, int, int, dict[str, str]]]:
        import numpy as np

        table, codes, found = self.sought.rows(fragment)
        at = np.flatnonzero(np.isin(found, self.wanted) & (codes < len(PARTS)))
        first = {(int(found[row]), int(codes[row])): row for row in at[::-1].tolist()}
        values = {row: {name: str(table.column(name)[row].as_py()) for name in table.column_names} for row in first.values()}
        return [(hash, code, row + 1, values[row]) for (hash, code), row in first.items()]


def _merged(states: Sequence[_State]) -> list[tuple[np.ndarray, np.ndarray]]:
    import numpy as np

    merged = []
    for code in range(len(PARTS)):
        hashes = np.concatenate([np.array([], np.uint64), *(state.parts[code][0] for state in states)])
        counts = np.concatenate([np.array([], np.uint32), *(state.parts[code][1] for state in states)])
        order = np.argsort(hashes, kind="stable")
        hashes, counts = hashes[order], counts[order]
        starts = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]]) if len(hashes) else np.array([], np.int64)
        merged.append((hashes[starts], np.add.reduceat(counts, starts, dtype=np.int64) if len(starts) else counts.astype(np.int64)))
    return merged


def _examples(sought: Sought, fragments: Sequence[Fragment], common: dict[Any, np.ndarray], inline: bool) -> dict[Any, list[Json]]:
    import numpy as np

    wanted = np.unique(np.concatenate(list(common.values())))
    if not len(wanted):
        return {pair: [] for pair in common}
    states = map_fragments(_Places(sought, wanted), fragments, inline=inline)
    first: dict[tuple[int, int], tuple[str, int, dict[str, str]]] = {}
    for fragment, places in zip(fragments, states, strict=True):
        for hash, code, row, values in places:
            first.setdefault((hash, code), (fragment.path, row, values))
    return {pair: [e for hash in common[pair].tolist() if (e := _example(first, hash, pair))] for pair in common}


def _example(first: dict[tuple[int, int], tuple[str, int, dict[str, str]]], hash: int, pair: tuple[int, int]) -> Json:
    """None where the values differ: two contents of one hash."""
    (*_, values), (*_, others) = first[hash, pair[0]], first[hash, pair[1]]
    if values != others:
        return None
    shown = {name: text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..." for name, text in values.items()}
    return {"value": shown} | {PARTS[code]: {"file": first[hash, code][0], "row": first[hash, code][1]} for code in pair}


def _is_binary(type: pa.DataType) -> bool:
    is_ = pa.types
    return any(test(type) for test in (is_.is_binary, is_.is_large_binary, is_.is_fixed_size_binary, is_.is_binary_view))


def _digest(value: Any) -> int:
    data = value if isinstance(value, bytes) else repr(value).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
