"""What an unchanged `raypipe run` costs over a bare program that loads the same libraries: it should be little, and no engine.

The project is a copy of examples/flights whose pipeline ran once before. The bare program composes the same config with Hydra, opens
the ledger with SQLAlchemy and reads one row from it, and imports pyarrow.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cpu
from claim import Claim, interleaved, main, ratio, spread

FLIGHTS = Path(__file__).resolve().parents[1] / "examples" / "flights"
ENGINES = ("ray", "torch", "pandas", "lightgbm", "sklearn", "onnxruntime", "polars", "duckdb", "wandb")

BARE = """
import sys
from hydra import compose, initialize_config_dir
conf, ledger = sys.argv[1:]
with initialize_config_dir(conf, version_base="1.3"):
    config = compose("flights", ["hydra.searchpath=[pkg://raypipe.configs]"])
from sqlalchemy import create_engine, text
with create_engine(f"sqlite:///{ledger}").connect() as connection:
    assert connection.execute(text("select count(*) from raypipe_artifacts")).scalar_one() > 0
import pyarrow
"""


def measure(quick: bool) -> Iterator[Claim]:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "flights"
        prepare(project)
        ours, bare = unchanged(project), [sys.executable, "-c", BARE, str(project / "conf"), str(project / ".raypipe" / "ledger.db")]
        found = interleaved(3 if quick else 11, {"raypipe run": lambda: cpu.run(ours).cpu_s, "bare program": lambda: cpu.run(bare).cpu_s})
        share = ratio(found, "raypipe run", "bare program")
        yield Claim("CPU of an unchanged run over a bare program", share, 1.3, detail=spread(found, "CPU-s"))
        engines = imported(ours)
        yield Claim("engines that an unchanged run imports", len(engines), 0, unit="", detail=", ".join(engines) or "none")


def prepare(project: Path) -> None:
    """Raw files land, and the pipeline runs once."""
    shutil.copytree(FLIGHTS, project, ignore=shutil.ignore_patterns("data", ".raypipe"))
    cpu.run([sys.executable, str(project / "prepare.py")], cwd=project)
    cpu.run(unchanged(project))


def unchanged(project: Path) -> list[str]:
    return [sys.executable, "-m", "raypipe", "run", "-cd", str(project / "conf"), "-cn", "flights"]


def imported(command: list[str]) -> list[str]:
    output = cpu.run([command[0], "-X", "importtime", *command[1:]]).output
    names = {line.rpartition("|")[2].strip() for line in output.splitlines() if line.startswith("import time:")}
    assert "raypipe.cli" in names, "the list of imports was not found in the command's output"
    return [name for name in ENGINES if name in names]


if __name__ == "__main__":
    sys.exit(main(measure))
