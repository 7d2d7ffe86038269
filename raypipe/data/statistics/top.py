"""The most frequent values with their counts: all of them while they are few, and beyond within bounds that are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NUM_KEPT = 1_024
"""Values that are told apart: up to so many all are, with exact counts."""


@dataclass(frozen=True, eq=False)
class Top:
    """Of one column, or of a union: values told apart by their hashes, the most frequent first.

    As the Space Saving sketches do when they are merged (M. Cafaro, M. Pulimeno and P. Tempesta, "A parallel space saving algorithm for
    frequent items and the Hurwitz zeta distribution", 2016), but with a lower bound too: what a value was counted, and what it may have
    been where it was not among those kept. The bounds hold always, for any data.
    """

    hashes: np.ndarray
    """uint64."""
    low: np.ndarray
    """int64: at least so often."""
    high: np.ndarray
    """int64: at most so often; the same as `low` where nothing was left out."""
    values: list[Any]
    """As JSON has them: numbers, text (the first 200 characters), times as whole numbers of their unit."""
    rest: int = 0
    """A value that is not here is there at most so often; 0: all are here."""

    @classmethod
    def merged(cls, parts: Sequence[Top]) -> Top:
        import numpy as np

        if len(parts) == 1:
            return parts[0]
        hashes, first, places = np.unique(np.concatenate([p.hashes for p in parts]), return_index=True, return_inverse=True)
        rest = sum(p.rest for p in parts)
        low = np.zeros(len(hashes), np.int64)
        np.add.at(low, places, np.concatenate([p.low for p in parts]))
        # At most what it was where it is kept, and elsewhere what a value that is not kept can be.
        high = np.full(len(hashes), rest, np.int64)
        np.add.at(high, places, np.concatenate([p.high - p.rest for p in parts]))
        values = [value for part in parts for value in part.values]
        return cls(hashes, low, high, [values[i] for i in first.tolist()], rest).kept()

    def kept(self, num_kept: int = NUM_KEPT) -> Top:
        """The most frequent ones; what is left out bounds what is not there."""
        import numpy as np

        order = np.lexsort((self.hashes, -self.low, -self.high))
        rest = self.rest
        if len(order) > num_kept:
            rest = max(rest, int(self.high[order[num_kept]]))
            order = order[:num_kept]
            order = order[self.high[order] > rest]
        order = order[np.lexsort((self.hashes[order], -self.high[order], -self.low[order]))]
        return Top(self.hashes[order], self.low[order], self.high[order], [self.values[i] for i in order.tolist()], rest)

    def counts_of(self, hashes: np.ndarray) -> np.ndarray:
        """int64 [hashes]: how often each of them was counted, its lower bound; 0 where it is not here."""
        import numpy as np

        order = np.argsort(self.hashes)
        known = self.hashes[order]
        if not len(known):
            return np.zeros(len(hashes), np.int64)
        places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
        return np.where(known[places] == hashes, self.low[order][places], 0)

    @property
    def is_complete(self) -> bool:
        """Whether every value is here, with its exact count."""
        return not self.rest


def most_frequent(counts: np.ndarray, num_kept: int = NUM_KEPT) -> tuple[np.ndarray, int]:
    """Places of the most frequent ones, and how often one that is not among them is there at most. Where several are as frequent and not
    all have room, none of them is kept: of a column without a value that comes twice nothing is."""
    import numpy as np

    if len(counts) <= num_kept:
        return np.arange(len(counts)), 0
    if counts.max() == 1:
        return np.zeros(0, np.int64), 1
    often = np.flatnonzero(counts > 1)
    if len(often) <= num_kept:
        return often, 1
    rest = int(np.partition(counts[often], -num_kept - 1)[-num_kept - 1])
    return often[counts[often] > rest], rest
