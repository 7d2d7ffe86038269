"""What a contract is judged against beside the rows, as it travels to the tasks: the values of other tables, as sorted keys in files that
a task reads one by one. `references.py` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.contract.checks import plain
from raypipe.data.contract.hashed import keys

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store

HELD_FILES = 32
"""Files of keys that a process holds, of at most 4 MB each."""


@dataclass(frozen=True)
class Values:
    """The values of a column of a snapshot."""

    table: str
    snapshot: int
    column: str
    paths: tuple[str, ...] = ()
    """Files in the store, each the sorted different keys of a fragment."""

    @property
    def name(self) -> str:
        return f"{self.table}@{self.snapshot}.{self.column}"


@dataclass(frozen=True)
class Against:
    """It travels to the tasks."""

    store: Store | None = None
    values: Mapping[str, Values] = field(default_factory=dict)
    """Column of the contract -> what it references."""

    def absent(self, name: str, column: pa.ChunkedArray) -> np.ndarray:
        """The places of values that the other table has not, int64, ascending. What is missing here is not sought there.

        A value that is not there passes for one that is with a chance of its number of values in 2^64; of numbers and times never.
        """
        import numpy as np

        coded: Any = plain(column).combine_chunks().dictionary_encode()
        sought = pa.chunked_array([coded.dictionary])
        wanted, gone = keys(sought), ~sought.is_null(nan_is_null=True).to_numpy()
        for path in self.values[name].paths:
            if gone.any():
                gone[gone] = ~_is_in(wanted[gone], _held(self.store, path))
        if not gone.any():
            return np.zeros(0, dtype=np.int64)
        codes = coded.indices.fill_null(-1).to_numpy()
        return np.flatnonzero(np.isin(codes, np.flatnonzero(gone)))

    def to_json(self) -> dict[str, Json]:
        """Column -> the snapshot and column that it was judged against."""
        return {name: values.name for name, values in self.values.items()}


NOTHING = Against()


@lru_cache(maxsize=HELD_FILES)
def _held(store: Store, path: str) -> np.ndarray:
    import numpy as np

    return np.frombuffer(store.read(path), "<u8")


def _is_in(wanted: np.ndarray, there: np.ndarray) -> np.ndarray:
    import numpy as np

    if not len(there):
        return np.zeros(len(wanted), dtype=bool)
    at = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    return there[at] == wanted
