"""What a person sees of a plan and of a run: a line a step, with its state, its rows, its time, and the cause."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from raypipe.core.wording import size_text

if TYPE_CHECKING:
    import argparse

    from raypipe.core.artifact import Artifact, Json
    from raypipe.core.meter import Cost
    from raypipe.pipeline.driver import StepEvent
    from raypipe.pipeline.node import Pipeline
    from raypipe.pipeline.plan import Plan
    from raypipe.pipeline.run import RunResult

STYLES = {
    "HIT": "green",
    "in place": "green",
    "recorded": "green",
    "held": "yellow",
    "RUN": "cyan",
    "RESUME": "cyan",
    "MAYBE": "blue",
    "SKIP": "yellow",
    "BLOCKED": "yellow",
    "FAILED": "red",
    "INTERRUPTED": "yellow",
}

RUN_STYLES = {"DONE": "green", "RUNNING": "cyan", "REFUSED": "yellow", "FAILED": "red", "INTERRUPTED": "red"}


WIDTH = 160
"""Of what goes into a file or a pipe: long enough that no name breaks."""


class Output(Console):
    """Standard output. Where its reader has gone rich would end the process by itself, with exit code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    return Output(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def _line_console(quiet: bool = False) -> Console:
    """For what is a line each: in a file or a pipe it stays one, however long."""
    is_terminal = sys.stdout.isatty()
    return Output(quiet=quiet, highlight=False, width=None if is_terminal else WIDTH, soft_wrap=not is_terminal)


def plan_lines(plan: Plan, notes: Sequence[str] = ()) -> None:
    """Each step with its state and why, then what cannot be known beforehand, and whether anything is to do."""
    out = _line_console()
    width = max(len(s.name) for s in plan.steps)
    for step in plan.steps:
        out.print(_line(step.name, width, step.standing.state if step.standing and step.state == "HIT" else step.state, "", step.why))
    for note in notes:
        out.print(Text(note, style="dim"))
    if plan.nothing_to_do:
        out.print("nothing to do", style="dim")


class Terminal:
    """Shows a run as it goes: a spinner with the steps at work, a line for each that ended and what it said. Errors are the caller's."""

    def __init__(self, pipeline: Pipeline, quiet: bool = False, plain: bool = False):
        self.width = max(len(name) for name in pipeline.nodes)
        self.out = _line_console(quiet)
        self.status = self.out.status("") if self.out.is_terminal and not plain else None
        self.notes: dict[str, list[str]] = {}
        self.running: dict[str, str] = {}
        """Step -> what it does just now, in the order in which they started."""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.status:
            self.status.stop()

    def on_event(self, event: StepEvent) -> None:
        try:
            self._told(event)
        except OSError:
            self.out.quiet = True  # it ends the run: the steps that are ended then have nobody to tell
            raise

    def _told(self, event: StepEvent) -> None:
        if event.what in ("ended", "failed"):
            self._ended(event)
        elif event.what in ("waiting", "retried"):
            self.running[event.step] = f"{event.state} {event.why}"
            self.out.print(Text(f"  {event.step:{self.width}}  {event.why}", style="yellow"))
        else:
            if event.what == "progress":
                self.notes.setdefault(event.step, []).append(event.why)
            self.running[event.step] = event.why if event.what == "progress" else f"{event.state} {event.why}"
        self._spin()

    def _spin(self) -> None:
        """One step with what it does; of several, their names."""
        if not self.status:
            return
        if not self.running:
            self.status.stop()
            return
        one = [f"{step} {what}" for step, what in self.running.items()]
        text = one[0] if len(one) == 1 else f"{len(one)} steps: {', '.join(self.running)}"
        self.status.update(Text(text[: self.out.width - 4]))
        self.status.start()

    def _ended(self, event: StepEvent) -> None:
        if self.status:
            self.status.stop()
        self.running.pop(event.step, None)
        state = event.standing if event.standing and event.state == "HIT" else event.state
        figures = _figures(event.artifact, event.seconds, event.state in ("RUN", "RESUME", "FAILED", "INTERRUPTED"))
        self.out.print(_line(event.step, self.width, state, figures, event.why.splitlines()[0] if event.why else ""))
        for note in self.notes.pop(event.step, [])[-6:]:
            self.out.print(Text(f"  {'':{self.width}}  {note}", style="dim"))

    def end(self, result: RunResult) -> None:
        """The last line: how the run ended, and the command that goes on from here."""
        words = {"done": "done", "failed": "failed", "refused": "refused: the model does not go on", "interrupted": "interrupted"}
        style = {"done": "green", "refused": "yellow"}.get(result.state, "red")
        self.out.print(Text(f"run {result.id} {words[result.state]} in {result.seconds:.1f} s", style=style))
        for note in result.notes:
            self.out.print(Text(note, style="yellow"))
        if result.error:
            print(f"raypipe: {result.error}", file=sys.stderr)


def result_json(result: RunResult) -> dict[str, Json]:
    """A run for machines."""
    steps = {
        name: {
            "state": s.state,
            "why": s.why,
            "standing": s.standing.state if s.standing else None,
            "artifact": s.artifact.id if s.artifact else None,
            "figures": s.artifact.figures if s.artifact else None,
        }
        for name, s in result.steps.items()
    }
    fields: dict[str, Any] = {"run": result.id, "pipeline": result.pipeline, "state": result.state, "exit_code": result.exit_code}
    return {**fields, "error": result.error or None, "seconds": round(result.seconds, 3), "notes": result.notes, "steps": steps}


def show_rows(options: argparse.Namespace, values: Any, heads: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> int:
    """A table for a person, `values` as JSON for a machine; `empty` is said where there are no rows."""
    from rich.table import Table

    if options.json:
        print(json.dumps(values, indent=2, default=str))
        return 0
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        numeric = head in ("snapshot", "rows", "files", "size", "version", "AUC", "time", "exit")
        shown.add_column(head, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*map(str, row))
    console().print(shown if shown.row_count else empty)
    return 0


def cost_texts(cost: Cost) -> tuple[str, ...]:
    """CPU, GPU, peak memory, bytes read and written."""
    gpu = f"{cost.gpu_s:,.1f}s" if cost.gpu_s else ""
    return f"{cost.cpu_s:,.1f}s", gpu, size_text(cost.peak_bytes), size_text(cost.read_bytes), size_text(cost.written_bytes)


def state_text(state: str) -> str:
    """In its colour, of a run or of a step."""
    style = RUN_STYLES.get(state, STYLES.get(state, ""))
    return f"[{style}]{state}[/{style}]" if style else state


def _line(name: str, width: int, state: str, figures: str, why: str) -> Text:
    line = Text(f"  {name:{width}}  ")
    line.append(f"{state:8}", style=STYLES.get(state, ""))
    line.append(f"  {figures:>22}" if figures else "")
    line.append(f"  {why}" if why else "", style="dim")
    return line


def _figures(artifact: Artifact | None, seconds: float, ran: bool) -> str:
    rows = f"{artifact.figures['num_rows']:,} rows" if artifact and "num_rows" in artifact.figures else ""
    return f"{rows:>14}  {seconds:5.1f}s" if ran else f"{rows:>14}  {'':6}" if rows else ""
