"""What a contract is judged against beside the rows: the values of other tables, as sorted keys in files that a task reads one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.core.ledger import Ledger
from raypipe.core.step import Look, Work
from raypipe.data.contract.checks import plain
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.hashed import keys
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.lake import schemas
from raypipe.data.lake import snapshot as snapshots_
from raypipe.data.lake.snapshot import Snapshot
from raypipe.data.map import map_fragments
from raypipe.data.rows import Item
from raypipe.data.types import is_text, type_name, value_type

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


def against(work: Work, contract: Contract, tables: Store | None = None) -> Against:
    """The columns that the contract references, read once. DataError with every one that is not there or of another type.
    `tables`: where the tables lie, if not where the work writes."""
    found, problems = {}, []
    for name, column in contract.columns.items():
        if column.references is None:
            continue
        try:
            found[name] = _sought(work.ledger, name, column.type, column.references.table, column.references.column or name)
        except DataError as error:
            problems.append(f"column '{name}' references {column.references.table}: {error}")
    if problems:
        raise DataError("\n".join(problems))
    made = {}
    for number, (name, (values, parts)) in enumerate(found.items()):
        kernel = _Keys(work.store, tables or work.store, f"{work.path}/references/{number}", values.column)
        paths = map_fragments(kernel, [Item(n, part) for n, part in enumerate(parts)], inline=work.inline or len(parts) == 1)
        made[name] = replace(values, paths=tuple(paths))
    return Against(work.store, made)


def observed(look: Look, contract: Contract) -> dict[str, Json]:
    """What the tables beside it that it is judged against are now: table -> digest of its content, None where there is none yet."""
    names = {c.references.table for c in contract.columns.values() if c.references}
    names |= {c.distance.against for c in contract.columns.values() if c.distance}
    return {name: _chain(look.ledger, name) for name in sorted(names)}


def snapshot_of(ledger: Ledger, spec: str) -> tuple[Snapshot, pa.Schema, list[Fragment]]:
    """NAME, NAME@SNAPSHOT, NAME@TAG or NAME@TIME, with its columns and files. DataError that says what there is."""
    name, _, at = spec.partition("@")
    with ledger.reading() as connection:
        found = snapshots_.at(connection, ledger.project, name, at or None)
        return found, schemas.of(connection, found), snapshots_.data_files(connection, found)


def _chain(ledger: Ledger, spec: str) -> str | None:
    try:
        return snapshot_of(ledger, spec)[0].chain
    except DataError:
        return None


def _sought(ledger: Ledger, name: str, type: str, table: str, column: str) -> tuple[Values, list[Fragment]]:
    from raypipe.data.types import parse_type

    snapshot, columns, parts = snapshot_of(ledger, table)
    if column not in columns.names:
        raise DataError(f"it has no column '{column}'.{nearest(column, columns.names)}")
    mine, other = value_type(parse_type(type)), value_type(columns.field(column).type)
    if _kind(mine) != _kind(other):
        raise DataError(f"'{column}' is {type_name(other)} there, the contract says {type_name(mine)}")
    return Values(snapshot.name, snapshot.id, column), parts


def _kind(type: pa.DataType) -> str:
    """Types whose equal values have equal keys."""
    is_ = pa.types
    if is_.is_integer(type) or is_.is_floating(type):
        return "integer" if is_.is_integer(type) else "float"
    return "text" if is_text(type) or is_.is_string_view(type) else str(type)


@dataclass(frozen=True)
class _Keys:
    """A fragment -> the path of the sorted different keys of its column. It travels to a task."""

    store: Store
    tables: Store
    path: str
    column: str

    def __call__(self, item: Item) -> str:
        import numpy as np

        found = np.unique(keys(read_fragment(self.tables, item.fragment, [self.column]).column(self.column)))
        path = f"{self.path}-{item.number:05d}.keys"
        self.store.write(path, found.astype("<u8").tobytes())
        return path


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
