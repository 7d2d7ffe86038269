"""Tags: names of a table's snapshots. What a tag names is kept until the tag is removed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select, update

from raypipe.core.errors import DataError, nearest
from raypipe.core.runs import now_utc, who
from raypipe.data.lake import catalog
from raypipe.data.lake.snapshot import find, moment

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Tag:
    """A name of a snapshot."""

    name: str
    table: str
    snapshot: int
    who: str
    at: str
    """UTC, ISO 8601: when it was set."""


def tags(ledger: Ledger, table: str | None = None) -> list[Tag]:
    """Those of a table, or of all of the project's, by table and name."""
    with ledger.reading() as connection:
        return _all(connection, ledger.project, table)


def make(ledger: Ledger, table: str, tag: str, snapshot: int, *, force: bool = False) -> Tag:
    """Names a snapshot. DataError where the name cannot be one, the snapshot is not there, or, without `force`, it names another one."""
    if not _NAME.fullmatch(tag) or moment(tag) is not None:
        raise DataError(f"tag {tag!r}: a tag is of letters, digits, `.`, `_` and `-`, begins with a letter or `_`, and is no time")
    made = Tag(tag, table, snapshot, who(), now_utc())
    with ledger.writing() as connection:
        catalog.lock(connection)
        find(connection, ledger.project, table, snapshot)
        there = next((t for t in _all(connection, ledger.project, table) if t.name == tag), None)
        if there and there.snapshot == snapshot:
            return there
        if there and not force:
            since = f"since {there.at}, by {there.who}"
            raise DataError(f"tag {tag!r} of table {table} names snapshot {there.snapshot} {since}; --force moves it to {snapshot}")
        values = {"snapshot_id": snapshot, "who": made.who, "at": made.at}
        if there:
            connection.execute(update(catalog.tags).where(*_is(ledger.project, table, tag)).values(**values))
        else:
            connection.execute(insert(catalog.tags).values(project=ledger.project, name=table, tag=tag, **values))
        was = {"was": there.snapshot} if there else {}
        ledger.note(connection, "tagged", {"table": table, "tag": tag, "snapshot": snapshot, **was})
    return made


def remove(ledger: Ledger, table: str, tag: str) -> Tag:
    """Takes the name away: what it named may expire. DataError with the nearest name where there is no such tag."""
    with ledger.writing() as connection:
        there = {t.name: t for t in _all(connection, ledger.project, table)}
        if tag not in there:
            raise DataError(f"table {table}: has no tag {tag!r}.{nearest(tag, there)}")
        connection.execute(delete(catalog.tags).where(*_is(ledger.project, table, tag)))
        ledger.note(connection, "untagged", {"table": table, "tag": tag, "snapshot": there[tag].snapshot})
    return there[tag]


def _all(connection: Connection, project: str, table: str | None) -> list[Tag]:
    if not catalog.exists(connection):
        return []
    t = catalog.tags.c
    query = select(catalog.tags).where(t.project == project).order_by(t.name, t.tag)
    rows = connection.execute(query if table is None else query.where(t.name == table))
    return [Tag(row.tag, row.name, row.snapshot_id, row.who, row.at) for row in rows]


def _is(project: str, table: str, tag: str) -> tuple[Any, ...]:
    t = catalog.tags.c
    return t.project == project, t.name == table, t.tag == tag
