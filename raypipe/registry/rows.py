"""The registry's rows as dataclasses: read, and inserted where no other process was first."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.exc import IntegrityError

from raypipe.core.runs import who

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger

R = TypeVar("R")

BY_RUN = "run "
"""How the mover's name begins where a run did it; no token and no user of an operating system has a blank in its name."""


def mover(run: str) -> str:
    """Who does it: the run, or without one the person."""
    return f"{BY_RUN}{run}" if run else who()


def mine(table: Table, ledger: Ledger, **key: Any) -> tuple[Any, ...]:
    """The condition for the rows of this project with that key."""
    return (table.c.project == ledger.project, *(table.c[column] == value for column, value in key.items()))


def read(connection: Connection, kind: type[R], table: Table, *where: Any, lock: bool = False) -> list[R]:
    """Rows in the order of their key; with `lock` they stay as they are until the transaction ends (SQLite's writers are alone anyway)."""
    query = select(table).where(*where).order_by(*table.primary_key.columns)
    columns = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    found = connection.execute(query.with_for_update() if lock else query).mappings()
    return [kind(**{name: row[name] for name in columns}) for row in found]


def insert_once(connection: Connection, table: Table, ledger: Ledger, row: Any) -> bool:
    """False where a row of that key is there: on PostgreSQL it waits for the other process's commit, to know."""
    try:
        with connection.begin_nested():
            connection.execute(insert(table).values(project=ledger.project, **vars(row)))
    except IntegrityError:
        return False
    return True
