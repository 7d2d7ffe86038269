"""reproduce: a registered model made again from what was kept, beside what it was."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from raypipe.cli.terminal import Terminal, console, show_rows
from raypipe.core.errors import ConfigError, Problem
from raypipe.pipeline.compare import Change
from raypipe.pipeline.original import Original, original
from raypipe.pipeline.plan import open_scene
from raypipe.pipeline.reproduce import Reproduction, environment, reproduced

STYLES = {"same bytes": "green", "within bounds": "green", "differs": "red", "not made": "red"}


def reproduce(options: argparse.Namespace) -> int:
    """Exit code 0 where all is equal, 1 where something differs."""
    if not 0 < options.within < 1:
        raise ConfigError([Problem("--within", f"found {options.within:g}, expected a share above 0 and below 1.")])
    scene = open_scene()
    found = original(scene, options.model)
    shaping, rest = environment(found)
    if not options.json:
        _say_environment(found, shaping, rest)
    with _folder(options.keep) as folder, Terminal(found.pipeline, quiet=options.json) as terminal:
        made = reproduced(found, scene, folder, options.within, terminal.on_event)
    if options.json:
        different = {"shaping": [dataclasses.asdict(c) for c in shaping], "rest": [dataclasses.asdict(c) for c in rest]}
        print(json.dumps({**dataclasses.asdict(made), "equal": made.is_equal, "environment": different}, indent=2))
    else:
        _say(made, options)
    return 0 if made.is_equal else 1


@contextlib.contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    if keep:
        yield Path(keep).absolute()
        return
    with tempfile.TemporaryDirectory(prefix="raypipe-reproduce-") as folder:
        yield Path(folder)


def _say_environment(found: Original, shaping: list[Change], rest: list[Change]) -> None:
    out = console()
    out.print(f"{found.version} was made by run {found.run.id}: {', '.join(found.pipeline.nodes)}", markup=False)
    for change in shaping:
        out.print(f"  {change.what}: {change.before or 'none'} -> {change.after or 'none'}", style="yellow", markup=False)
    same = "the environment is the same" if not shaping else ""
    others = f"{len(rest)} distributions that shape none of it differ" if rest else ""
    if same or others:
        out.print("  " + "; ".join(filter(None, (same, others))), style="dim")


def _say(made: Reproduction, options: argparse.Namespace) -> None:
    rows = [(s.step, s.kind, f"[{STYLES[s.verdict]}]{s.verdict}[/]", s.what.replace("[", "\\[")) for s in made.steps]
    console().print()
    show_rows(options, [], ("step", "kind", "again", "what"), rows, "")
    if made.error:
        console().print(f"it ended with an error: {made.error}", style="red", markup=False)
    kept = f"; its ledger and store lie in {options.keep}" if options.keep else ""
    words = "is reproduced" if made.is_equal else "is not reproduced"
    console().print(f"{made.version} {words} in {made.seconds:.1f} s{kept}", style="green" if made.is_equal else "red")
