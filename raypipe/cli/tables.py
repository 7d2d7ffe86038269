"""tables: what the project's tables are, were and hold, and what a person does with them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.cli.rows import print_rows, write_rows
from raypipe.cli.terminal import console, show_rows, size_text
from raypipe.core.errors import ConfigError
from raypipe.pipeline.plan import Scene, open_scene
from raypipe.pipeline.reach import Reached, queried, reached

if TYPE_CHECKING:
    from raypipe.core.artifact import Table
    from raypipe.core.step import Made, Work
    from raypipe.data.lake.diff import Difference
    from raypipe.data.lake.snapshot import Snapshot


def list_(options: argparse.Namespace) -> int:
    """Every table with its newest snapshot."""
    from raypipe.data.table import names

    found = names(open_scene().ledger)
    rows = [(n, s.id, f"{s.num_rows:,}", s.num_files, size_text(s.size), s.created_at[:19]) for n, s in found.items()]
    heads = ("table", "snapshot", "rows", "files", "size", "made at")
    return show_rows(options, [_values(s) for s in found.values()], heads, rows, "no tables yet")


def show(options: argparse.Namespace) -> int:
    """One snapshot: its columns with their types and statistics."""
    found = _at(open_scene(), options.table)
    columns = _columns(found)
    if options.json:
        print(json.dumps({**_values(found.snapshot), "columns": columns}, indent=2, default=str))
        return 0
    s = found.snapshot
    made = f"{s.mode} by {found.artifact.pipeline}.{found.artifact.step}, run {found.artifact.run}"
    console().print(
        f"{s.name} snapshot {s.id}: {s.num_rows:,} rows in {s.num_files} files of {size_text(s.size)}, {s.created_at[:19]}, {made}"
    )
    rows = [[c["name"], c["type"], *("" if c[key] is None else c[key] for key in ("nulls", "min", "max")), c["marks"]] for c in columns]
    return show_rows(options, columns, ("column", "type", "nulls", "min", "max", ""), rows, "no columns")


def log(options: argparse.Namespace) -> int:
    """A table's snapshots, newest first, with what made them."""
    from raypipe.data.lake import tags
    from raypipe.data.table import snapshots

    scene = open_scene()
    found = snapshots(scene.ledger, options.table)[: options.limit]
    marks: dict[int, list[str]] = {}
    for tag in tags.tags(scene.ledger, options.table):
        marks.setdefault(tag.snapshot, []).append(tag.name)
    values, rows = [], []
    for s in found:
        made = scene.ledger.artifact(s.artifact)
        by = f"{made.pipeline}.{made.step}" if made else ""
        held = ", ".join(marks.get(s.id, ()))
        values.append({**_values(s), "by": by, "run": made.run if made else None, "tags": marks.get(s.id, [])})
        rows.append((s.id, s.mode, f"{s.num_rows:,}", s.num_files, size_text(s.size), s.created_at[:19], by, held))
    return show_rows(options, values, ("snapshot", "how", "rows", "files", "size", "made at", "by", "tags"), rows, "no snapshots")


def head(options: argparse.Namespace) -> int:
    """The first rows of a snapshot."""
    return print_rows(options, _at(open_scene(), options.table).head(options.limit), options.limit)


def sql(options: argparse.Namespace) -> int:
    """The rows of one SELECT."""
    rows, notes = queried(open_scene(), options.text, None if options.output else options.limit + 1)
    for note in notes:
        print(note, file=sys.stderr)
    if not options.output:
        return print_rows(options, rows, options.limit)
    write_rows(rows, Path(options.output))
    console().print(f"{rows.num_rows:,} rows written to {options.output}")
    return 0


def export(options: argparse.Namespace) -> int:
    """A snapshot copied out as Parquet files, or as an Iceberg table."""
    from raypipe.data.lake.export import to_iceberg, to_parquet
    from raypipe.data.table import TableSchema, fragments

    scene = open_scene()
    found = _at(scene, options.table)
    parts, schema, folder = (
        fragments(scene.ledger, found.artifact),
        TableSchema.from_json(found.artifact.schema).arrow,
        Path(options.folder),
    )
    if options.format == "iceberg":
        made = to_iceberg(scene.store, parts, schema, folder, found.snapshot.name)
    else:
        made = to_parquet(scene.store, parts, schema, folder)
    values = {"folder": str(folder), "format": options.format, "files": made.num_files, "rows": made.num_rows, "notes": list(made.notes)}
    lines = [f"{made.num_rows:,} rows written to {folder} as {options.format}, {made.num_files} files", *made.notes]
    print(json.dumps(values, indent=2) if options.json else "\n".join(lines))
    return 0


def tag(options: argparse.Namespace) -> int:
    """A name for a snapshot, or the name taken away."""
    from raypipe.data.lake import tags

    scene = open_scene()
    name = options.table.partition("@")[0]
    if options.remove:
        gone = tags.remove(scene.ledger, name, options.tag)
        said, values = f"{gone.name} of {name} is no tag any more; it named snapshot {gone.snapshot}", dataclasses.asdict(gone)
    else:
        made = tags.make(scene.ledger, name, options.tag, _at(scene, options.table).snapshot.id, force=options.force)
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
        return show_rows(options, [_values(s) for s in found], ("snapshot", "how", "rows", "made at"), rows, "nothing would expire")
    return _changed(
        options, "expire", lambda work: expired(work, options.table, **which), "{expired} snapshots have expired, {kept} are needed"
    )


def gc(options: argparse.Namespace) -> int:
    """Files that nothing names are listed, and those deleted that were listed long enough ago."""
    from raypipe.data.lake.gc import gc as collect

    scene = open_scene()
    done = collect(scene.ledger, scene.store, grace_s=options.grace_hours * 3600, dry_run=options.dry_run)
    if options.json:
        print(json.dumps(dataclasses.asdict(done), indent=2))
        return 0
    sizes = {name: sum(g.size for g in files) for name, files in (("deleted", done.deleted), ("listed", done.listed))}
    verb = "would be deleted" if options.dry_run else "deleted"
    print(f"{len(done.deleted):,} files of {size_text(sizes['deleted'])} {verb}")
    after = f"deleted after {options.grace_hours:g} hours on it"
    print(f"{len(done.listed):,} files of {size_text(sizes['listed'])} on the list: nothing names them, {after}")
    if done.num_unknown:
        print(f"{done.num_unknown:,} files in the store are not this ledger's: left alone")
    for garbage in (*done.deleted, *done.listed) if options.dry_run else ():
        print(f"  {garbage.path} {size_text(garbage.size)} since {garbage.since[:19]}")
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


def diff(options: argparse.Namespace) -> int:
    """What differs between two snapshots."""
    from raypipe.data.lake.diff import Side, difference
    from raypipe.data.table import TableSchema, fragments

    scene = open_scene()
    name, _, first = options.before.partition("@")
    sides = []
    for found in (reached(scene, name, first or None), reached(scene, name, options.after.rpartition("@")[2] if options.after else None)):
        schema = TableSchema.from_json(found.artifact.schema).arrow
        sides.append(Side(found.snapshot.id, schema, fragments(scene.ledger, found.artifact), found.snapshot.stats))
    found = difference(scene.store, sides[0], sides[1], options.key)
    if options.json:
        print(json.dumps(found.to_json(), indent=2, default=str))
    else:
        _print_difference(name, found)
    return 0


def _print_difference(name: str, found: Difference) -> None:
    out = console()
    rows, files = found.num_rows, found.num_files
    out.print(f"{name}: snapshot {found.before} -> {found.after}")
    out.print(f"rows {rows[0]:,} -> {rows[1]:,}, files {files[0]} -> {files[1]}, {found.shared_files} of them the same")
    for c in found.columns:
        out.print(f"  column '{c.column}' {c.what}: {' -> '.join(t for t in (c.before, c.after) if t)}")
    for column, figures in found.statistics.items():
        out.print(f"  {column}: " + ", ".join(f"{figure} {a} -> {b}" for figure, (a, b) in figures.items()))
    if found.keys:
        out.print(f"keys: {found.keys.added:,} added, {found.keys.removed:,} removed, {found.keys.changed:,} changed")
        for what, examples in found.keys.examples.items():
            out.print(f"  {what}: " + "; ".join(", ".join(f"{k} {v!r}" for k, v in row.items()) for row in examples))


def _at(scene: Scene, ref: str) -> Reached:
    name, _, at = ref.partition("@")
    return reached(scene, name, at or None)


def _columns(found: Reached) -> list[dict[str, Any]]:
    from raypipe.data.table import TableSchema
    from raypipe.data.types import type_name

    schema = TableSchema.from_json(found.artifact.schema)
    marks = dict.fromkeys(schema.known_afterwards, "known afterwards") | ({schema.label: "label"} if schema.label else {})
    made = []
    for column in schema.arrow:
        stats = found.snapshot.stats.get(column.name, {})
        figures = {key: stats.get(key) for key in ("nulls", "min", "max")}
        made.append({"name": column.name, "type": type_name(column.type), **figures, "marks": marks.get(column.name, "")})
    return made


def _values(snapshot: Snapshot) -> dict[str, Any]:
    return {k: getattr(snapshot, k) for k in ("name", "id", "mode", "num_rows", "num_files", "size", "created_at", "artifact")}
