"""diff: two runs side by side, without Ray."""

from __future__ import annotations

import argparse
import dataclasses
import json

from raypipe.cli.terminal import console
from raypipe.core.artifact import Json
from raypipe.data.lake.forget import forgotten
from raypipe.pipeline.compare import Change, Comparison, compared
from raypipe.pipeline.plan import open_scene

NUM_SHOWN = 40
"""Lines of a section in the terminal; --json has all."""


def diff(options: argparse.Namespace) -> int:
    """What differs, section by section; the diff of the user's code only where it is asked for."""
    scene = open_scene()
    found = compared(scene.ledger, options.before, options.after)
    if options.json:
        print(json.dumps({name: value for name, value in dataclasses.asdict(found).items() if value is not None}, indent=2, default=str))
        return 0
    out = console()
    for side, run in (("-", found.before), ("+", found.after)):
        out.print(f"{side} {run.id}  {run.pipeline}  {run.state}  [dim]{run.command}[/dim]")
    if found.unknown:
        for run in (run for run in (found.before, found.after) if run.id in found.unknown):
            gone = forgotten(scene.ledger, run.started_at) if run.kept else ""
            why = f"what it ran with was {gone}" if gone else "had nothing to do and kept no code and no environment"
            out.print(f"{run.id} {why}" if not gone else f"{run.id}: {why}", style="dim")
    if found.is_empty:
        out.print("no difference")
        return 0
    _sections(found, options.code)
    return 0


def _sections(found: Comparison, with_code: bool) -> None:
    out = console()
    for title, changes in (("config", found.config), ("environment", found.environment), ("figures", found.figures)):
        _section(title, [_line(change) for change in changes])
    _section("code", [_module(change) for change in found.code])
    if with_code:
        for line in found.code_lines():
            out.print(line, style={"+": "green", "-": "red", "@": "cyan"}.get(line[:1], ""), markup=False)
    lines = [
        f"{s.step}: {s.before} -> {s.after}{', the same content' if s.same_content else ''}{f'  [dim]{s.why}[/dim]' if s.why else ''}"
        for s in found.steps
    ]
    _section("steps", lines)


def _section(title: str, lines: list[str]) -> None:
    if not lines:
        return
    out = console()
    out.print(f"\n{title}", style="bold")
    for line in lines[:NUM_SHOWN]:
        out.print(f"  {line}")
    if len(lines) > NUM_SHOWN:
        out.print(f"  ... and {len(lines) - NUM_SHOWN:,} more (--json shows all)", style="dim")


def _line(change: Change) -> str:
    text = f"{change.what}: {_shown(change.before)} -> {_shown(change.after)}"
    numbers = [v for v in (change.before, change.after) if isinstance(v, int | float) and not isinstance(v, bool)]
    return f"{text}  [dim]({numbers[1] - numbers[0]:+.6g})[/dim]" if len(numbers) == 2 else text


def _module(change: Change) -> str:
    what = "is new" if change.before is None else "is gone" if change.after is None else "changed"
    return f"{change.what} {what}"


def _shown(value: Json) -> str:
    if value is None:
        return "(not there)"
    text = f"{value:,.6g}" if isinstance(value, float) else str(value)
    return (text if len(text) <= 80 else f"{text[:77]}...").replace("[", "\\[")
