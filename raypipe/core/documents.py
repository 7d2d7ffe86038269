"""Documents: JSON kept once under the digest of its content, whoever refers to it."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, insert, select

from raypipe.core import schema
from raypipe.core.artifact import Json
from raypipe.core.canonical import canonical

table = schema.documents


def keep(connection: Connection, project: str, document: Json) -> str:
    """Its sha256; it is written unless it is there."""
    digest = hashlib.sha256(canonical(document).encode()).hexdigest()
    where = (table.c.project == project, table.c.digest == digest)
    # Locked where rows can be: it must not be dropped while this transaction comes to rely on it.
    if connection.execute(select(table.c.digest).where(*where).with_for_update()).one_or_none() is None:
        connection.execute(insert(table).values(project=project, digest=digest, document=document))
    return digest


def find(connection: Connection, project: str, digest: str) -> Json:
    """The document; None where there is none of that digest."""
    return connection.execute(select(table.c.document).where(table.c.project == project, table.c.digest == digest)).scalar_one_or_none()
