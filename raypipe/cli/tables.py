"""tables: what the project's tables are, were and hold."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raypipe.cli.rows import print_rows, write_rows
from raypipe.cli.terminal import console, show_rows
from raypipe.core.wording import counted, size_text
from raypipe.pipeline.plan import open_scene
from raypipe.pipeline.reach import Reached, queried, reached

if TYPE_CHECKING:
    from raypipe.data.lake.diff import Difference
    from raypipe.data.lake.snapshot import Snapshot


def list_(options: argparse.Namespace) -> int:
    """Every table with its newest snapshot."""
    from raypipe.data.table import names

    found = names(open_scene().ledger)
    rows = [(n, s.id, f"{s.num_rows:,}", s.num_files, size_text(s.size), s.created_at[:19]) for n, s in found.items()]
    heads = ("table", "snapshot", "rows", "files", "size", "made at")
    return show_rows(options, [snapshot_values(s) for s in found.values()], heads, rows, "no tables yet")


def show(options: argparse.Namespace) -> int:
    """One snapshot: its columns with their types and statistics."""
    found = reached(open_scene(), options.table)
    columns = _columns(found)
    if options.json:
        print(json.dumps({**snapshot_values(found.snapshot), "columns": columns}, indent=2, default=str))
        return 0
    s = found.snapshot
    made = f"{s.mode} by {found.artifact.pipeline}.{found.artifact.step}, run {found.artifact.run}"
    files = f"{counted(s.num_files, 'file')} of {size_text(s.size)}"
    console().print(f"{s.name} snapshot {s.id}: {s.num_rows:,} rows in {files}, {s.created_at[:19]}, {made}")
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
        values.append({**snapshot_values(s), "by": by, "run": made.run if made else None, "tags": marks.get(s.id, [])})
        rows.append((s.id, s.mode, f"{s.num_rows:,}", s.num_files, size_text(s.size), s.created_at[:19], by, held))
    return show_rows(options, values, ("snapshot", "how", "rows", "files", "size", "made at", "by", "tags"), rows, "no snapshots")


def head(options: argparse.Namespace) -> int:
    """The first rows of a snapshot."""
    return print_rows(options, reached(open_scene(), options.table).head(options.limit), options.limit)


def sql(options: argparse.Namespace) -> int:
    """The rows of one SELECT."""
    rows, notes = queried(open_scene(), options.text, None if options.output else options.limit + 1)
    for note in notes:
        print(note, file=sys.stderr)
    if not options.output:
        return print_rows(options, rows, options.limit)
    write_rows(rows, Path(options.output))
    console().print(f"{counted(rows.num_rows, 'row')} written to {options.output}")
    return 0


def export(options: argparse.Namespace) -> int:
    """A snapshot copied out as Parquet files, or as an Iceberg table."""
    from raypipe.data.lake.export import to_iceberg, to_parquet
    from raypipe.data.table import TableSchema, fragments

    scene = open_scene()
    found = reached(scene, options.table)
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
    lines = [f"{counted(made.num_rows, 'row')} written to {folder} as {options.format}, {counted(made.num_files, 'file')}", *made.notes]
    print(json.dumps(values, indent=2) if options.json else "\n".join(lines))
    return 0


def diff(options: argparse.Namespace) -> int:
    """What differs between two snapshots."""
    from raypipe.data.lake.diff import Side, difference
    from raypipe.data.table import TableSchema, fragments

    scene = open_scene()
    name, after = options.before.partition("@")[0], options.after.rpartition("@")[2] if options.after else None
    sides = []
    for found in (reached(scene, options.before), reached(scene, name, after)):
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


def _columns(found: Reached) -> list[dict[str, Any]]:
    from raypipe.data.table import TableSchema
    from raypipe.data.types import type_name

    schema = TableSchema.from_json(found.artifact.schema)
    marks = dict.fromkeys(schema.known_afterwards, "known afterwards") | ({schema.label: "label"} if schema.label else {})
    made = []
    for column in schema.arrow:
        stats = found.snapshot.stats.get(column.name, {})
        # Parquet writes the least zero as -0.0.
        figures = {key: 0.0 if (v := stats.get(key)) == 0 and isinstance(v, float) else v for key in ("nulls", "min", "max")}
        made.append({"name": column.name, "type": type_name(column.type), **figures, "marks": marks.get(column.name, "")})
    return made


def snapshot_values(snapshot: Snapshot) -> dict[str, Any]:
    return {k: getattr(snapshot, k) for k in ("name", "id", "mode", "num_rows", "num_files", "size", "created_at", "artifact")}
