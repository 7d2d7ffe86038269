"""tables: what a person changes about the project's tables, each a run of one step."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from raypipe.cli.tables import snapshot_values
from raypipe.cli.terminal import show_rows
from raypipe.core.errors import ConfigError
from raypipe.pipeline.plan import open_scene
from raypipe.pipeline.reach import reached

if TYPE_CHECKING:
    from raypipe.core.artifact import Table
    from raypipe.core.step import Made, Work


def tag(options: argparse.Namespace) -> int:
    """A name for a snapshot, or the name taken away."""
    from raypipe.data.lake import tags

    scene = open_scene()
    name = options.table.partition("@")[0]
    if options.remove:
        gone = tags.remove(scene.ledger, name, options.tag)
        said, values = f"{gone.name} of {name} is no tag any more; it named snapshot {gone.snapshot}", dataclasses.asdict(gone)
    else:
        made = tags.make(scene.ledger, name, options.tag, reached(scene, options.table).snapshot.id, force=options.force)
        said, values = f"{made.name} names snapshot {made.snapshot} of {name}", dataclasses.asdict(made)
    print(json.dumps(values, indent=2) if options.json else said)
    return 0


def delete(options: argparse.Namespace) -> int:
    """The rows that meet conditions, deleted; earlier snapshots keep them until they expire."""
    from raypipe.data.lake.deletes import delete_where

    return _changed(options, "delete", lambda work: delete_where(work, options.table, options.where))


def alter(options: argparse.Namespace) -> int:
    """Other columns from the next snapshot on, without a file being written."""
    from raypipe.data.lake.alter import alter as altered
    from raypipe.data.lake.evolve import Alter

    typed = {name: type_ for name, type_, _ in map(_column_spec, options.add)}
    defaults = {name: json.loads(default) for name, _, default in map(_column_spec, options.add) if default}
    change = Alter(
        add=typed,
        default=defaults,
        widen=dict(_pair(text, ":") for text in options.widen),
        rename=dict(_pair(text, "=") for text in options.rename),
        drop=options.drop,
    )
    return _changed(options, "alter", lambda work: altered(work, options.table, change))


def restore(options: argparse.Namespace) -> int:
    """The content of an older snapshot as the newest one; no bytes are copied, and what came since stays readable."""
    from raypipe.data.lake.restore import restore as restored

    name, _, at = options.table.partition("@")
    if not at:
        raise ConfigError(f"restore {name}: which snapshot? NAME@SNAPSHOT, NAME@TAG or NAME@TIME; `raypipe tables log {name}` lists them.")
    options.table = name
    return _changed(options, "restore", lambda work: restored(work, name, at))


def compact(options: argparse.Namespace) -> int:
    """Small files joined, and deleted rows left out of what is written anew."""
    from raypipe.data.lake.compact import compact as compacted

    return _changed(options, "compact", lambda work: compacted(work, options.table, options.min_deleted, not options.any_order))


def expire(options: argparse.Namespace) -> int:
    """Old snapshots end; what is tagged, registered, running or the newest of its step stays."""
    from raypipe.data.lake.expire import expirable
    from raypipe.data.lake.expire import expire as expired

    which = {"older_than": _age(options.older_than), "keep_last": options.keep}
    if options.dry_run:
        found = expirable(open_scene().ledger, options.table, **which)
        rows = [(s.id, s.mode, f"{s.num_rows:,}", s.created_at[:19]) for s in found]
        return show_rows(options, [snapshot_values(s) for s in found], ("snapshot", "how", "rows", "made at"), rows, "nothing would expire")
    return _changed(
        options, "expire", lambda work: expired(work, options.table, **which), "{expired} snapshots have expired, {kept} are needed"
    )


def _column_spec(text: str) -> tuple[str, str, str]:
    """`score:float32=0.5` -> score, float32, 0.5."""
    name, rest = _pair(text, ":")
    type_, _, default = rest.partition("=")
    return name, type_, default


def _pair(text: str, between: str) -> tuple[str, str]:
    first, found, second = text.partition(between)
    if not (first and found and second):
        raise ConfigError(f"'{text}': expected two names with a '{between}' between them.")
    return first, second


def _changed(options: argparse.Namespace, what: str, change: Callable[[Work], Made[Table]], told: str = "") -> int:
    """A change by a person, published and told; `told` is a line about its figures."""
    from raypipe.pipeline.act import act

    notes: list[str] = []
    artifact = act(open_scene(), what, options.table, change, shlex.join(["raypipe", *sys.argv[1:]]), notes.append)
    figures = {k: v for k, v in artifact.figures.items() if k != "num_fragments"}
    if options.json:
        print(json.dumps({**figures, "notes": notes}, indent=2, default=str))
        return 0
    for note in notes:
        print(note)
    if told:
        print(told.format(**figures))
    print(f"{options.table} is at snapshot {figures['snapshot']}: {figures['num_rows']:,} rows")
    return 0


_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _age(text: str | None) -> timedelta | None:
    """`30d`, `12h`, `5m`."""
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not number.isdigit():
        raise ConfigError(f"'{text}' is no age: expected a number of days, hours or minutes, such as 30d, 12h or 5m.")
    return timedelta(**{_UNITS[unit]: int(number)})
