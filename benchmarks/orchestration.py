"""What a step costs under raypipe, over plain Ray tasks and against Prefect, Dagster, Metaflow and Kubeflow Pipelines' local runner.

The steps are trivial: a chain counts, a fan of steps reads one. raypipe's are functions of a table of one row, each a task with a Parquet
file and a snapshot of the table, and classes that say a figure in the driver; both are leased, published and durable, one by one.
What is kept differs, and each peer is set to its fastest: Dagster keeps values and events in memory, and nothing is there when its program
ends; Prefect and KFP write results into files that they do not sync, and Prefect some of its states later, into a database that it keeps
open; plain Ray tasks keep nothing. raypipe syncs each file, folder and commit before the next step reads it, its ledger open too. A peer's
values are numbers in its own process, but for KFP and Metaflow, which start one for each step: only raypipe's tables go through Ray.
Programs that stay (raypipe, Ray, Prefect, Dagster, KFP) are warm and take turns, each until it is idle again, for Prefect puts off what it
tells its server; whole processes are compared with whole processes.
Seconds are of the wall, for a step waits more than it computes: on a machine that does other work they say little, ratios a little more.
The peers live in environments of their own, which `make bench-peers` sets up; those that are not there are named and left out.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import cluster
import cpu
from claim import Claim, interleaved, main, ratio, spread

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "benchmarks" / "peers"
PEERS = ROOT / ".venv-peers"
NUM_CPUS = 4
SHAPES = (("chain", 10), ("chain", 100), ("fan", 100))
OURS = ("tables", "figures", "tasks")
STAYING = ("prefect", "dagster", "kfp")
OVER_TASKS_MS = 8.0
PAUSE_S, LONGEST_S = 0.3, 60.0
WHOLE = 10
"""Steps of a chain of whole processes: Metaflow takes a second for each."""


@dataclass
class Staying:
    """A program that stays, and is asked for graphs."""

    process: subprocess.Popen[str]
    errors: IO[str]
    servers: Sequence[cpu.Servers]
    """What its CPU seconds are read from: its own processes, and the cluster's where it works on that."""

    def run(self, shape: str, number: int, folder: Path) -> Turn:
        """Ends when all of it is idle again: what a program puts off is not to slow the next one."""
        assert self.process.stdin
        assert self.process.stdout
        before = self._used()
        print(json.dumps([shape, number, str(folder)]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise cpu.Failed(f"{self.process.args} broke off:\n{self.errors.read()[-4000:]}")
        said = json.loads(line)
        assert said["value"] == number - 1, said
        return Turn(said["seconds"], self._idle() - before + said["ended_cpu_s"])

    def _used(self) -> float:
        return sum(server.cpu_s() for server in self.servers)

    def _idle(self) -> float:
        """What was used until less than a fifth of a core is."""
        until, used = time.monotonic() + LONGEST_S, self._used()
        while time.monotonic() < until:
            time.sleep(PAUSE_S)
            before, used = used, self._used()
            if used - before < PAUSE_S / 5:
                break
        return used


@dataclass(frozen=True)
class Turn:
    wall_s: float
    cpu_s: float


@contextmanager
def staying(command: list[str], env: Mapping[str, str], shared: Sequence[cpu.Servers]) -> Iterator[Staying]:
    own = cpu.Servers(f"orchestration-{uuid.uuid4().hex}")
    env = {**os.environ, **env, cpu.MARK: own.mark.decode().partition("=")[2]}
    with tempfile.TemporaryFile("w+") as errors:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": errors, "text": True}
        with subprocess.Popen(command, cwd=PROGRAMS, env=env, **pipes) as process:
            yield Staying(process, errors, [own, *shared])
            assert process.stdin
            process.stdin.close()


def python_of(peer: str) -> Path | None:
    """Its interpreter; None where it is not set up."""
    found = PEERS / peer / "bin" / "python"
    return found if (PEERS / peer / "ready").exists() else None


def missing() -> list[str]:
    return [peer for peer in (*STAYING, "metaflow") if python_of(peer) is None]


def measure(quick: bool) -> Iterator[Claim]:
    for peer in missing():
        print(f"skipped: {peer} is not set up (make bench-peers)", file=sys.stderr)
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory() as folder, cluster.warm(NUM_CPUS, {"RAY_num_workers_soft_limit": "16"}) as ray:
        os.environ["RAYPIPE_RUNTIME"] = folder
        with ExitStack() as stack:
            programs = stay(stack, ray)
            for shape, number in SHAPES:
                yield from warm_claims(programs, shape, number, Path(folder), rounds)
        yield from whole_claims(ray, Path(folder), 1 if quick else 3)


def stay(stack: ExitStack, ray: cluster.Cluster) -> dict[str, Staying]:
    ours = str(PROGRAMS / "on_raypipe.py")
    programs = {}
    for kind in OURS:
        command = [sys.executable, ours, kind, ray.address]
        programs[kind] = stack.enter_context(staying(command, ray.entry, [ray.servers]))
    for peer in STAYING:
        if python := python_of(peer):
            programs[peer] = stack.enter_context(staying([str(python), str(PROGRAMS / f"on_{peer}.py")], {}, []))
    for program in programs.values():
        # Imports, connections, and the cluster's workers: a chain needs one, and those that a fan meets first import what it needs.
        for shape, number in (("chain", 5), ("chain", 6), ("fan", 16), ("fan", 17)):
            program.run(shape, number, Path(tempfile.mkdtemp()))
    return programs


def warm_claims(programs: Mapping[str, Staying], shape: str, number: int, folder: Path, rounds: int) -> Iterator[Claim]:
    made: dict[str, Path] = {}
    cpu_s: dict[str, list[float]] = {}

    def turn(name: str, how: str) -> float:
        if how == "cold":
            made[name] = folder / uuid.uuid4().hex
        found = programs[name].run(shape, number, made[name])
        cpu_s.setdefault(f"{name}, {how}", []).append(found.cpu_s)
        return found.wall_s

    wall_s: dict[str, list[float]] = {}
    for how in ("cold", "unchanged"):
        names = [name for name in programs if (name, how) != ("tasks", "unchanged")]
        wall_s |= interleaved(rounds, {f"{name}, {how}": partial(turn, name, how) for name in names})

    def detail(*names: str) -> str:
        return f"{spread({n: wall_s[n] for n in names}, 's')}; {spread({n: cpu_s[n] for n in names}, 'CPU-s')}"

    steps = number if shape == "chain" else number + 1
    for kind in ("figures", "tables"):
        over = (statistics.median(wall_s[f"{kind}, cold"]) - statistics.median(wall_s["tasks, cold"])) * 1000 / steps
        name = f"{shape} of {number}, {kind}: a step over plain Ray tasks"
        yield Claim(name, over, OVER_TASKS_MS, "ms", detail=detail(f"{kind}, cold", "tasks, cold"))
    for peer in (name for name in programs if name not in OURS):
        for kind, how in itertools.product(("figures", "tables"), ("cold", "unchanged")):
            pair = f"{kind}, {how}", f"{peer}, {how}"
            yield Claim(f"{shape} of {number}, {how}: {kind} over {peer}", ratio(wall_s, *pair), 1.0, detail=detail(*pair))


def whole_claims(ray: cluster.Cluster, folder: Path, rounds: int) -> Iterator[Claim]:
    """A chain by commands: raypipe's of figures, without Ray, of tables on the warm cluster and on a Ray of their own; each peer's."""
    mine = {
        "figures": Command(ours("figures", None), None),
        "tables": Command(ours("tables", ray), None),
        "tables with a Ray of their own": Command(ours("tables", None), None),
    }
    sides = {**mine}
    if python := python_of("metaflow"):
        sides["metaflow"] = Command(partial(metaflow, python, "run"), partial(metaflow, python, "resume"))
    if python := python_of("kfp"):
        sides["kfp"] = Command(lambda at: [str(python_of("kfp")), str(PROGRAMS / "on_kfp.py"), "chain", str(WHOLE), str(at)], None)
    env = {**ray.entry, "METAFLOW_USER": "benchmark"}
    cold = interleaved(rounds, {name: partial(side.first, folder, env) for name, side in sides.items()})
    again = interleaved(rounds, {name: partial(side.again, env) for name, side in sides.items()})
    for times, how in ((cold, "cold"), (again, "unchanged")):
        for peer in (name for name in sides if name in ("metaflow", "kfp")):
            for side in mine:
                pair = {name: times[name] for name in (side, peer)}
                name = f"chain of {WHOLE}, whole process, {how}: {side} over {peer}"
                yield Claim(name, ratio(times, side, peer), 1.0, detail=spread(pair, "s"))


@dataclass
class Command:
    """A graph made by a whole process."""

    fresh: Callable[[Path], list[str]]
    resumed: Callable[[Path], list[str]] | None
    """None: the same command."""
    folder: Path = Path()

    def first(self, folder: Path, env: Mapping[str, str]) -> float:
        self.folder = folder / uuid.uuid4().hex
        self.folder.mkdir()
        return cpu.run(self.fresh(self.folder), self.folder, env).wall_s

    def again(self, env: Mapping[str, str]) -> float:
        return cpu.run((self.resumed or self.fresh)(self.folder), self.folder, env).wall_s


def ours(kind: str, ray: cluster.Cluster | None) -> Callable[[Path], list[str]]:
    where = ["cluster=attach", f"cluster.address={ray.address}"] if ray else ["cluster=local"]
    first, link = {"figures": ("trivial.Figure", "trivial.Figure, by: 1, reads"), "tables": ("trivial.first", "trivial.add, table")}[kind]

    def command(folder: Path) -> list[str]:
        if not (folder / "conf").exists():
            (folder / "conf").mkdir()
            shutil.copy(PROGRAMS / "trivial.py", folder)
            links = [f"  s{i}: {{_target_: {link}: s{i - 1}}}" for i in range(1, WHOLE)]
            lines = ["defaults: [{cluster: local}, _self_]", "name: chain", "steps:", f"  s0: {{_target_: {first}}}", *links]
            (folder / "conf" / "chain.yaml").write_text("\n".join(lines) + "\n")
        return [sys.executable, "-m", "raypipe", "run", "-cd", "conf", "-cn", "chain", *where]

    return command


def metaflow(python: Path, verb: str, folder: Path) -> list[str]:
    flow = folder / "flow.py"
    if not flow.exists():
        flow.write_text(cpu.run([sys.executable, str(PROGRAMS / "on_metaflow.py"), "chain", str(WHOLE)]).output)
    return [str(python), str(flow), verb]


if __name__ == "__main__":
    sys.exit(main(measure))
