"""What retention has released: the record stays, with digest, figures and parents, and the audit trail says by whom, when and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, update

from raypipe.core import schema
from raypipe.core.artifact import Artifact, Json
from raypipe.core.errors import StoreError
from raypipe.core.runs import now_utc

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store

WHAT = "released"
"""The entry of the audit trail."""
MANY = 500


@dataclass(frozen=True)
class Released:
    """Who released an artifact, and under which rule."""

    at: str
    """UTC, ISO 8601."""
    who: str
    rule: str
    """The settings that it did not meet: `keep_last=5 keep_for=30d`."""

    def __str__(self) -> str:
        return f"released by retention on {self.at[:10]} under {self.rule}"


def release(ledger: Ledger, connection: Connection, ids: Collection[str], rule: str, num_bytes: int) -> int:
    """Takes artifacts out of what a plan finds, in the caller's transaction; how many of them were there still."""
    table, at, count = schema.artifacts, now_utc(), 0
    for some in _some(sorted(ids)):
        live = (table.c.project == ledger.project, table.c.id.in_(some), table.c.superseded_at.is_(None))
        count += connection.execute(update(table).where(*live).values(superseded_at=at)).rowcount
        ledger.note(connection, WHAT, {"rule": rule, "artifacts": some, "of": len(ids), "bytes": num_bytes})
    return count


def released(connection: Connection, project: str) -> dict[str, Released]:
    """Every artifact that retention has released, by id."""
    e = schema.events.c
    query = select(e.at, e.who, e.detail).where(e.project == project, e.what == WHAT).order_by(e.number)
    return {id: Released(row.at, row.who, row.detail["rule"]) for row in connection.execute(query) for id in row.detail["artifacts"]}


def fate(ledger: Ledger, store: Store, artifacts: Iterable[Artifact]) -> dict[str, str]:
    """By id, of those that retention has released: a sentence that says when, why, and whether the bytes are gone."""
    with ledger.reading() as connection:
        gone = released(connection, ledger.project)
    return {a.id: _sentence(a, gone[a.id], store) for a in artifacts if a.id in gone}


def require(ledger: Ledger, store: Store, artifact: Artifact, what: str) -> None:
    """StoreError that says so where retention has removed the bytes of what is about to be read."""
    if all(store.holds(file) for file in artifact.files):
        return
    if told := fate(ledger, store, [artifact]).get(artifact.id):
        raise StoreError(f"{what}: {told}. Its record is kept: run its step again, or `raypipe reproduce` for a registered model.")


def of(connection: Connection, project: str, artifact_id: str) -> Released | None:
    """Who released that artifact; None where it is live, or was superseded by another one."""
    table = schema.artifacts.c
    where = (table.project == project, table.id == artifact_id, table.superseded_at.is_not(None))
    if connection.execute(select(table.id).where(*where)).one_or_none() is None:
        return None
    return released(connection, project).get(artifact_id)


def _sentence(artifact: Artifact, released: Released, store: Store) -> str:
    if artifact.files and all(store.holds(file) for file in artifact.files):
        return f"{released}; its bytes are still there, and go after the grace period"
    return f"its bytes were removed by retention on {released.at[:10]} under {released.rule}" if artifact.files else str(released)


def _some(ids: list[str]) -> Iterator[Json]:
    return (ids[start : start + MANY] for start in range(0, len(ids), MANY))
