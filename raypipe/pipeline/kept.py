"""What is kept of a run so that it can be told and run again: its pipeline, the user's code, the environment, the state of git."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from raypipe.code.closure import closure
from raypipe.code.distribution import installed
from raypipe.core.artifact import Json
from raypipe.core.secret import masked
from raypipe.pipeline.fingerprint import targets
from raypipe.pipeline.node import Node, Pipeline
from raypipe.pipeline.plan import Scene

GIT_S = 10.0
"""How long git may take to say what it knows."""
DIFF_BYTES = 1 << 20
"""A longer diff is not kept, and that is said: it is mostly data."""


def kept(pipeline: Pipeline, scene: Scene) -> dict[str, Json]:
    """By name, with secrets masked: `pipeline` (name and nodes), `code` (module -> source), `environment` (Python, platform, versions of
    all distributions), and `git` (commit, diff against it) where the project lies in a repository."""
    document: dict[str, Json] = {
        "pipeline": {"name": pipeline.name, "nodes": {name: _node(node) for name, node in pipeline.nodes.items()}},
        "code": dict(sorted(_modules(pipeline, scene))),
        "environment": {"python": platform.python_version(), "platform": platform.platform(), "distributions": installed()},
    }
    git = _git(scene.place.path)
    return masked(document | ({"git": git} if git else {}), told_apart=True)


def pipeline_of(document: Mapping[str, Json]) -> Pipeline:
    """The pipeline that was kept."""
    nodes = {name: Node(n["target"], json.loads(n["settings"]), n["refs"]) for name, n in document["nodes"].items()}
    return Pipeline.of(document["name"], nodes)


def _node(node: Node) -> Json:
    # As text, for transforms and columns have an order, and the ledger sorts the keys of its documents; masked before that escapes a quote.
    return {"target": node.target, "settings": json.dumps(masked(node.settings, told_apart=True)), "refs": node.refs}


def _modules(pipeline: Pipeline, scene: Scene) -> Iterator[tuple[str, Json]]:
    """The modules of the user's that any step reaches, as far as their source can be found."""
    for target in dict.fromkeys(t for node in pipeline.nodes.values() for t in targets({"_target_": node.target, **node.settings})):
        found = None if target.startswith("raypipe.") else closure(target, scene.search)
        if found is not None:
            for name, source in found.modules.items():
                yield name, {"source": source, "is_package": name in found.packages}


def _git(folder: Path) -> Json:
    commit = _said(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    diff = _said(folder, "diff", "HEAD", "--", ".")
    known: dict[str, Json] = {"commit": commit.strip(), "dirty": bool(diff)}
    if diff and len(diff.encode()) > DIFF_BYTES:
        return known | {"diff": None, "note": f"the diff of {len(diff.encode()):,} bytes is not kept"}
    return known | ({"diff": diff} if diff else {})


def _said(folder: Path, *arguments: str) -> str | None:
    """What git answers; None where there is no git, no repository or no commit."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=GIT_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode(errors="replace") if answer.returncode == 0 else None
