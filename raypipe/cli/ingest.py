"""ingest: what is new in the sources taken into their tables, once or for as long as it goes on."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raypipe.cli.pipeline import open_pipeline
from raypipe.cli.terminal import WIDTH
from raypipe.core.errors import ConfigError, Problem
from raypipe.loop.follow import Follow, Pace, follow
from raypipe.loop.gauge import Gauge
from raypipe.loop.stop import on_signals

LINE_S = 10.0
"""Between two lines where the output is no terminal."""


def ingest(options: argparse.Namespace) -> int:
    """Exit code 0 when nothing is left, 130 and 143 after a signal, 75 where another process follows the table (`--no-wait`)."""
    names = [name for name in options.names if not _is_override(name)]
    options.overrides = (*[name for name in options.names if _is_override(name)], *options.overrides)
    opened = open_pipeline(options)
    with on_signals() as stop, Shown(quiet=options.json) as shown:
        what = Follow(
            opened.pipeline,
            opened.scene,
            names,
            _pace(options),
            forever=options.follow,
            wait=not options.no_wait,
            command=shlex.join(["raypipe", *sys.argv[1:]]),
            metrics=Path(options.metrics) if options.metrics else None,
            on_gauges=shown.gauges,
            report=shown.report,
        )
        found = follow(what, stop.event)
    if options.json:
        print(json.dumps({gauge.table: _json(gauge) for gauge in found}, indent=2))
    else:
        for gauge in found:
            print(f"{gauge.line()}")
    return stop.exit_code


@dataclass
class Shown:
    """One line that changes in a terminal; else a line now and then."""

    quiet: bool = False
    _stack: ExitStack = field(default_factory=ExitStack)
    _status: Any = None
    _told_at: float = 0.0

    def __enter__(self) -> Shown:
        from raypipe.cli.terminal import Output

        self.out = Output(quiet=self.quiet, highlight=False, width=None if sys.stdout.isatty() else WIDTH)
        if self.out.is_terminal:
            self._status = self._stack.enter_context(self.out.status("starts"))
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.close()

    def gauges(self, found: Sequence[Gauge]) -> None:
        line = " | ".join(gauge.line() for gauge in found)
        if self._status:
            self._status.update(line[: self.out.width - 4])
        elif time.monotonic() - self._told_at > LINE_S:
            self._told_at = time.monotonic()
            self.out.print(line)

    def report(self, step: str, text: str) -> None:
        if not self._status or "could not be read" in text or "again in" in text:
            self.out.print(f"  {step}: {text}", markup=False)


def _is_override(text: str) -> bool:
    return "=" in text or text.startswith(("~", "+"))


def _pace(options: argparse.Namespace) -> Pace:
    wrong = [f"--{name}" for name in ("rows", "bytes", "seconds") if getattr(options, name) <= 0]
    if wrong:
        raise ConfigError([Problem(name, "expected more than 0") for name in wrong])
    return Pace(options.rows, options.bytes, options.seconds)


def _json(gauge: Gauge) -> dict[str, Any]:
    return {"rows": gauge.num_rows, "batches": gauge.num_batches, "snapshot": gauge.snapshot, "lag": dict(gauge.lag)}
