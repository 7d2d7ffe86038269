"""One change to a table by a person: a run of one step, leased, published and recorded like any other, without a pipeline."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable

from raypipe.core.artifact import Artifact, Table
from raypipe.core.errors import RaypipeError
from raypipe.core.lease import Heartbeat, Lease
from raypipe.core.ledger import Record, Run, StepRecord
from raypipe.core.step import BY_HAND, Made, Work
from raypipe.pipeline.attempt import leased, work_under
from raypipe.pipeline.plan import Scene
from raypipe.pipeline.redo import redone
from raypipe.pipeline.run import run_id


def act(
    scene: Scene, what: str, name: str, change: Callable[[Work], Made[Table]], command: str = "", report: Callable[[str], None] = print
) -> Artifact:
    """`change` of the table of that name, published; what is found there at once is kept with the run. Runs in this process.

    Raises what `change` raises, the run recorded as failed; LeaseHeld where another person's change of this table is at work.
    """
    ledger, run = scene.ledger, run_id()
    ledger.start_run(Run(run, BY_HAND, command=command or f"{what} {name}"))
    state, exit_code = "FAILED", 1
    try:
        artifact = _Act(scene, what, name, change, run, report).published()
        state, exit_code = "DONE", 0
        return artifact
    except RaypipeError as error:
        exit_code = error.exit_code
        ledger.record_steps([StepRecord(run, what, "FAILED", str(error))])
        raise
    finally:
        ledger.end_run(run, state, exit_code)


@dataclasses.dataclass(frozen=True)
class _Act:
    """The work of one change under its lease."""

    scene: Scene
    what: str
    name: str
    change: Callable[[Work], Made[Table]]
    run: str
    report: Callable[[str], None]

    def published(self) -> Artifact:
        ledger = self.scene.ledger
        with leased(ledger, f"table:{self.name}", self.run) as (lease, heartbeat):
            artifact = redone(lambda: self._attempt(lease, heartbeat), self.report)
        ledger.record_steps([StepRecord(self.run, self.what, "RUN", self.name, artifact.id, rows=artifact.figures.get("num_rows"))])
        return artifact

    def _attempt(self, lease: Lease, heartbeat: Heartbeat) -> Artifact:
        fingerprint = uuid.uuid4().hex  # of nothing that could be found again: a person's change is made each time it is asked for
        look = self.scene.look(BY_HAND, self.what)
        work = work_under(lease, heartbeat, look, self.run, fingerprint=fingerprint, inline=True, report=self.report)
        made = self.change(work)
        heartbeat.check()
        if made.files:
            self.scene.store.sync(work.path)
        record = Record(
            "Table", BY_HAND, self.what, self.run, fingerprint, made.digest,
            path=work.path, files=tuple(made.files), schema=made.schema, figures=made.figures,
            identity={"what": self.what, "table": self.name},
        )  # fmt: skip
        return self.scene.ledger.publish(lease, record, made.commits)
