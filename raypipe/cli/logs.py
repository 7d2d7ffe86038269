"""logs: what a run's steps said, and what the user's code printed, from the ledger; while it goes on as well."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time

from raypipe.cli.terminal import console
from raypipe.core.errors import ConfigError, nearest
from raypipe.core.ledger import Ledger, Run
from raypipe.core.logs import Entry
from raypipe.core.runs import RUNNING
from raypipe.data.lake.forget import forgotten
from raypipe.pipeline.compare import found
from raypipe.pipeline.plan import open_scene

LOOK_S = 0.5
"""Between two looks at a run that goes on."""
STYLES = {"error": "red", "err": "", "out": "", "cut": "dim", "wait": "yellow", "retry": "yellow", "report": "cyan"}


def logs(options: argparse.Namespace) -> int:
    """Line by line, in the order in which it was said; --follow until the run ends."""
    ledger = open_scene().ledger
    run = found(ledger, options.run) if options.run else _newest(ledger)
    _require(ledger, run, options.step)
    entries = ledger.logs(run.id, options.step)
    if options.json and not options.follow:
        print(json.dumps([_json(entry) for entry in entries], indent=2))
        return 0
    if not entries and not options.follow:
        of, gone = f"run {run.id}{f' by step {options.step}' if options.step else ''}", forgotten(ledger, run.started_at)
        console().print(f"what was said in {of} was {gone}" if gone else f"nothing was said in {of}", style="dim")
    _show(entries, options.json)
    if options.follow:
        _follow(ledger, run, options, entries[-1].number if entries else 0)
    return 0


def _newest(ledger: Ledger) -> Run:
    runs = ledger.runs(1)
    if not runs:
        raise ConfigError("there are no runs yet.")
    return runs[0]


def _require(ledger: Ledger, run: Run, step: str | None) -> None:
    if step is None or run.state == RUNNING:
        return
    names = [record.step for record in ledger.steps(run.id)]
    if step not in names:
        raise ConfigError(f"run {run.id} has no step '{step}'.{nearest(step, names)}")


def _follow(ledger: Ledger, run: Run, options: argparse.Namespace, after: int) -> None:
    """What comes, until the run has ended; its last lines are written before it is recorded as ended."""
    while True:
        now = ledger.run(run.id)
        goes_on = now is not None and now.state == RUNNING
        entries = ledger.logs(run.id, options.step, after)
        _show(entries, options.json)
        if not goes_on:
            return
        after = entries[-1].number if entries else after
        time.sleep(LOOK_S)


def _json(entry: Entry) -> dict[str, str]:
    return {k: v for k, v in dataclasses.asdict(entry).items() if k not in ("run", "number")}


def _show(entries: list[Entry], as_json: bool) -> None:
    from rich.text import Text

    out = console()
    width = max((len(entry.step) for entry in entries), default=0)
    for entry in entries:
        if as_json:
            print(json.dumps(_json(entry)), flush=True)
            continue
        head = f"{entry.at[11:23]}  {entry.step:{width}}  "
        first, *more = entry.text.split("\n")
        origin = f"{entry.origin}: " if entry.origin else ""
        line = Text(head, style="dim").append(f"{entry.kind:6}  ", style=STYLES[entry.kind] or "dim").append(f"{origin}{first}", style="")
        out.print(line, soft_wrap=True)
        for text in more:
            out.print(Text(f"{'':{len(head) + 8}}{text}"), soft_wrap=True)
