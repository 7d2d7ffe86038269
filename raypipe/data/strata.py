"""The cuts of a stratified split: for each value of a column the two hashes that give each part its share of just that value's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.parts import hashes, words

if TYPE_CHECKING:
    import numpy as np

BITS = 12
"""A first pass counts hashes by so many of their leading bits, a second one keeps those in the bins of the cuts."""


def cuts(rule: Json, pieces: Callable[[], Iterator[pa.Table]]) -> dict[str, Json]:
    """Value of `within` -> the two cuts, each 16 hexadecimal digits, for rows without nulls in the rule's columns.

    Of the n rows of a value let h_0 <= h_1 <= ... be their hashes, and r(x) = floor(x + 1/2), the shares being the decimals that are
    written. The first cut is h_t with t = r(n * test), the second h_v with v = min(t + r(n * validation), n - 1), and t is at most v. So t
    rows are for testing, v - t for validation and the others, at least one, for training: exactly where each key is one row of a value;
    where it is several, a part ends before the key that crosses its cut.

    Exact for the rows that there were. When data grows the cuts are made anew from all of it and move, the less the more rows there are: a
    growth of n rows by the share g moves about sqrt(n * g * p * (1 - p)) rows from one side of a cut at the share p to the other.

    Reads the pieces twice; 32 kB for each value, and the hashes of two bins in 4,096.
    """
    import numpy as np

    counted: dict[str, np.ndarray] = {}
    for value, found in _found(rule, pieces()):
        counted[value] = counted.get(value, 0) + np.bincount(found >> np.uint64(64 - BITS), minlength=2**BITS)
    ranks = {value: _ranks(rule, int(bins.sum())) for value, bins in counted.items()}
    ends = {value: np.cumsum(bins) for value, bins in counted.items()}
    wanted = {value: [int(np.searchsorted(ends[value], rank, side="right")) for rank in ranks[value]] for value in ranks}
    kept: dict[str, list[Any]] = {value: [] for value in wanted}
    for value, found in _found(rule, pieces()):
        kept[value].append(found[np.isin(found >> np.uint64(64 - BITS), wanted[value])])
    return {value: [f"{cut:016x}" for cut in _at(ranks[value], wanted[value], ends[value], np.concatenate(kept[value]))] for value in kept}


def _found(rule: Json, pieces: Iterator[pa.Table]) -> Iterator[tuple[str, np.ndarray]]:
    """Of each piece, value by value, the hashes of its rows."""
    for piece in pieces:
        texts: Any = words(rule, rule["within"], piece.column(rule["within"])).combine_chunks()
        encoded = texts.dictionary_encode()
        found, codes = hashes(rule, piece), encoded.indices.to_numpy()
        for number, value in enumerate(encoded.dictionary.to_pylist()):
            yield value, found[codes == number]


def _ranks(rule: Json, num_rows: int) -> tuple[int, int]:
    test, validation = (int(Fraction(str(rule[name])) * num_rows + Fraction(1, 2)) for name in ("test", "validation"))
    last = min(test + validation, num_rows - 1)
    return min(test, last), last


def _at(ranks: tuple[int, int], bins: list[int], ends: np.ndarray, found: np.ndarray) -> Iterator[int]:
    """The hash at each rank: its place among those of its bin."""
    import numpy as np

    for rank, bin in zip(ranks, bins, strict=True):
        before = int(ends[bin - 1]) if bin else 0
        yield int(np.sort(found[found >> np.uint64(64 - BITS) == np.uint64(bin)])[rank - before])
