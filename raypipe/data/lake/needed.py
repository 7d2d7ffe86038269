"""What is still needed: the artifacts, snapshots and files that something living names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from raypipe.core import schema
from raypipe.core.lease import Owner
from raypipe.core.runs import RUNNING
from raypipe.core.step import BY_HAND
from raypipe.data.lake import catalog

MANY = 500


@dataclass(frozen=True)
class Needed:
    """What of one project may not go."""

    artifacts: frozenset[str]
    """Ids: the newest of each step, those of registered models, those that a live run has met, and all that they were made from."""
    snapshots: frozenset[tuple[str, int]]
    """Table and number: those that such an artifact names, that a tag names, and the newest of each table."""


def needed(connection: Connection, project: str, one_host: bool) -> Needed:
    """As of now, in the caller's transaction."""
    artifacts = _with_ancestors(connection, project, _roots(connection, project, one_host))
    return Needed(frozenset(artifacts), frozenset(_snapshots(connection, project, artifacts)))


def _roots(connection: Connection, project: str, one_host: bool) -> set[str]:
    a, versions = schema.artifacts.c, schema.model_versions.c
    of_steps = (a.project == project, a.superseded_at.is_(None), a.pipeline != BY_HAND)
    newest = select(func.max(a.number)).where(*of_steps).group_by(a.pipeline, a.step)
    found = {id for (id,) in connection.execute(select(a.id).where(a.number.in_(newest)))}
    found |= {id for (id,) in connection.execute(select(versions.artifact_id).where(versions.project == project))}
    return found | set(_of_live_runs(connection, project, one_host))


def _of_live_runs(connection: Connection, project: str, one_host: bool) -> Iterator[str]:
    """What the steps of runs have found or made that are not known to have ended."""
    r, s = schema.runs.c, schema.steps.c
    here = Owner.here()
    runs = connection.execute(select(r.id, r.owner).where(r.project == project, r.state == RUNNING)).all()
    live = [run.id for run in runs if not Owner(**run.owner).is_dead(here, one_host)]
    for some in chunks(live):
        query = select(s.artifact).where(s.project == project, s.run.in_(some), s.artifact.is_not(None))
        yield from connection.execute(query).scalars()


def _with_ancestors(connection: Connection, project: str, roots: set[str]) -> set[str]:
    links: dict[str, list[str]] = {}
    p = schema.parents.c
    for child, parent in connection.execute(select(p.child, p.parent).where(p.project == project)):
        links.setdefault(child, []).append(parent)
    found, waiting = set(roots), list(roots)
    while waiting:
        for parent in links.get(waiting.pop(), ()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _snapshots(connection: Connection, project: str, artifacts: Iterable[str]) -> Iterator[tuple[str, int]]:
    a = schema.artifacts.c
    for some in chunks(sorted(artifacts)):
        for (figures,) in connection.execute(select(a.figures).where(a.id.in_(some), a.kind == "Table")):
            yield figures["table"], figures["snapshot"]
    if not catalog.exists(connection):
        return
    s, t = catalog.snapshots.c, catalog.tags.c
    newest = select(s.name, func.max(s.snapshot_id)).where(s.project == project).group_by(s.name)
    for query in (newest, select(t.name, t.snapshot_id).where(t.project == project)):
        yield from ((row[0], row[1]) for row in connection.execute(query))


def chunks(values: list[Any]) -> Iterator[list[Any]]:
    """As many as one statement takes."""
    return (values[start : start + MANY] for start in range(0, len(values), MANY))
