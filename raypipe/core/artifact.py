"""What a step made: an immutable record. The bytes lie in the store, the record in the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = Any
"""A value that JSON can say: dict with str keys, list, str, int, float, bool, None."""


@dataclass(frozen=True)
class File:
    """One file in the store: `path` relative to the store's root, `size` in bytes, `sha256` in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Artifact:
    """The record of what a step made. Its subclasses are the kinds that an edge can carry."""

    id: str
    """Unique within the ledger."""
    pipeline: str
    step: str
    run: str
    """The run that made it."""
    fingerprint: str
    """The key under which a later plan finds it."""
    digest: str
    """sha256 of the content; what depends on this artifact is keyed by it."""
    path: str = ""
    """The folder of its files, relative to the store's root; empty where it has none."""
    files: tuple[File, ...] = ()
    schema: Json = None
    """A Table: `TableSchema` as JSON. Others: None or what their room documents."""
    figures: dict[str, Json] = field(default_factory=dict)
    """Numbers and facts about it: rows, seconds, metrics."""
    created_at: str = ""
    """UTC, ISO 8601."""

    @property
    def kind(self) -> str:
        return type(self).__name__


class Table(Artifact):
    """One snapshot of a table. `figures`: `table` (its name), `snapshot` (int), `num_rows`."""

    @property
    def name(self) -> str:
        return self.figures["table"]

    @property
    def snapshot(self) -> int:
        return self.figures["snapshot"]

    @property
    def num_rows(self) -> int:
        return self.figures["num_rows"]


class Report(Artifact):
    """What a contract found. `figures`: `passed`, `rules` (a list of rule, figure, bound, examples)."""


class Model(Artifact):
    """A bundle: a trained model with its fitted transform and signature, as plain files."""


class Evaluation(Artifact):
    """A model's metrics on the test part, overall and by slice."""


class Verdict(Artifact):
    """Whether a model may go on: `figures` has `passed` and `reasons`."""


class Version(Artifact):
    """A registered model version. `figures`: `name`, `version` (int), `model` (the bundle's digest)."""


class Endpoint(Artifact):
    """The desired state of an endpoint. `figures`: `name`, `version`, `num_replicas`."""


KINDS: dict[str, type[Artifact]] = {c.__name__: c for c in (Table, Report, Model, Evaluation, Verdict, Version, Endpoint)}
