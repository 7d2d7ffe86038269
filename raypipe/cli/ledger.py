"""runs, tables, models, status: what the ledger and the store hold, without Ray."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import Any

from raypipe.cli.terminal import STYLES, console
from raypipe.core.errors import ConfigError
from raypipe.pipeline.plan import Scene, open_scene


def runs(options: argparse.Namespace) -> int:
    """The latest runs, newest first, or one run's steps."""
    scene = open_scene()
    if options.run:
        return _one_run(scene, options)
    found = scene.ledger.runs(options.limit)
    rows = [(r.id, r.pipeline, _styled(r.state), r.exit_code if r.exit_code is not None else "", r.who, r.command) for r in found]
    return _show(
        options, [dataclasses.asdict(r) for r in found], ("run", "pipeline", "state", "exit", "who", "command"), rows, "no runs yet"
    )


def tables(options: argparse.Namespace) -> int:
    """Every table with its newest snapshot, or one table's snapshots and first rows."""
    from raypipe.data.table import names, snapshots

    scene = open_scene()
    if options.table:
        return _one_table(scene, options, snapshots(scene.ledger, options.table))
    found = names(scene.ledger)
    rows = [(n, s.id, f"{s.num_rows:,}", s.num_files, _bytes(s.size), s.created_at[:19]) for n, s in found.items()]
    heads = ("table", "snapshot", "rows", "files", "size", "made at")
    return _show(options, [_snapshot(s) for s in found.values()], heads, rows, "no tables yet")


def models(options: argparse.Namespace) -> int:
    """Every model with its versions and aliases, or one model's figures."""
    from raypipe.registry.versions import aliases, names, versions

    scene = open_scene()
    if options.model:
        return _one_model(scene, options)
    rows, values = [], []
    for name in names(scene.ledger):
        marks = aliases(scene.ledger, name)
        for v in reversed(versions(scene.ledger, name)):
            held = [a for a, row in marks.items() if row.version == v.version]
            figures = _figures(scene, v.artifact_id)
            rows.append((name, v.version, ", ".join(held), _number(figures.get("auc")), v.created_at[:19], v.who))
            values.append({**dataclasses.asdict(v), "aliases": held, "figures": figures})
    return _show(options, values, ("model", "version", "aliases", "AUC", "registered at", "who"), rows, "no models yet")


def status(options: argparse.Namespace) -> int:
    """Where ledger and store lie, and how much they hold."""
    from raypipe.data.table import names
    from raypipe.registry.endpoints import endpoints

    scene = open_scene()
    files, size = scene.store.size()
    values = {
        "project": scene.place.name,
        "folder": str(scene.place.path),
        "ledger": _without_password(scene.place.ledger_url),
        "store": scene.place.store_root,
        "files": files,
        "bytes": size,
        "tables": len(names(scene.ledger)),
        "endpoints": {e.name: e.version for e in endpoints(scene.ledger)},
    }
    if options.json:
        print(json.dumps(values, indent=2))
        return 0
    shown = {**values, "files": f"{files:,}", "bytes": _bytes(size)}
    shown["endpoints"] = ", ".join(f"{n} (version {v})" for n, v in values["endpoints"].items()) or "none"
    for key, value in shown.items():
        console().print(f"{key:10} {value}")
    return 0


def _one_run(scene: Scene, options: argparse.Namespace) -> int:
    steps = scene.ledger.steps(options.run)
    if not steps:
        raise ConfigError(f"there is no run '{options.run}' in this project. `raypipe runs` lists them.")
    rows = [(s.step, _styled(s.state), f"{s.rows:,}" if s.rows is not None else "", f"{s.seconds or 0:.1f}s", s.why) for s in steps]
    return _show(options, [dataclasses.asdict(s) for s in steps], ("step", "state", "rows", "time", "why"), rows, "")


def _one_table(scene: Scene, options: argparse.Namespace, found: Sequence[Any]) -> int:
    from raypipe.pipeline.reach import table

    rows = [(s.id, s.mode, f"{s.num_rows:,}", s.num_files, _bytes(s.size), s.created_at[:19]) for s in found]
    code = _show(options, [_snapshot(s) for s in found], ("snapshot", "how", "rows", "files", "size", "made at"), rows, "")
    if not options.json and options.limit:
        print(table(options.table).to_polars().head(options.limit))
    return code


def _one_model(scene: Scene, options: argparse.Namespace) -> int:
    from raypipe.evaluate.report import report
    from raypipe.registry.versions import resolve

    version, artifact = resolve(scene.ledger, options.model)
    figures = _figures(scene, artifact.id)
    if options.json:
        print(json.dumps({**dataclasses.asdict(version), "run": artifact.run, "figures": figures}, indent=2))
        return 0
    console().print(
        f"{version.name} version {version.version}, from run {artifact.run}, registered {version.created_at[:19]} by {version.who}"
    )
    print(report(figures) if figures else "not evaluated")
    return 0


def _figures(scene: Scene, model_id: str) -> dict[str, Any]:
    found = scene.ledger.children(model_id, "Evaluation")
    return dict(found[-1].figures) if found else {}


def _show(options: argparse.Namespace, values: Any, heads: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> int:
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


def _snapshot(snapshot: Any) -> dict[str, Any]:
    return {k: getattr(snapshot, k) for k in ("name", "id", "mode", "num_rows", "num_files", "size", "created_at", "artifact")}


def _styled(state: str) -> str:
    style = {"DONE": "green", "RUNNING": "cyan", "REFUSED": "yellow", "FAILED": "red", "INTERRUPTED": "red"}.get(
        state, STYLES.get(state, "")
    )
    return f"[{style}]{state}[/{style}]" if style else state


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4f}"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _without_password(url: str) -> str:
    if url.startswith("sqlite"):
        return url
    from sqlalchemy import make_url

    return make_url(url).render_as_string(hide_password=True)
