"""A profile: what is known of every column of some rows; two of them merge into that of their union."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raypipe.core.errors import DataError, nearest
from raypipe.data.statistics.column import ColumnProfile
from raypipe.data.statistics.measure import measured


@dataclass(frozen=True)
class Profile:
    """Of a fragment, a snapshot, or any union of rows."""

    num_rows: int
    columns: dict[str, ColumnProfile]
    """By name, in the order of the table."""

    @classmethod
    def of(cls, table: pa.Table, columns: Sequence[str] | None = None) -> Profile:
        """Of rows in memory, by one thread: about 25 ns a number and 60 ns a text on a current server core."""
        names = table.column_names if columns is None else columns
        return cls(table.num_rows, {name: measured(name, table.column(name)) for name in names})

    def __getitem__(self, name: str) -> ColumnProfile:
        if name not in self.columns:
            raise DataError(f"the profile has no column {name!r}.{nearest(name, self.columns)}")
        return self.columns[name]


def merge(profiles: Iterable[Profile]) -> Profile:
    """The profile of all their rows together. DataError where their columns differ; of none of them, a profile of no rows."""
    parts = list(profiles)
    if not parts:
        return Profile(0, {})
    names = list(parts[0].columns)
    for part in parts:
        if set(part.columns) != set(names):
            other = sorted(set(part.columns) ^ set(names))
            raise DataError(f"profiles of different columns do not merge: only one of them has {', '.join(map(repr, other))}")
    return Profile(sum(p.num_rows for p in parts), {name: ColumnProfile.merged([p.columns[name] for p in parts]) for name in names})
