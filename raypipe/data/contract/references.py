"""The columns of other tables that a contract references, found and read once, before rows are judged against them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.core.ledger import Ledger
from raypipe.core.step import Look, Work
from raypipe.core.store import Store
from raypipe.data.contract.against import Against, Values
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.hashed import keys
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.lake import schemas
from raypipe.data.lake import snapshot as snapshots_
from raypipe.data.lake.snapshot import Snapshot
from raypipe.data.map import map_fragments
from raypipe.data.rows import Item
from raypipe.data.types import is_text, parse_type, type_name, value_type


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
