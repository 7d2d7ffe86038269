"""show RUN: one run as it is recorded: how it was called, what became of each step and why, what that cost and made."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
from collections.abc import Container

from raypipe.cli.terminal import console, cost_texts, show_rows, state_text
from raypipe.core.artifact import Artifact, Json
from raypipe.core.ledger import Ledger, Run, StepRecord
from raypipe.core.meter import Cost
from raypipe.core.released import fate
from raypipe.pipeline.compare import found
from raypipe.pipeline.plan import open_scene

HEADS = ("step", "state", "rows", "time", "CPU", "peak memory", "artifact", "why")


def show_run(name: str, options: argparse.Namespace) -> int:
    """By its name, or how that ends."""
    scene = open_scene()
    ledger = scene.ledger
    run = found(ledger, name)
    steps = ledger.steps(run.id)
    artifacts = {s.step: a for s in steps if s.artifact and (a := ledger.artifact(s.artifact))}
    if options.json:
        gone = fate(ledger, scene.store, artifacts.values())
        print(json.dumps(_json(ledger, run, steps, artifacts, gone), indent=2))
        return 0
    for line in _about(ledger, run):
        console().print(line, markup=False, highlight=False)
    gone = fate(ledger, scene.store, artifacts.values())
    rows = [_row(step, artifacts.get(step.step), gone) for step in steps]
    show_rows(options, [], HEADS, rows, "no step has ended")
    for name, artifact in artifacts.items():
        if artifact.id in gone:
            console().print(f"{name} {artifact.digest[:8]}: {gone[artifact.id]}", markup=False, highlight=False)
    if ledger.logs(run.id):
        console().print(f"what was said and printed: raypipe logs {run.id}", style="dim")
    return 0


def overrides_of(command: str) -> list[str]:
    """What of a command line changes the config."""
    words = shlex.split(command)[2:]
    return [word for word in words if not word.startswith("-") and ("=" in word or word.startswith("~"))]


def _about(ledger: Ledger, run: Run) -> list[str]:
    exit_code = "" if run.exit_code is None else f" (exit {run.exit_code})"
    ended = f" to {run.ended_at[11:19]}" if run.ended_at else ""
    lines = [f"{run.id}  {run.pipeline}  {run.state}{exit_code}", f"  {run.started_at[:19]}{ended} by {run.who}: {run.command}"]
    if overrides := overrides_of(run.command):
        lines.append(f"  overrides: {'  '.join(overrides)}")
    if git := ledger.kept(run).get("git"):
        lines.append(f"  code: git commit {git['commit'][:12]}{' with changes' if git['dirty'] else ''}")
    spent = ledger.spent([run.id])[run.id]
    lines.append(f"  made in {spent.seconds:,.1f} s of steps, {spent.cost.cpu_s:,.1f} s of CPU; spared {spent.saved_s:,.1f} s")
    return [*lines, ""]


def _row(step: StepRecord, artifact: Artifact | None, gone: Container[str]) -> tuple[str, ...]:
    cpu, _, peak, *_ = cost_texts(Cost(**step.cost)) if step.cost else ("", "", "")
    num_rows = artifact.figures.get("num_rows") if step.rows is None and artifact else step.rows
    rows = "" if num_rows is None else f"{num_rows:,}"
    made = f"{artifact.kind} {artifact.digest[:8]}{' (released)' if artifact.id in gone else ''}" if artifact else ""
    return step.step, state_text(step.state), rows, f"{step.seconds or 0:.1f}s", cpu, peak, made, step.why.replace("[", "\\[")


def _json(ledger: Ledger, run: Run, steps: list[StepRecord], artifacts: dict[str, Artifact], gone: dict[str, str]) -> dict[str, Json]:
    made = {
        name: {"kind": a.kind, "digest": a.digest, "run": a.run, "figures": a.figures, "released": gone.get(a.id)}
        for name, a in artifacts.items()
    }
    told = [{**dataclasses.asdict(step), "made": made.get(step.step)} for step in steps]
    spent = dataclasses.asdict(ledger.spent([run.id])[run.id])
    return {**dataclasses.asdict(run), "overrides": overrides_of(run.command), "spent": spent, "steps": told}
