"""The profile of a table, from those of its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raypipe.core.artifact import Table
from raypipe.core.errors import DataError, nearest
from raypipe.data.statistics.kept import Report, profile_of
from raypipe.data.statistics.profile import Profile
from raypipe.data.table import TableSchema, fragments

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store


def profile_table(
    ledger: Ledger, store: Store, table: Table, *, inline: bool, columns: Sequence[str] | None = None, report: Report | None = None
) -> Profile:
    """Of the rows of one snapshot, which may have no file; see `kept.profile_of`. DataError with the nearest name for a column that is not
    there."""
    schema = TableSchema.from_json(table.schema).arrow
    if missing := [name for name in columns or () if name not in schema.names]:
        raise DataError(f"table {table.name}: has no column {missing[0]!r}.{nearest(missing[0], schema.names)}")
    parts = fragments(ledger, table)
    if not parts:
        return Profile.of(schema.empty_table(), columns)
    return profile_of(store, parts, inline=inline, columns=columns or schema.names, report=report)
