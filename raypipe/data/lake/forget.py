"""What is forgotten of old runs: the lines that they said, and the code and environment that they ran with. The runs themselves stay."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Text, delete, func, select, text, type_coerce

from raypipe.core import schema
from raypipe.core.retention import Retention
from raypipe.core.units import seconds
from raypipe.data.lake.alive import alive
from raypipe.data.lake.needed import chunks, needed

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger

WHAT = "forgotten"
"""The entry of the audit trail."""


@dataclass(frozen=True)
class Old:
    """What of runs is older than the policy keeps."""

    runs: tuple[str, ...] = ()
    """Those whose lines and documents go."""
    num_kept: int = 0
    """Runs of which all stays."""
    num_lines: int = 0
    num_log_bytes: int = 0
    documents: tuple[str, ...] = ()
    """Digests of what no other run ran with."""
    num_document_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.num_lines or self.documents)


def old(connection: Connection, ledger: Ledger, policy: Retention, now: datetime) -> Old:
    """As of now, in the caller's transaction. Runs that made what is needed (a registered model, the newest of a step) are none of them."""
    rows, kept = _runs(connection, ledger, policy, now)
    if not rows:
        return Old(num_kept=len(kept))
    ids = [row.id for row in rows]
    lines, log_bytes = _lines(connection, ledger.project, ids)
    still = _documents(connection, ledger.project, {row.kept for row in kept})
    gone = sorted(_documents(connection, ledger.project, {row.kept for row in rows}) - still)
    return Old(tuple(ids), len(kept), lines, log_bytes, tuple(gone), _size(connection, ledger.project, gone))


def forget(ledger: Ledger, policy: Retention, now: datetime | None = None) -> Old:
    """Takes them out of the ledger; in steps, so that others need not wait for long."""
    at = now or datetime.now(UTC)
    with ledger.reading() as connection:
        found = old(connection, ledger, policy, at)
    if found.is_empty:
        return found
    logs = schema.logs
    for some in chunks(found.runs if found.num_lines else ()):
        with ledger.writing() as connection:
            connection.execute(delete(logs).where(logs.c.project == ledger.project, logs.c.run.in_(some)))
    with ledger.writing() as connection:
        if connection.dialect.name == "postgresql":  # whoever comes to rely on a document locks its row, and waits here
            connection.execute(text("lock table raypipe_documents in exclusive mode"))
        again = old(connection, ledger, policy, at)
        d = schema.documents
        for some in chunks(again.documents):
            connection.execute(delete(d).where(d.c.project == ledger.project, d.c.digest.in_(some)))
        detail = {"before": _before(policy, at), "runs": len(found.runs), "lines": found.num_lines, "documents": len(again.documents)}
        ledger.note(connection, WHAT, detail | {"rule": rule(policy)})
    return found


def rule(policy: Retention) -> str:
    return f"logs_for={policy.logs_for} keep_runs={policy.keep_runs}"


def forgotten(ledger: Ledger, started_at: str) -> str:
    """When and under which rule what a run said was forgotten; empty where nothing of its time was."""
    e = schema.events.c
    query = select(e.at, e.detail).where(e.project == ledger.project, e.what == WHAT).order_by(e.number)
    with ledger.reading() as connection:
        row = next((row for row in connection.execute(query) if started_at < row.detail["before"]), None)
    return f"removed by retention on {row.at[:10]} under {row.detail['rule']}" if row else ""


def _runs(connection: Connection, ledger: Ledger, policy: Retention, now: datetime) -> tuple[list[Any], list[Any]]:
    """The runs that are old, and the others."""
    r, before = schema.runs.c, _before(policy, now)
    query = select(r.id, r.pipeline, r.started_at, r.ended_at, r.kept).where(r.project == ledger.project).order_by(r.number)
    by_pipeline: dict[str, list[Any]] = {}
    for row in connection.execute(query):
        by_pipeline.setdefault(row.pipeline, []).append(row)
    newest = {row.id for of_one in by_pipeline.values() for row in of_one[max(len(of_one) - policy.keep_runs, 0) :]}
    every = [row for of_one in by_pipeline.values() for row in of_one]
    aged = [row for row in every if row.id not in newest and (row.ended_at or row.started_at) < before]
    if not aged:
        return [], every
    stay = _needed_runs(connection, ledger, policy) | {run.id for run in alive(connection, ledger.one_host, now, ledger.project)}
    gone = {row.id for row in aged} - stay
    return [row for row in aged if row.id in gone], [row for row in every if row.id not in gone]


def _needed_runs(connection: Connection, ledger: Ledger, policy: Retention) -> set[str]:
    a = schema.artifacts.c
    ids = needed(connection, ledger.project, ledger.one_host, policy.versions).artifacts
    return {run for some in chunks(sorted(ids)) for run in connection.execute(select(a.run).where(a.id.in_(some))).scalars()}


def _lines(connection: Connection, project: str, runs: Collection[str]) -> tuple[int, int]:
    c, counts = schema.logs.c, [0, 0]
    for some in chunks(runs):
        query = select(func.count(), func.coalesce(func.sum(func.length(c.text)), 0)).where(c.project == project, c.run.in_(some))
        num, size = connection.execute(query).one()
        counts = [counts[0] + num, counts[1] + int(size)]
    return counts[0], counts[1]


def _documents(connection: Connection, project: str, kept: Iterable[str]) -> set[str]:
    """The documents of runs, by the digests that those name, with the parts that they are of."""
    d, found = schema.documents.c, set[str]()
    for some in chunks(sorted(filter(None, kept))):
        for digest, parts in connection.execute(select(d.digest, d.document).where(d.project == project, d.digest.in_(some))):
            found |= {digest, *parts.values()}
    return found


def _size(connection: Connection, project: str, digests: Collection[str]) -> int:
    d, total = schema.documents.c, 0
    length = func.coalesce(func.sum(func.length(type_coerce(d.document, Text))), 0)
    for some in chunks(digests):
        total += int(connection.execute(select(length).where(d.project == project, d.digest.in_(some))).scalar_one())
    return total


def _before(policy: Retention, now: datetime) -> str:
    return (now - timedelta(seconds=seconds(policy.logs_for))).astimezone(UTC).isoformat(timespec="milliseconds")
