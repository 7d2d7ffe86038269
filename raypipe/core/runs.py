"""The history of runs: one row a run, and one for each of its steps."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, text, update

from raypipe.core import schema
from raypipe.core.artifact import Json
from raypipe.core.errors import LedgerError
from raypipe.core.lease import Owner
from raypipe.core.meter import Cost
from raypipe.core.statement import Statement

RUNNING = "RUNNING"
INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True)
class Run:
    """One invocation of a pipeline."""

    id: str
    pipeline: str
    state: str = RUNNING
    """RUNNING, DONE, FAILED, INTERRUPTED (its process is gone), or what `end_run` was told."""
    exit_code: int | None = None
    started_at: str = ""
    """UTC, ISO 8601; set by `start_run`."""
    ended_at: str = ""
    who: str = ""
    """Set by `start_run`: the user of the operating system, marked unverified."""
    command: str = ""
    """The command line, without what the environment holds."""
    config: Json = None
    """The unresolved config: a secret stays a reference in it."""
    owner: Json = None
    """The process, as `Owner` in JSON; set by `start_run`."""
    kept: str = ""
    """The digest of the document that says with what it ran: pipeline, code, environment. Empty where it had nothing to do."""


@dataclass(frozen=True)
class StepRecord:
    """What became of one step in one run."""

    run: str
    step: str
    state: str
    """HIT, RUN, SKIP, FAILED ... as the pipeline names them."""
    why: str = ""
    artifact: str | None = None
    seconds: float | None = None
    rows: int | None = None
    at: str = ""
    """UTC, ISO 8601; set when it is recorded."""
    cost: Json = None
    """What making it took, as `meter.Cost` in JSON; None where nothing was made."""


def now_utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def who() -> str:
    """The user of the operating system: anyone can claim to be it, so it is marked."""
    return _who(os.getuid(), *(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")))


@lru_cache(maxsize=1)
def _who(uid: int, *named: str | None) -> str:
    """Asked once: the system reads its list of users for it."""
    import getpass

    try:
        return f"{getpass.getuser()} (unverified)"
    except (KeyError, OSError):
        return f"uid {uid} (unverified)"


def start(connection: Connection, project: str, run: Run) -> None:
    owner = dataclasses.asdict(Owner.here())
    row = dataclasses.replace(run, started_at=run.started_at or now_utc(), who=run.who or who(), owner=run.owner or owner)
    _START.on(connection, {"project": project, **vars(row)})


_START = Statement(insert(schema.runs))


def end(connection: Connection, project: str, run_id: str, state: str, exit_code: int) -> None:
    table = schema.runs
    ended = update(table).where(table.c.project == project, table.c.id == run_id)
    if connection.execute(ended.values(state=state, exit_code=exit_code, ended_at=now_utc())).rowcount == 0:
        raise LedgerError(f"there is no run {run_id} in project {project}")


def record(connection: Connection, project: str, steps: Sequence[StepRecord]) -> None:
    """Steps of one run. The last word on a step counts; steps keep the order in which they were first recorded."""
    number = _NUMBER.on(connection, {"of_project": project, "of_run": steps[0].run}).scalar_one()
    at = now_utc()
    _RECORD.on(connection, [{"project": project, "number": number + i, **vars(step), "at": at} for i, step in enumerate(steps)])


_steps = schema.steps.c
_OF_RUN = _steps.project == bindparam("of_project"), _steps.run == bindparam("of_run")
_NUMBER = Statement(select(func.coalesce(func.max(_steps.number) + 1, 0)).where(*_OF_RUN))
_NEWS = [column.name for column in _steps if column.name not in ("project", "run", "step", "number")]
_COLUMNS = [column.name for column in _steps]
_RECORD = Statement(
    text(
        f"insert into {schema.steps.name} ({', '.join(_COLUMNS)}) values ({', '.join(f':{name}' for name in _COLUMNS)}) "
        f"on conflict (project, run, step) do update set {', '.join(f'{name} = excluded.{name}' for name in _NEWS)}"
    ).bindparams(*(bindparam(name, type_=_steps[name].type) for name in _COLUMNS))
)


def latest(connection: Connection, project: str, limit: int, one_host: bool) -> list[Run]:
    """Newest first. A run whose process is known to be gone is shown as INTERRUPTED."""
    table = schema.runs
    rows = connection.execute(select(table).where(table.c.project == project).order_by(table.c.number.desc()).limit(limit))
    here = Owner.here()
    return [_seen(_run(row), here, one_host) for row in rows]


def find(connection: Connection, project: str, run_id: str, one_host: bool) -> Run | None:
    table = schema.runs
    row = connection.execute(select(table).where(table.c.project == project, table.c.id == run_id)).one_or_none()
    return _seen(_run(row), Owner.here(), one_host) if row is not None else None


def steps_of(connection: Connection, project: str, run_id: str) -> list[StepRecord]:
    table = schema.steps
    rows = connection.execute(select(table).where(table.c.project == project, table.c.run == run_id).order_by(table.c.number))
    return [StepRecord(**{field.name: getattr(row, field.name) for field in dataclasses.fields(StepRecord)}) for row in rows]


@dataclass(frozen=True)
class Spent:
    """What a run cost, and what it did not have to spend."""

    cost: Cost = Cost()
    """Of the steps that it made."""
    seconds: float = 0.0
    """That they took, one after another."""
    saved: Cost = Cost()
    """What its HITs cost when they were made, as far as that was recorded."""
    saved_s: float = 0.0
    """And the time that they took then."""


def spent(connection: Connection, project: str, run_ids: Sequence[str]) -> dict[str, Spent]:
    """By run. A step that was made under a raypipe that measured nothing counts its time alone."""
    table = schema.steps
    rows = connection.execute(select(table).where(table.c.project == project, table.c.run.in_(run_ids))).all()
    hits = {row.artifact for row in rows if row.state == "HIT" and row.artifact}
    made = select(table.c.artifact, table.c.cost, table.c.seconds).where(table.c.project == project, table.c.cost.is_not(None))
    first = {row.artifact: row for row in connection.execute(made.where(table.c.artifact.in_(hits)))} if hits else {}
    found = dict.fromkeys(run_ids, Spent())
    for row in rows:
        found[row.run] = _with(found[row.run], row, first.get(row.artifact))
    return found


def _with(spent: Spent, step: Any, made: Any) -> Spent:
    """With one step more; `made`: the step that made what this one found."""
    if step.state == "HIT" and made is not None:
        return dataclasses.replace(spent, saved=spent.saved + Cost(**made.cost), saved_s=spent.saved_s + (made.seconds or 0))
    if step.state == "HIT" or step.cost is None:
        return spent
    return dataclasses.replace(spent, cost=spent.cost + Cost(**step.cost), seconds=spent.seconds + (step.seconds or 0))


def _run(row: Any) -> Run:
    return Run(**{field.name: getattr(row, field.name) for field in dataclasses.fields(Run)})


def _seen(run: Run, here: Owner, one_host: bool) -> Run:
    gone = run.state == RUNNING and run.owner and Owner(**run.owner).is_dead(here, one_host)
    return dataclasses.replace(run, state=INTERRUPTED) if gone else run
