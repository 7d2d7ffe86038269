"""The demo's project, made once for the session: the flights example run from its raw files in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLIGHTS = Path("examples/flights")


@dataclass(frozen=True)
class Demo:
    """A checkout's look-alike that holds only the example: commands of the README run in `root` as they stand."""

    root: Path
    output: str
    """What `make demo` printed."""
    left_behind: tuple[str, ...] = ()
    """Processes of its own that lived on ten seconds after it ended."""

    @property
    def project(self) -> Path:
        return self.root / FLIGHTS


def environment() -> dict[str, str]:
    """This Python's programs first, so that `raypipe` and `python` are the tested ones, and nobody's own ledger or store."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAYPIPE_")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}", "COLUMNS": "140", "NO_COLOR": "1"}


@pytest.fixture(scope="session")
def demo_project(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Slow: it runs the whole demo, once. Tests that change the project copy it first (`copy_of_demo`)."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / FLIGHTS, root / FLIGHTS, ignore=shutil.ignore_patterns("data", ".raypipe", "__pycache__"))
    command, mark = [sys.executable, str(root / FLIGHTS / "demo.py")], uuid.uuid4().hex
    env = {**environment(), "RAYPIPE_TEST_MARK": mark}
    done = subprocess.run(command, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    left = _marked(mark)
    assert done.returncode == 0, done.stdout
    return Demo(root, done.stdout, left)


@pytest.fixture
def copy_of_demo(demo_project: Demo, tmp_path: Path) -> Demo:
    """The demo's project with its ledger and store, in a folder of the test's own under the same name."""
    shutil.copytree(demo_project.root, tmp_path / "checkout")
    return Demo(tmp_path / "checkout", demo_project.output)


@pytest.fixture
def raypipe() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`raypipe(*arguments, cwd=..., env=...)`: one command, its exit code and its two outputs."""

    def call(*arguments: str, cwd: Path, env: dict[str, str] | None = None, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "raypipe", *arguments]
        return subprocess.run(command, cwd=cwd, env={**environment(), **(env or {})}, capture_output=True, text=True, timeout=timeout_s)

    return call


def _marked(mark: str) -> tuple[str, ...]:
    """Processes whose environment has the mark, after up to ten seconds in which they may end."""
    deadline = time.monotonic() + 10
    while found := tuple(_with_mark(f"RAYPIPE_TEST_MARK={mark}".encode())):
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    return found


def _with_mark(mark: bytes) -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                yield f"{folder.name} {(folder / 'comm').read_text().strip()}"
        except OSError:
            continue
