"""Importing raypipe, any module of it, starts nothing and brings in no engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.rules.source import modules

ENGINES = ("ray", "torch", "pandas", "lightgbm", "sklearn", "onnx", "onnxruntime", "skl2onnx", "polars", "duckdb", "wandb", "scipy")

PROBE = """
import importlib, json, logging, os, sys, threading
imported = {}
for name in sys.argv[2:]:
    importlib.import_module(name)
    for engine in sys.argv[1].split(","):
        if engine in sys.modules:
            imported.setdefault(engine, name)
print(json.dumps({
    "imported": imported,
    "threads": threading.active_count(),
    "children": open("/proc/self/task/%d/children" % os.getpid()).read().split() if os.path.exists("/proc/self/task") else [],
    "handlers": [str(h) for h in logging.getLogger().handlers],
    "environment": sorted(set(os.environ) - set(json.loads(sys.stdin.read()))),
}))
"""


def test_the_package_alone(tmp_path: Path):
    found = _import(tmp_path, "raypipe")
    assert found["imported"] == {}


def test_every_module(tmp_path: Path):
    found = _import(tmp_path, *(module.name for module in modules() if not module.name.endswith("__main__")))
    assert found == {"imported": {}, "threads": 1, "children": [], "handlers": [], "environment": []}


KERNELS = (
    "raypipe.data.function.whole",
    "raypipe.data.function.batches",
    "raypipe.data.rows",
    "raypipe.data.transform.kernel",
    "raypipe.data.ingest.intake",
    "raypipe.data.item.chunk",
    "raypipe.data.contract.examine",
    "raypipe.data.statistics.kept",
    "raypipe.data.shuffle.stages",
    "raypipe.data.shared",
    "raypipe.data.dataset",
    "raypipe.train.run",
)
"""What tasks import."""


def test_what_tasks_import_brings_in_no_database(tmp_path: Path):
    """It would be half of what a worker imports for its first task. Only the driver knows the ledger."""
    assert _import(tmp_path, *KERNELS, unwanted=("sqlalchemy", "psycopg", "hydra", "omegaconf", "rich"))["imported"] == {}


def test_every_export_can_be_imported():
    import raypipe

    for name in raypipe.__all__:
        assert getattr(raypipe, name) is not None


def _import(folder: Path, *names: str, unwanted: tuple[str, ...] = ENGINES) -> dict:
    home = folder / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROBE, ",".join(unwanted), *names]
    done = subprocess.run(command, input=json.dumps(sorted(environment)), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, "something printed while it was imported"
    assert not list(home.iterdir())
    assert [p.name for p in folder.iterdir()] == ["home"], "importing made a file"
    return json.loads(done.stdout)
