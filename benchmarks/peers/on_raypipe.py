"""raypipe and plain Ray tasks, in one process on one warm cluster.

python on_raypipe.py tables|figures|tasks ADDRESS
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import ray
from asked import answer

from raypipe import Attach, Pipeline
from raypipe.data.table import read
from raypipe.pipeline.connection import Connection
from raypipe.pipeline.node import Node
from raypipe.pipeline.options import Options
from raypipe.pipeline.plan import Scene, open_scene
from raypipe.pipeline.run import run as run_pipeline

TARGETS = {"tables": ("trivial.first", "trivial.add", "table"), "figures": ("trivial.Figure", "trivial.Figure", "reads")}


def nodes(kind: str, shape: str, number: int) -> dict[str, Node]:
    first, add, edge = TARGETS[kind]
    start = {"s0" if shape == "chain" else "first": Node(first, {}, {"reads": None} if kind == "figures" else {})}
    if shape == "chain":
        return start | {f"s{i}": Node(add, {"by": 1} if kind == "figures" else {}, {edge: f"s{i - 1}"}) for i in range(1, number)}
    return start | {f"s{i}": Node(add, {"by": i}, {edge: "first"}) for i in range(number)}


class Raypipe:
    """A project in each folder, over one connection and with one ledger for all, as Prefect has one database."""

    def __init__(self, kind: str, address: str):
        os.environ["RAYPIPE_LEDGER"] = f"sqlite:///{tempfile.mkdtemp(prefix='raypipe-')}/ledger.db"
        self.kind, self.cluster = kind, Attach(address)
        self.connection: Connection | None = None
        self.scenes: dict[str, Scene] = {}
        """By folder: a program that stays keeps its ledger open."""

    def run(self, shape: str, number: int, folder: str) -> int:
        project = prepared(Path(folder))
        scene = self.scenes[folder] = self.scenes.get(folder) or open_scene(project)
        self.connection = self.connection or Connection(self.cluster, scene.place)
        pipeline = Pipeline.of(f"{shape}{number}", nodes(self.kind, shape, number))
        pipeline.project_path = project
        result = run_pipeline(pipeline, scene, Options(cluster=self.cluster, connection=self.connection))
        assert result.state == "done", result.error
        last: Any = result[f"s{number - 1}"]
        return last.figures["number"] if self.kind == "figures" else read(scene.ledger, scene.store, last)["number"][0].as_py()


def prepared(folder: Path) -> Path:
    if not (folder / "trivial.py").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(__file__).with_name("trivial.py"), folder)
    return folder


@ray.remote
def first() -> int:
    return 0


@ray.remote
def add(number: int, by: int) -> int:
    return number + by


def tasks(shape: str, number: int, folder: str) -> int:
    made: Any = first.remote()
    if shape == "fan":
        return ray.get([add.remote(made, by) for by in range(number)])[-1]
    for _ in range(1, number):
        made = add.remote(made, 1)
    return ray.get(made)


if __name__ == "__main__":
    kind, address = sys.argv[1:]
    if kind == "tasks":
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    answer(tasks if kind == "tasks" else Raypipe(kind, address).run)
