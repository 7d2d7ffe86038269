"""Model versions: numbers for bundles, and the aliases (`champion`, `candidate`) that name one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select, update

from raypipe.core import records, released, schema
from raypipe.core.artifact import Model, Verdict
from raypipe.core.errors import ConfigError, LedgerError, nearest
from raypipe.core.runs import now_utc, who
from raypipe.registry.rows import BY_RUN, insert_once, mine, mover, read

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger

CHAMPION = "champion"
"""The alias of the version that answers, and that a candidate is compared with."""

CANDIDATE = "candidate"
"""The alias of the version that was registered last."""

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
"""What a model or an alias may be called: it stands in paths of URLs and behind an `@`, and is no number."""


@dataclass(frozen=True)
class VersionRow:
    """One version of a model."""

    name: str
    version: int
    """1, 2, 3, ... without gaps."""
    model_digest: str
    """The bundle's digest: one version for each."""
    artifact_id: str
    """The artifact of the bundle when it was registered."""
    created_at: str
    """UTC, ISO 8601."""
    who: str


@dataclass(frozen=True)
class AliasRow:
    """Where an alias stands."""

    name: str
    alias: str
    version: int
    rev: int
    """How often it was moved."""
    moved_at: str
    """UTC, ISO 8601."""
    moved_by: str
    """A run, or the person who did it."""
    reason: str

    @property
    def by_run(self) -> bool:
        """Whether a run moved it, and not a person."""
        return self.moved_by.startswith(BY_RUN)


def register(connection: Connection, ledger: Ledger, name: str, model: Model) -> int:
    """The version of a bundle under this name: the one it has, or the next number. In the caller's transaction.

    Two processes at once get numbers without a gap, and one number for one bundle: SQLite's writers take turns, and on PostgreSQL
    the second waits at the unique key for the first one's commit and then counts again.
    """
    _check_name("model", name)
    table, key = schema.model_versions, mine(schema.model_versions, ledger, name=name)
    while True:
        there = read(connection, VersionRow, table, *key, table.c.model_digest == model.digest)
        if there:
            _renew(connection, ledger, there[0], model)
            return there[0].version
        version = connection.execute(select(func.coalesce(func.max(table.c.version), 0) + 1).where(*key)).scalar_one()
        row = VersionRow(name, version, model.digest, model.id, now_utc(), who())
        if insert_once(connection, table, ledger, row):
            ledger.note(connection, "version registered", {"model": name, "version": version, "digest": model.digest, "run": model.run})
            return version


def move_alias(connection: Connection, ledger: Ledger, name: str, alias: str, version: int, *, run: str = "", reason: str = "") -> AliasRow:
    """Points an alias at a version, in the caller's transaction, and records who, from which version to which, and why.

    `run`: the run that does it; without one it is a person, the user of the operating system. An alias that is there already is left as it
    is, its `rev` and mover too. ConfigError where there is no such version.
    """
    _check_name("alias", alias)
    require_version(connection, ledger, name, version)
    table, key = schema.aliases, mine(schema.aliases, ledger, name=name, alias=alias)
    while True:
        before = next(iter(read(connection, AliasRow, table, *key, lock=True)), None)
        if before is not None and before.version == version:
            return before
        row = AliasRow(name, alias, version, before.rev + 1 if before else 1, now_utc(), mover(run), reason)
        if before is not None:
            connection.execute(update(table).where(*key).values(**vars(row)))
        elif not insert_once(connection, table, ledger, row):
            continue
        moved = {"model": name, "alias": alias, "from": before.version if before else None, "to": version}
        ledger.note(connection, "alias moved", moved | {"rev": row.rev, "run": run, "reason": reason})
        return row


def _renew(connection: Connection, ledger: Ledger, row: VersionRow, model: Model) -> None:
    """The same bundle, made again after the bytes of the first were lost or released: those that are there count."""
    table, a = schema.model_versions, schema.artifacts.c
    superseded = connection.execute(select(a.superseded_at).where(a.id == row.artifact_id)).scalar_one_or_none()
    if row.artifact_id != model.id and superseded is not None:
        connection.execute(update(table).where(*mine(table, ledger, name=row.name, version=row.version)).values(artifact_id=model.id))
        renewed = {"model": row.name, "version": row.version, "digest": row.model_digest, "run": model.run}
        ledger.note(connection, "version made again", renewed)


def require_version(connection: Connection, ledger: Ledger, name: str, version: int) -> None:
    """ConfigError that says which versions there are where this one is not, and where its bytes were released."""
    rows = {row.version: row for row in _versions(connection, ledger, name)}
    numbers = list(rows)
    if not numbers:
        raise ConfigError(f"there is no model '{name}' in project '{ledger.project}'")
    if version not in numbers:
        raise ConfigError(f"model '{name}' has no version {version}. It has {_span(numbers)}.")
    if gone := released.of(connection, ledger.project, rows[version].artifact_id):
        raise ConfigError(f"model '{name}' version {version} was {gone}: run its training again, and it is that version again.")


def names(ledger: Ledger) -> list[str]:
    """The models that have a version, by name."""
    table = schema.model_versions
    with ledger.reading() as connection:
        return list(connection.execute(select(table.c.name).where(*mine(table, ledger)).distinct().order_by(table.c.name)).scalars())


def versions(ledger: Ledger, name: str) -> list[VersionRow]:
    """All versions of a model, the first one first; none where there is no such model."""
    with ledger.reading() as connection:
        return _versions(connection, ledger, name)


def aliases(ledger: Ledger, name: str) -> dict[str, AliasRow]:
    """The aliases of a model, by alias."""
    with ledger.reading() as connection:
        return {row.alias: row for row in read(connection, AliasRow, schema.aliases, *mine(schema.aliases, ledger, name=name))}


def alias(ledger: Ledger, name: str, alias: str) -> AliasRow | None:
    """Where one alias of a model stands."""
    return aliases(ledger, name).get(alias)


def resolve(ledger: Ledger, ref: str) -> tuple[VersionRow, Model]:
    """`flights@champion`, `flights@3`, or `flights`: its champion, else (with none promoted yet) its newest version.

    ConfigError that lists what there is where it names nothing.
    """
    name, _, which = ref.partition("@")
    found = {row.version: row for row in versions(ledger, name)}
    if not found:
        valid = names(ledger)
        raise ConfigError(
            f"there is no model '{name}' in project '{ledger.project}'." + (nearest(name, valid) or " No model is registered yet.")
        )
    if "@" in ref and which.isdecimal() and int(which) in found:
        row = found[int(which)]
    else:
        row = found[_version_of(ref, which, aliases(ledger, name), list(found))]
    return row, _model(ledger, row)


def champion(ledger: Ledger, name: str) -> Model | None:
    """The bundle of a model's champion; None where no version was promoted."""
    row = alias(ledger, name, CHAMPION)
    return resolve(ledger, f"{name}@{row.version}")[1] if row else None


def verdicts(ledger: Ledger, pipeline: str) -> list[Verdict]:
    """Every verdict of a pipeline's gates, the first one first."""
    table = schema.artifacts
    key = mine(table, ledger, pipeline=pipeline, kind="Verdict")
    with ledger.reading() as connection:
        ids = connection.execute(select(table.c.id).where(*key).order_by(table.c.number)).scalars().all()
        found = [records.by_id(connection, ledger.project, id) for id in ids]
    return [verdict for verdict in found if isinstance(verdict, Verdict)]


def _version_of(ref: str, which: str, known: dict[str, AliasRow], numbers: list[int]) -> int:
    """The version that an alias names, or a bare name."""
    if which in known:
        return known[which].version
    if "@" not in ref:
        return known[CHAMPION].version if CHAMPION in known else numbers[-1]
    name = ref.partition("@")[0]
    what = f"version {which}" if which.isdecimal() else f"alias '{which}'"
    has = [_span(numbers), *(f"{name} (version {row.version})" for name, row in known.items())]
    raise ConfigError(f"model '{name}' has no {what}. It has {', '.join(has)}.")


def _span(numbers: list[int]) -> str:
    return f"versions {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"version {numbers[0]}"


def _check_name(kind: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' is no name for {'an' if kind == 'alias' else 'a'} {kind}: letters, digits, '_', '-' and '.', a letter first"
        )


def _versions(connection: Connection, ledger: Ledger, name: str) -> list[VersionRow]:
    return read(connection, VersionRow, schema.model_versions, *mine(schema.model_versions, ledger, name=name))


def _model(ledger: Ledger, row: VersionRow) -> Model:
    found = ledger.artifact(row.artifact_id)
    if not isinstance(found, Model):
        raise LedgerError(f"the ledger has no model {row.artifact_id}, though {row.name}@{row.version} names it")
    return found
