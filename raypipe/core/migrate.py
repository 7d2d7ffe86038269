"""A ledger of an older version brought up to the one that this raypipe reads, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, inspect, select, text

from raypipe.core import schema
from raypipe.core.errors import LedgerError

STEPS: dict[int, Sequence[tuple[str, str]]] = {
    1: (
        ("raypipe_runs", "add column kept text not null default ''"),
        ("raypipe_steps", "add column cost text"),
        ("raypipe_fragments", "add column footer_sha256 text not null default ''"),
    ),
    2: (),
}
"""Version -> what is altered of which table to make the next one of it, on SQLite and PostgreSQL alike. Tables that are new are made by
themselves; one that is not there yet (a catalog is made with the first table) will be made as it is now."""


def migrate(connection: Connection) -> tuple[int, int]:
    """The version before and after. LedgerError where the ledger is of a newer version, or of one that nothing leads on from."""
    before = now = version(connection)
    if before > schema.VERSION:
        raise LedgerError(f"the ledger is of version {before}, newer than version {schema.VERSION}: update raypipe")
    while now < schema.VERSION:
        if now not in STEPS:
            raise LedgerError(f"nothing leads from version {now} of the ledger to version {schema.VERSION}")
        for table, change in STEPS[now]:
            if inspect(connection).has_table(table):
                connection.execute(text(f"alter table {table} {change}"))
        now += 1
    schema.metadata.create_all(connection)
    connection.execute(schema.meta.update().where(schema.meta.c.key == "version").values(value=str(now)))
    return before, now


def version(connection: Connection) -> int:
    """The version that the ledger says it is of."""
    return int(connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == "version")).scalar_one())
