"""The desired state of endpoints: which version each should serve, with which settings. `raypipe serve` follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, update

from raypipe.core import schema
from raypipe.core.artifact import Json
from raypipe.core.canonical import canonical
from raypipe.core.runs import now_utc
from raypipe.registry.rows import BY_RUN, insert_once, mine, mover, read
from raypipe.registry.versions import require_version

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger


@dataclass(frozen=True)
class EndpointRow:
    """What one endpoint should serve."""

    name: str
    """The model's name, which is the endpoint's."""
    version: int
    settings: Json
    """Replicas, CPUs, limits: as JSON, for the room that serves."""
    rev: int
    """How often it was set."""
    set_at: str
    """UTC, ISO 8601."""
    set_by: str
    """A run, or the person who did it."""

    @property
    def by_run(self) -> bool:
        """Whether a run set it, and not a person."""
        return self.set_by.startswith(BY_RUN)


def set_endpoint(
    connection: Connection, ledger: Ledger, name: str, version: int, settings: Json, *, run: str = "", reason: str = ""
) -> EndpointRow:
    """Records what an endpoint should serve, in the caller's transaction, with who, from what to what, and why.

    `run`: the run that does it; without one it is a person. A state that is recorded already is left as it is, its `rev` and setter too.
    ConfigError where there is no such version.
    """
    require_version(connection, ledger, name, version)
    table, key = schema.endpoints, mine(schema.endpoints, ledger, name=name)
    while True:
        before = next(iter(read(connection, EndpointRow, table, *key, lock=True)), None)
        if before is not None and _same(before, version, settings):
            return before
        row = EndpointRow(name, version, settings, before.rev + 1 if before else 1, now_utc(), mover(run))
        if before is not None:
            connection.execute(update(table).where(*key).values(**vars(row)))
        elif not insert_once(connection, table, ledger, row):
            continue
        was = {"version": before.version, "settings": before.settings} if before else None
        change = {"endpoint": name, "from": was, "to": {"version": version, "settings": settings}}
        ledger.note(connection, "endpoint set", change | {"rev": row.rev, "run": run, "reason": reason})
        return row


def endpoint(ledger: Ledger, name: str) -> EndpointRow | None:
    """What one endpoint should serve; None where nothing was ever deployed under that name."""
    return next((row for row in endpoints(ledger) if row.name == name), None)


def endpoints(ledger: Ledger) -> list[EndpointRow]:
    """All endpoints of the project, by name."""
    with ledger.reading() as connection:
        return read(connection, EndpointRow, schema.endpoints, *mine(schema.endpoints, ledger))


def _same(before: EndpointRow, version: int, settings: Json) -> bool:
    return before.version == version and canonical(before.settings) == canonical(settings)
