"""A pipeline of four chains of steps, run again and again by a driver that is there to be killed. Without Ray.

python -m tests.chaos.runner FOLDER     for each line it reads, forks a run in that folder, and says when it is dead
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from raypipe.core.artifact import Report
from raypipe.core.step import Made, Ref, Work
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.options import Options, StepEvent
from raypipe.pipeline.plan import open_scene
from raypipe.pipeline.run import run
from tests.chaos.driver import register, say

CHAINS, LENGTH = 4, 8


@dataclass(frozen=True)
class Link:
    """Writes a file, takes a version in the commit, and is a little while at it."""

    driver_only: ClassVar[bool] = True
    number: int = 0
    before: Ref[Report] | None = None

    def run(self, work: Work, before: Report | None = None) -> Made[Report]:
        note(work.project_path, f"begins {work.step}")
        time.sleep(float(os.environ.get("CHAOS_PAUSE_S", "0.1")))
        with work.store.create(f"{work.path}/part/0.bin") as writer:
            writer.write(f"{self.number} {before.digest if before else ''}".encode() * 500)
        return Made(
            hashlib.sha256(work.step.encode()).hexdigest(), files=(writer.file,), commits=(register(work.ledger, f"step-{self.number}"),)
        )


def note(folder: Path, text: str) -> None:
    with (folder / "log").open("a") as stream:
        stream.write(f"{os.getpid()} {text}\n")


def pipeline(folder: Path) -> Pipeline:
    steps = {}
    for number in range(CHAINS * LENGTH):
        at, chain = divmod(number, CHAINS)
        before = f"c{chain}_{at - 1}" if at else None
        steps[f"c{chain}_{at}"] = Link(number, Ref(before) if before else None)
    return Pipeline("chaos", steps=steps, project_path=folder)


def live(folder: Path) -> int:
    def told(event: StepEvent) -> None:
        if event.what == "ended":
            note(folder, f"{event.state} {event.step}")

    result = run(pipeline(folder), open_scene(folder), Options(on_event=told))
    note(folder, f"run {result.state} {result.error}")
    return result.exit_code


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(live(folder))
        say(f"pid {pid}")
        _, status = os.waitpid(pid, 0)
        say(f"dead {os.waitstatus_to_exitcode(status)}")
