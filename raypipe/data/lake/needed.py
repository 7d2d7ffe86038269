"""What is still needed, and by what: the artifacts, snapshots and files that something living names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from raypipe.core import schema
from raypipe.core.released import released
from raypipe.core.step import BY_HAND
from raypipe.data.lake import catalog
from raypipe.data.lake.alive import alive

MANY = 500

Named = tuple[str, int]
"""A snapshot: its table's name, and its number."""


@dataclass(frozen=True)
class Needed:
    """What of one project may not go, each with the reason."""

    artifacts: Mapping[str, str]
    """By id: those of registered models, those that a live run has met, the newest of each step, and all that they were made from."""
    snapshots: Mapping[Named, str]
    """Those that a tag names, that such an artifact names, and the newest of each table."""


def needed(connection: Connection, project: str, one_host: bool, versions: int | None = None) -> Needed:
    """As of now, in the caller's transaction. `versions`: only so many of the newest of each model; all, but for those that retention has
    released, where it is None. Those with an alias or an endpoint in any case."""
    links = _links(connection, project)
    artifacts: dict[str, str] = {}
    for roots in (
        _of_models(connection, project, versions),
        _of_live_runs(connection, project, one_host),
        _newest(connection, project),
    ):
        for root, (own, below) in roots.items():
            _spread(artifacts, links, root, own, below)
    return Needed(artifacts, dict(_snapshots(connection, project, artifacts)))


_Roots = dict[str, tuple[str, str]]
"""By id: why it is kept, and why what it was made from is."""


def _of_models(connection: Connection, project: str, versions: int | None) -> _Roots:
    v, a, e = schema.model_versions.c, schema.aliases.c, schema.endpoints.c
    marks: dict[tuple[str, int], list[str]] = {}
    for row in connection.execute(select(a.name, a.version, a.alias).where(a.project == project).order_by(a.alias)):
        marks.setdefault((row.name, row.version), []).append(row.alias)
    for row in connection.execute(select(e.name, e.version).where(e.project == project)):
        marks.setdefault((row.name, row.version), []).append("serving")
    gone = released(connection, project) if versions is None else {}
    found, counts = {}, dict[str, int]()
    for row in connection.execute(select(v.name, v.version, v.artifact_id).where(v.project == project).order_by(v.name, v.version.desc())):
        counts[row.name] = counts.get(row.name, 0) + 1
        marked = marks.get((row.name, row.version), [])
        if marked or (row.artifact_id not in gone if versions is None else counts[row.name] <= versions):
            which = f" ({', '.join(marked)})" if marked else ""
            found.setdefault(row.artifact_id, (bool(marked), f"model {row.name}@{row.version}{which}"))
    # What an alias names is told first: that is the reason that a person can do something about.
    ordered = sorted(found.items(), key=lambda item: not item[1][0])
    return {id: (f"needed by {text}", f"needed by {text}") for id, (_, text) in ordered}


def _of_live_runs(connection: Connection, project: str, one_host: bool) -> _Roots:
    """What the steps of runs have found or made that are not known to have ended."""
    s, found = schema.steps.c, _Roots()
    live = [run.id for run in alive(connection, one_host, datetime.now(UTC), project)]
    for some in chunks(live):
        query = select(s.artifact, s.run).where(s.project == project, s.run.in_(some), s.artifact.is_not(None))
        found |= {
            row.artifact: (f"met by run {row.run}, at work", f"needed by run {row.run}, at work") for row in connection.execute(query)
        }
    return found


def _newest(connection: Connection, project: str) -> _Roots:
    a = schema.artifacts.c
    of_steps = (a.project == project, a.superseded_at.is_(None), a.pipeline != BY_HAND)
    newest = select(func.max(a.number)).where(*of_steps).group_by(a.pipeline, a.step)
    query = select(a.id, a.pipeline, a.step).where(a.number.in_(newest))
    return {row.id: ("the newest of its step", f"needed by the newest {row.pipeline}.{row.step}") for row in connection.execute(query)}


def _links(connection: Connection, project: str) -> dict[str, list[str]]:
    links: dict[str, list[str]] = {}
    p = schema.parents.c
    for child, parent in connection.execute(select(p.child, p.parent).where(p.project == project)):
        links.setdefault(child, []).append(parent)
    return links


def _spread(found: dict[str, str], links: Mapping[str, list[str]], root: str, own: str, below: str) -> None:
    """The root and all that it was made from; what has a reason already keeps that."""
    if root not in found:
        found[root] = own
    waiting = [root]
    while waiting:
        for parent in links.get(waiting.pop(), ()):
            if parent not in found:
                found[parent] = below
                waiting.append(parent)


def _snapshots(connection: Connection, project: str, artifacts: Mapping[str, str]) -> Iterator[tuple[Named, str]]:
    """The last word on a snapshot counts."""
    a = schema.artifacts.c
    has_tables = catalog.exists(connection)
    s, t = catalog.snapshots.c, catalog.tags.c
    if has_tables:
        newest = select(s.name, func.max(s.snapshot_id)).where(s.project == project).group_by(s.name)
        yield from (((row[0], row[1]), "the newest of its table") for row in connection.execute(newest))
    for some in chunks(sorted(artifacts)):
        for id, figures in connection.execute(select(a.id, a.figures).where(a.id.in_(some), a.kind == "Table")):
            yield (figures["table"], figures["snapshot"]), artifacts[id]
    if has_tables:
        for row in connection.execute(select(t.name, t.snapshot_id, t.tag).where(t.project == project)):
            yield (row.name, row.snapshot_id), f"tagged '{row.tag}'"


def chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    """As many as one statement takes."""
    listed = list(values)
    return (listed[start : start + MANY] for start in range(0, len(listed), MANY))
