"""Artifacts as rows: written once, superseded but never changed or deleted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from raypipe.core import schema
from raypipe.core.artifact import KINDS, Artifact, File, Json
from raypipe.core.canonical import canonical
from raypipe.core.errors import LedgerError
from raypipe.core.runs import now_utc
from raypipe.core.statement import Statement

table = schema.artifacts


@dataclass(frozen=True)
class Record:
    """What is to become an artifact."""

    kind: str
    """The name of a class in `core.artifact.KINDS`."""
    pipeline: str
    step: str
    run: str
    fingerprint: str
    digest: str
    path: str = ""
    files: Sequence[File] = ()
    schema: Json = None
    figures: dict[str, Json] = field(default_factory=dict)
    identity: Json = None
    """The document whose canonical sha256 is the fingerprint: a later plan compares with it."""
    parents: Sequence[str] = ()
    """The ids of the artifacts it was made from, in the order of the step's inputs."""


def add(connection: Connection, project: str, record: Record, artifact_id: str, figures: dict[str, Json], token: int) -> Artifact:
    """Inserts the row and its parents. Figures that JSON cannot say are a ValueError that names them."""
    if record.kind not in KINDS:
        raise ValueError(f"no kind of artifact is called {record.kind!r}")
    values: dict[str, Any] = {name: getattr(record, name) for name in _SHARED}
    values["files"] = [[file.path, file.size, file.sha256] for file in record.files]
    values["figures"] = _sayable(figures)
    created_at = now_utc()
    _ADD.on(connection, {"id": artifact_id, "project": project, "token": token, "created_at": created_at, **values})
    parents = [
        {"project": project, "child": artifact_id, "parent": parent, "position": position}
        for position, parent in enumerate(dict.fromkeys(record.parents))
    ]
    if parents:
        _ADD_PARENTS.on(connection, parents)
    said = {"id": artifact_id, "files": tuple(record.files), "created_at": created_at}
    # As a reader would get them: what JSON makes of tuples and keys.
    plain = {name: json.loads(canonical(values[name])) for name in ("figures", "schema")}
    shared = {name: values[name] for name in _SHARED if name in _FIELDS and name not in plain}
    return KINDS[record.kind](**shared, **plain, **said)


_FIELDS = {item.name for item in dataclasses.fields(Artifact)}
_PROJECT = bindparam("of_project")
_LIVE = table.c.project == _PROJECT, table.c.superseded_at.is_(None)
_ONE = *_LIVE, table.c.fingerprint == bindparam("of_fingerprint")
_ADD, _ADD_PARENTS = Statement(insert(table)), Statement(insert(schema.parents))
_FIND = Statement(select(table).where(*_ONE))
_FIND_ALL = select(table).where(*_LIVE, table.c.fingerprint.in_(bindparam("of_fingerprints", expanding=True)))
_SUPERSEDE = Statement(update(table).where(*_ONE).values(superseded_at=bindparam("now")))
_NEAREST = Statement(
    select(table)
    .where(table.c.project == _PROJECT, table.c.pipeline == bindparam("of_pipeline"), table.c.step == bindparam("of_step"))
    .order_by(table.c.number.desc())
    .limit(1)
)

_SHARED = ("kind", "pipeline", "step", "run", "fingerprint", "digest", "path", "schema", "identity")


def _sayable(figures: dict[str, Json]) -> dict[str, Json]:
    for name, figure in figures.items():
        try:
            canonical(figure)
        except (ValueError, TypeError) as error:
            raise ValueError(f"the figure {name!r} cannot be recorded: {error}") from None
    return figures


def supersede(connection: Connection, project: str, fingerprint: str) -> None:
    _SUPERSEDE.on(connection, {"of_project": project, "of_fingerprint": fingerprint, "now": now_utc()})


def live(connection: Connection, project: str, fingerprint: str) -> Artifact | None:
    row = _FIND.on(connection, {"of_project": project, "of_fingerprint": fingerprint}).one_or_none()
    return _artifact(row) if row is not None else None


def all_live(connection: Connection, project: str, fingerprints: Iterable[str]) -> dict[str, Artifact]:
    rows = connection.execute(_FIND_ALL, {"of_project": project, "of_fingerprints": list(fingerprints)})
    return {row.fingerprint: _artifact(row) for row in rows}


def by_id(connection: Connection, project: str, artifact_id: str) -> Artifact | None:
    return _one(connection, table.c.project == project, table.c.id == artifact_id)


def by_digest(connection: Connection, project: str, kind: str, digest: str) -> Artifact | None:
    """The newest live one of that content."""
    return _one(connection, *_live(project), table.c.kind == kind, table.c.digest == digest)


def nearest(connection: Connection, project: str, pipeline: str, step: str) -> tuple[Artifact, Json] | None:
    row = _NEAREST.on(connection, {"of_project": project, "of_pipeline": pipeline, "of_step": step}).one_or_none()
    return (_artifact(row), row.identity) if row is not None else None


def identities(connection: Connection, project: str, pipeline: str, step: str, limit: int) -> list[Json]:
    """Of the step's newest live artifacts."""
    query = select(table.c.identity).where(*_live(project), table.c.pipeline == pipeline, table.c.step == step)
    return list(connection.execute(query.order_by(table.c.number.desc()).limit(limit)).scalars())


def identity_of(connection: Connection, project: str, artifact_id: str) -> Json:
    return connection.execute(select(table.c.identity).where(table.c.project == project, table.c.id == artifact_id)).scalar_one_or_none()


def parents_of(connection: Connection, project: str, artifact_id: str) -> list[Artifact]:
    link = schema.parents
    query = select(table).join(link, link.c.parent == table.c.id).where(link.c.project == project, link.c.child == artifact_id)
    return [_artifact(row) for row in connection.execute(query.order_by(link.c.position))]


def children_of(connection: Connection, project: str, artifact_id: str, kind: str) -> list[Artifact]:
    link = schema.parents
    query = select(table).join(link, link.c.child == table.c.id).where(*_live(project), link.c.parent == artifact_id, table.c.kind == kind)
    return [_artifact(row) for row in connection.execute(query.order_by(table.c.number))]


def _live(project: str) -> tuple[Any, Any]:
    return table.c.project == project, table.c.superseded_at.is_(None)


def _one(connection: Connection, *where: Any) -> Artifact | None:
    row = connection.execute(select(table).where(*where).order_by(table.c.number.desc()).limit(1)).one_or_none()
    return _artifact(row) if row is not None else None


def _artifact(row: Any) -> Artifact:
    kind = KINDS.get(row.kind)
    if kind is None:
        raise LedgerError(f"the ledger has an artifact of kind {row.kind!r}, which this raypipe does not know; update raypipe")
    values = {item.name: getattr(row, item.name) for item in dataclasses.fields(Artifact)}
    values["files"] = tuple(File(*each) for each in row.files)
    return kind(**values)
