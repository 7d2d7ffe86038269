"""The ledger's tables. Every row stands under a project; SQLite and PostgreSQL have the same."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from raypipe.core.artifact import Json
from raypipe.core.canonical import canonical

VERSION = 3
"""Raised with every change of a table below. A ledger of a newer version is refused."""


class JsonText(TypeDecorator):
    """JSON in its canonical form, as text: the same bytes on both databases, and NaN is refused rather than stored as no JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json, dialect: Any) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Json:
        return None if value is None else json.loads(value)


metadata = MetaData()

Number = BigInteger().with_variant(Integer, "sqlite")
"""A row's number in order of writing; SQLite counts by itself only for INTEGER."""


def _project() -> Column:
    return Column("project", Text, primary_key=True)


meta = Table("raypipe_meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

runs = Table(
    "raypipe_runs",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("exit_code", Integer),
    Column("started_at", Text, nullable=False),
    Column("ended_at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("command", Text, nullable=False),
    Column("config", JsonText),
    Column("owner", JsonText, nullable=False),
    Column("kept", Text, nullable=False, server_default=text("''")),
    UniqueConstraint("project", "id"),
)

documents = Table(
    "raypipe_documents",
    metadata,
    _project(),
    Column("digest", Text, primary_key=True),
    Column("document", JsonText, nullable=False),
)

steps = Table(
    "raypipe_steps",
    metadata,
    _project(),
    Column("run", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("artifact", Text),
    Column("seconds", Double),
    Column("rows", BigInteger),
    Column("at", Text, nullable=False),
    Column("cost", JsonText),
)

logs = Table(
    "raypipe_logs",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("origin", Text, nullable=False),
)
Index("raypipe_logs_run", logs.c.project, logs.c.run, logs.c.number)

artifacts = Table(
    "raypipe_artifacts",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("project", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("files", JsonText, nullable=False),
    Column("schema", JsonText),
    Column("figures", JsonText, nullable=False),
    Column("identity", JsonText),
    Column("token", BigInteger, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("superseded_at", Text),
)
# As text, since to say it in SQLAlchemy would import the PostgreSQL dialect at every start (22 ms).
LIVE = "create unique index raypipe_artifacts_live on raypipe_artifacts (project, fingerprint) where superseded_at is null"
"""At most one live artifact of a fingerprint."""

Index("raypipe_artifacts_step", artifacts.c.project, artifacts.c.pipeline, artifacts.c.step, artifacts.c.number)
Index("raypipe_artifacts_digest", artifacts.c.project, artifacts.c.kind, artifacts.c.digest)

parents = Table(
    "raypipe_parents",
    metadata,
    _project(),
    Column("child", Text, ForeignKey("raypipe_artifacts.id"), primary_key=True),
    Column("parent", Text, ForeignKey("raypipe_artifacts.id"), primary_key=True),
    Column("position", Integer, nullable=False),
)
Index("raypipe_parents_parent", parents.c.parent)

leases = Table(
    "raypipe_leases",
    metadata,
    _project(),
    Column("key", Text, primary_key=True),
    Column("token", BigInteger, nullable=False, server_default=text("0")),
    Column("run", Text, nullable=False, server_default=text("''")),
    Column("owner", JsonText),
    Column("ttl_s", Double, nullable=False, server_default=text("0")),
    Column("claimed_at", Double, nullable=False, server_default=text("0")),
    Column("beaten_at", Double),
    Column("released_at", Double),
)

events = Table(
    "raypipe_events",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("detail", JsonText),
)

ingested_files = Table(
    "raypipe_ingested_files",
    metadata,
    _project(),
    Column("table_name", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("num_rows", BigInteger, nullable=False),
    Column("first_row", BigInteger, nullable=False),
    Column("reason", Text),
    Column("snapshot_id", BigInteger, nullable=False),
)

ingest_progress = Table(
    "raypipe_ingest_progress",
    metadata,
    _project(),
    Column("table_name", Text, primary_key=True),
    Column("ingest_key", Text, nullable=False),
    Column("rev", BigInteger, nullable=False),
    Column("position", JsonText),
    Column("chain", Text, nullable=False),
    Column("snapshot_id", BigInteger, nullable=False),
    Column("artifact_id", Text, nullable=False),
)

model_versions = Table(
    "raypipe_model_versions",
    metadata,
    _project(),
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("model_digest", Text, nullable=False),
    Column("artifact_id", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("who", Text, nullable=False),
    UniqueConstraint("project", "name", "model_digest"),
)

aliases = Table(
    "raypipe_aliases",
    metadata,
    _project(),
    Column("name", Text, primary_key=True),
    Column("alias", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("moved_at", Text, nullable=False),
    Column("moved_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

endpoints = Table(
    "raypipe_endpoints",
    metadata,
    _project(),
    Column("name", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("settings", JsonText, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("set_at", Text, nullable=False),
    Column("set_by", Text, nullable=False),
)

items = Table(
    "raypipe_items",
    metadata,
    _project(),
    Column("key", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("first_row", BigInteger, nullable=False),
    Column("num_rows", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("used_by", Text),
    Column("used_at", Text, nullable=False),
)
Index("raypipe_items_fingerprint", items.c.project, items.c.fingerprint)
