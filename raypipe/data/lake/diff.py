"""What differs between two snapshots of a table: columns, rows and files, statistics, and rows by their key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.names import quoted
from raypipe.data.query import Queried, select
from raypipe.data.types import type_name

if TYPE_CHECKING:
    from raypipe.core.store import Store

NUM_EXAMPLES = 10


@dataclass(frozen=True)
class Side:
    """One of the two snapshots."""

    snapshot: int
    schema: pa.Schema
    fragments: Sequence[Fragment]
    stats: Mapping[str, Mapping[str, Json]]
    """By column: `nulls`, `nans`, `min`, `max`."""

    @property
    def num_rows(self) -> int:
        return sum(fragment.num_live for fragment in self.fragments)


@dataclass(frozen=True)
class ColumnChange:
    """A column that is not in both, or not of one type."""

    column: str
    what: Literal["added", "dropped", "type"]
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class KeyChange:
    """How many keys are in one snapshot alone, or in both with other values, and the first of each, in order."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    examples: dict[str, list[dict[str, Json]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """Of the second snapshot from the first."""

    before: int
    after: int
    num_rows: tuple[int, int]
    num_files: tuple[int, int]
    shared_files: int
    """Files that both have, with the same rows deleted in them."""
    columns: list[ColumnChange]
    statistics: dict[str, dict[str, tuple[Json, Json]]]
    """Column -> figure -> its two values, where they differ."""
    keys: KeyChange | None = None

    def to_json(self) -> dict[str, Json]:
        return asdict(self)


def difference(store: Store, before: Side, after: Side, key: Sequence[str] = ()) -> Difference:
    """By schema, counts and statistics without reading a row; with `key`, by the rows of the files that the two do not share.

    DataError where a key column is not in both, or a key comes twice in one of the snapshots.
    """
    shared = _contents(before) & _contents(after)
    return Difference(
        before=before.snapshot,
        after=after.snapshot,
        num_rows=(before.num_rows, after.num_rows),
        num_files=(len(before.fragments), len(after.fragments)),
        shared_files=len(shared),
        columns=column_changes(before.schema, after.schema),
        statistics=_statistics(before.stats, after.stats),
        keys=_keys(store, before, after, shared, key) if key else None,
    )


def column_changes(before: pa.Schema, after: pa.Schema) -> list[ColumnChange]:
    """In the order of the columns, those that are gone last."""
    found = []
    for column in after:
        if column.name not in before.names:
            found.append(ColumnChange(column.name, "added", after=type_name(column.type)))
        elif before.field(column.name).type != column.type:
            found.append(ColumnChange(column.name, "type", type_name(before.field(column.name).type), type_name(column.type)))
    return found + [ColumnChange(c.name, "dropped", before=type_name(c.type)) for c in before if c.name not in after.names]


def _statistics(before: Mapping[str, Mapping[str, Json]], after: Mapping[str, Mapping[str, Json]]) -> dict[str, dict[str, tuple]]:
    found = {}
    for column in before:
        if column in after and (differing := {k: (v, after[column][k]) for k, v in before[column].items() if after[column][k] != v}):
            found[column] = differing
    return found


def _contents(side: Side) -> set[tuple[str, str]]:
    """Each file's digest with that of the rows deleted in it."""
    return {_content(fragment) for fragment in side.fragments}


def _content(fragment: Fragment) -> tuple[str, str]:
    return fragment.sha256, fragment.deletes.sha256 if fragment.deletes else ""


def _without(side: Side, shared: set[tuple[str, str]]) -> Side:
    return Side(side.snapshot, side.schema, [f for f in side.fragments if _content(f) not in shared], side.stats)


def _keys(store: Store, before: Side, after: Side, shared: set[tuple[str, str]], key: Sequence[str]) -> KeyChange:
    """By SQL over the files that are not shared; that a key is one is seen in all of them."""
    for side in (before, after):
        _refuse_missing(side, key)
        _refuse_doubles(_Sql(store, {"rows": side}), side, key)
    run = _Sql(store, {"before": _without(before, shared), "after": _without(after, shared)})
    names, on = ", ".join(map(quoted, key)), " and ".join(f"b.{quoted(k)} = a.{quoted(k)}" for k in key)
    others = [n for n in before.schema.names if n in after.schema.names and n not in key]
    differs = " or ".join(f"b.{quoted(n)} is distinct from a.{quoted(n)}" for n in others) or "false"
    queries = {
        "added": f"select {names} from after a where not exists (select 1 from before b where {on})",
        "removed": f"select {names} from before b where not exists (select 1 from after a where {on})",
        "changed": f"select {', '.join('a.' + quoted(k) for k in key)} from after a join before b on {on} where {differs}",
    }
    counts = {what: run(f"select count(*) as n from ({text})")[0]["n"] for what, text in queries.items()}
    examples = {w: run(f"select * from ({text}) order by all limit {NUM_EXAMPLES}") for w, text in queries.items() if counts[w]}
    return KeyChange(**counts, examples=examples)


@dataclass(frozen=True)
class _Sql:
    """A SELECT over sides by name -> its rows."""

    store: Store
    sides: Mapping[str, Side]

    def __call__(self, text: str) -> list[dict[str, Json]]:
        rows, _ = select(self.store, text, lambda name: Queried(self.sides[name].schema, self.sides[name].fragments))
        return rows.to_pylist()


def _refuse_missing(side: Side, key: Sequence[str]) -> None:
    missing = [name for name in key if name not in side.schema.names]
    if missing:
        words = f"snapshot {side.snapshot}: there is no column '{missing[0]}' to tell rows by"
        raise DataError(f"{words}.{nearest(missing[0], side.schema.names)}")


def _refuse_doubles(run: _Sql, side: Side, key: Sequence[str]) -> None:
    names = ", ".join(map(quoted, key))
    found = run(f"select {names}, count(*) as n from rows group by {names} having count(*) > 1 order by all limit 1")
    if found:
        values = ", ".join(f"{k} {found[0][k]!r}" for k in key)
        raise DataError(f"snapshot {side.snapshot}: the key {values} comes {found[0]['n']} times, so that rows cannot be told apart by it")
