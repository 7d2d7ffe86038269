"""What of a project stays under a policy, and why: every artifact and every snapshot with a reason, or with none."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from raypipe.core import schema
from raypipe.core.retention import Retention
from raypipe.core.step import BY_HAND
from raypipe.core.units import seconds
from raypipe.data.lake import catalog
from raypipe.data.lake.alive import SKEW, alive
from raypipe.data.lake.needed import Named, Needed, needed

OUTSIDE = "its rows came from outside, and cannot be made again"
BY_PERSON = "a person's change"


@dataclass(frozen=True)
class Held:
    """A live artifact that holds bytes, or names a snapshot."""

    id: str
    number: int
    """Rises with each artifact."""
    kind: str
    step: str
    """PIPELINE.STEP."""
    created_at: str
    num_files: int
    size: int
    """Bytes of the files that its own step wrote."""
    names: Named | None
    """The snapshot that a Table is."""
    by_hand: bool = False


@dataclass(frozen=True)
class Keeping:
    """One project, held against a policy."""

    artifacts: Mapping[str, Held]
    """By id: those that are live, and hold something."""
    why: Mapping[str, str]
    """Id -> why it stays; of those that are not here nothing keeps them."""
    snapshots: Mapping[Named, str]
    """Why a snapshot stays, of those that do."""
    ending: Sequence[Named]
    """The snapshots that nothing keeps, once what nothing keeps is released."""
    needed: Needed
    waiting: Mapping[Named, str] = field(default_factory=dict)
    """Of those that stay: by which run that is at work they may be read still."""

    @property
    def released(self) -> list[Held]:
        """What nothing keeps, the oldest first."""
        return sorted((held for id, held in self.artifacts.items() if id not in self.why), key=lambda held: held.number)


def keeping(connection: Connection, project: str, policy: Retention, one_host: bool, now: datetime, *, releases: bool = True) -> Keeping:
    """As of now, in the caller's transaction, which it does not write in. Without `releases` every artifact stays that is live."""
    tables = _Tables.of(connection, project) if catalog.exists(connection) else _Tables({}, {}, {})
    still = needed(connection, project, one_host, policy.versions)
    judging = _Judging(connection, project, policy, now, _held(connection, project), still, tables)
    why = judging.why() if releases else dict.fromkeys(judging.held, "live")
    stay, ending = judging.snapshots(why)
    waiting = judging.read_by(ending, why, one_host)
    return Keeping(judging.held, why, {**stay, **waiting}, [named for named in ending if named not in waiting], still, waiting)


@dataclass(frozen=True)
class _Tables:
    """The project's snapshots: what made them, and which tables have rows that no step made."""

    made_by: Mapping[Named, str]
    """The artifact that made each, the oldest first."""
    created_at: Mapping[Named, str]
    outside: Mapping[str, bool]
    """By table."""

    @classmethod
    def of(cls, connection: Connection, project: str) -> _Tables:
        s, p = catalog.snapshots.c, schema.parents.c
        query = select(s.name, s.snapshot_id, s.artifact, s.created_at, s.mode).where(s.project == project).order_by(s.snapshot_id)
        rows = connection.execute(query).all()
        with_parents = set(connection.execute(select(p.child).where(p.project == project).distinct()).scalars())
        outside: dict[str, bool] = {}
        for row in rows:
            outside[row.name] = outside.get(row.name, False) or (row.artifact not in with_parents and row.mode != "compact")
        made_by = {(row.name, row.snapshot_id): row.artifact for row in rows}
        return cls(made_by, {(row.name, row.snapshot_id): row.created_at for row in rows}, outside)

    def newest(self, count: int) -> set[Named]:
        """So many of each table."""
        found: dict[str, list[Named]] = {}
        for named in self.made_by:
            found.setdefault(named[0], []).append(named)
        return {named for of_one in found.values() for named in of_one[-count:]}


def _held(connection: Connection, project: str) -> dict[str, Held]:
    """Artifacts of figures alone hold nothing: they are the record, and stay."""
    a = schema.artifacts.c
    columns = (a.id, a.number, a.kind, a.pipeline, a.step, a.created_at, a.files, a.figures)
    rows = connection.execute(select(*columns).where(a.project == project, a.superseded_at.is_(None)).order_by(a.number))
    return {row.id: _held_of(row) for row in rows if row.kind == "Table" or row.files}


def _held_of(row: Any) -> Held:
    names = (row.figures["table"], row.figures["snapshot"]) if row.kind == "Table" else None
    size, by_hand = sum(size for _, size, _ in row.files), row.pipeline == BY_HAND
    return Held(row.id, row.number, row.kind, f"{row.pipeline}.{row.step}", row.created_at, len(row.files), size, names, by_hand)


@dataclass(frozen=True)
class _Judging:
    """What is held, held against the policy."""

    connection: Connection
    project: str
    policy: Retention
    now: datetime
    held: Mapping[str, Held]
    still: Needed
    tables: _Tables

    def why(self) -> dict[str, str]:
        """The strongest reason of each artifact that has one. A person's changes are found by no plan: their table's snapshots decide."""
        last, since = self._last(), self._before(self.policy.keep_for)
        recent = self._recent(since)
        found = {id: self._reason(each, last, recent, since) for id, each in self.held.items()}
        return {id: reason for id, reason in found.items() if reason}

    def _reason(self, each: Held, last: Container[str], recent: Container[str], since: str) -> str:
        if each.by_hand:
            return BY_PERSON
        if each.names and (text := self.still.snapshots.get(each.names, "")).startswith("tagged"):
            return text
        if each.id in self.still.artifacts:
            return self.still.artifacts[each.id]
        if each.id in last:
            return f"of the last {self.policy.keep_last} of its step"
        if each.created_at >= since or each.id in recent:
            return f"made or used within {self.policy.keep_for}"
        return OUTSIDE if each.names and self._is_for_ever(each.names) else ""

    def snapshots(self, why: Mapping[str, str]) -> tuple[dict[Named, str], list[Named]]:
        """Those that stay with the reason, and those that nothing keeps."""
        staying = {id for id in why if not self.held[id].by_hand} | self.still.artifacts.keys()
        named_by = {each.names for id, each in self.held.items() if id in staying}
        last, since = self.tables.newest(self.policy.keep_last), self._before(self.policy.keep_for)
        stay, ending = dict(self.still.snapshots), []
        for named, maker in self.tables.made_by.items():
            if named in stay:
                continue
            if named in named_by or maker in staying:
                stay[named] = "an artifact that stays is of it"
            elif named in last:
                stay[named] = f"of the last {self.policy.keep_last} of its table"
            elif self.tables.created_at[named] >= since:
                stay[named] = f"made within {self.policy.keep_for}"
            elif self._is_for_ever(named):
                stay[named] = OUTSIDE
            else:
                ending.append(named)
        return stay, ending

    def read_by(self, ending: Sequence[Named], why: Mapping[str, str], one_host: bool) -> dict[Named, str]:
        """A run that had begun when the last artifact of a snapshot was taken out of the ledger may have found it, and read it now."""
        runs = [run for run in alive(self.connection, one_host, self.now, self.project) if not run.follows] if ending else []
        if not runs:
            return {}
        taken_out = self._taken_out(min(run.started_at for run in runs), why)
        found = {}
        for named in ending:
            at = max((taken_out.get(key, "") for key in (named, self.tables.made_by[named])), default="")
            reader = next((run for run in runs if at and run.may_read(datetime.fromisoformat(at))), None)
            if reader:
                found[named] = f"run {reader.id}, at work, may read it"
        return found

    def _taken_out(self, since: str, why: Mapping[str, str]) -> dict[Named | str, str]:
        """When the last artifact of a snapshot, by its name and by what made it, was taken out; now, of those that are about to be."""
        a, found = schema.artifacts.c, dict[Named | str, str]()
        at = (datetime.fromisoformat(since) - SKEW).isoformat(timespec="milliseconds")
        query = select(a.id, a.figures, a.superseded_at).where(a.project == self.project, a.kind == "Table", a.superseded_at >= at)
        for row in self.connection.execute(query.order_by(a.superseded_at)):
            found[row.id] = found[row.figures["table"], row.figures["snapshot"]] = row.superseded_at
        for id, each in self.held.items():
            if id not in why and each.names:
                found[id] = found[each.names] = self.now.isoformat(timespec="milliseconds")
        return found

    def _is_for_ever(self, named: Named) -> bool:
        """Of a table with rows from outside: whether the snapshot is one that the policy does not end."""
        if not self.tables.outside.get(named[0], False):
            return False
        policy, made_at = self.policy.snapshots_for, self.tables.created_at.get(named, "")
        return policy is None or made_at >= self._before(policy)

    def _recent(self, since: str) -> set[str]:
        """What a run has made or found since then."""
        s = schema.steps.c
        query = select(s.artifact).where(s.project == self.project, s.at >= since, s.artifact.is_not(None)).distinct()
        return set(self.connection.execute(query).scalars())

    def _last(self) -> set[str]:
        """The newest so many of each step."""
        found: dict[str, list[str]] = {}
        for each in self.held.values():
            if not each.by_hand:
                found.setdefault(each.step, []).append(each.id)
        return {id for ids in found.values() for id in ids[-self.policy.keep_last :]}

    def _before(self, time: float | str) -> str:
        return (self.now - timedelta(seconds=seconds(time))).astimezone(UTC).isoformat(timespec="milliseconds")
