"""runs, models, status: what the ledger and the store hold, without Ray."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

from raypipe.cli.terminal import console, cost_texts, show_rows, state_text
from raypipe.core.disk import warning
from raypipe.core.released import fate, released
from raypipe.core.wording import size_text
from raypipe.pipeline.plan import Scene, open_scene


def runs(options: argparse.Namespace) -> int:
    """The latest runs, newest first."""
    scene = open_scene()
    found = scene.ledger.runs(options.limit)
    if options.cost:
        return _costs(scene, options, [run.id for run in found])
    rows = [(r.id, r.pipeline, state_text(r.state), r.exit_code if r.exit_code is not None else "", r.who, r.command) for r in found]
    return show_rows(
        options, [dataclasses.asdict(r) for r in found], ("run", "pipeline", "state", "exit", "who", "command"), rows, "no runs yet"
    )


def models(options: argparse.Namespace) -> int:
    """Every model with its versions and aliases, or one model's figures."""
    from raypipe.registry.versions import aliases, names, versions

    scene = open_scene()
    if options.model:
        return _one_model(scene, options)
    rows, values = [], []
    with scene.ledger.reading() as connection:
        gone = released(connection, scene.ledger.project)
    for name in names(scene.ledger):
        marks = aliases(scene.ledger, name)
        for v in reversed(versions(scene.ledger, name)):
            held = [a for a, row in marks.items() if row.version == v.version]
            figures, at = _figures(scene, v.artifact_id), gone.get(v.artifact_id)
            marked = ", ".join(held) + (f"released {at.at[:10]}" if at else "")
            rows.append((name, v.version, marked, _number(figures.get("auc")), v.created_at[:19], v.who))
            values.append({**dataclasses.asdict(v), "aliases": held, "figures": figures, "released": str(at) if at else None})
    return show_rows(options, values, ("model", "version", "aliases", "AUC", "registered at", "who"), rows, "no models yet")


def status(options: argparse.Namespace) -> int:
    """Where ledger and store lie, how much they hold, and how much of that may go."""
    from raypipe.data.lake.holdings import survey
    from raypipe.data.table import names
    from raypipe.registry.endpoints import endpoints

    scene = open_scene()
    found = survey(scene.ledger, scene.store, scene.place.retention)
    values = {
        "project": scene.place.name,
        "folder": str(scene.place.path),
        "ledger": _without_password(scene.place.ledger_url),
        "store": scene.place.store_root,
        "files": found.num_files,
        "bytes": found.num_bytes,
        "releasable": found.releasable_bytes,
        "tables": len(names(scene.ledger)),
        "endpoints": {e.name: e.version for e in endpoints(scene.ledger)},
    }
    if low := warning(scene.store, scene.place.retention):
        values["warning"] = low
    if options.json:
        print(json.dumps(values, indent=2))
        return 0
    shown = {**values, "files": f"{found.num_files:,}", "bytes": size_text(found.num_bytes)}
    shown["releasable"] = f"{size_text(found.releasable_bytes)} (raypipe gc --dry-run says of what)"
    shown["endpoints"] = ", ".join(f"{n} (version {v})" for n, v in values["endpoints"].items()) or "none"
    for key, value in shown.items():
        console().print(f"{key:10} {value}")
    return 0


COST = ("CPU", "GPU", "peak memory", "read", "written")


def _costs(scene: Scene, options: argparse.Namespace, runs: list[str]) -> int:
    """A line a run: what its steps cost, and what its HITs spared it."""
    spent = scene.ledger.spent(runs)
    rows = [(run, f"{s.seconds:,.1f}s", *cost_texts(s.cost), f"{s.saved.cpu_s:,.1f}s", f"{s.saved_s:,.1f}s") for run, s in spent.items()]
    heads = ("run", "time", *COST, "CPU saved", "time saved")
    return show_rows(options, [{"run": run, **dataclasses.asdict(s)} for run, s in spent.items()], heads, rows, "no runs yet")


def _one_model(scene: Scene, options: argparse.Namespace) -> int:
    from raypipe.evaluate.report import report
    from raypipe.registry.versions import resolve

    version, artifact = resolve(scene.ledger, options.model)
    figures, gone = _figures(scene, artifact.id), fate(scene.ledger, scene.store, [artifact]).get(artifact.id)
    if options.json:
        print(json.dumps({**dataclasses.asdict(version), "run": artifact.run, "figures": figures, "released": gone}, indent=2))
        return 0
    console().print(
        f"{version.name} version {version.version}, from run {artifact.run}, registered {version.created_at[:19]} by {version.who}"
    )
    if gone:
        console().print(gone, style="yellow")
    print(report(figures) if figures else "not evaluated")
    return 0


def _figures(scene: Scene, model_id: str) -> dict[str, Any]:
    found = scene.ledger.children(model_id, "Evaluation")
    return dict(found[-1].figures) if found else {}


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4f}"


def _without_password(url: str) -> str:
    if url.startswith("sqlite"):
        return url
    from sqlalchemy import make_url

    return make_url(url).render_as_string(hide_password=True)
