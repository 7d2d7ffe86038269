"""An increment that is killed in the middle: the next run computes what is left, and the table is that of a run over everything."""

import contextlib
import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import raypipe as rp
from raypipe.cli.main import main

CONFIG = """
defaults: [pipeline, _self_, {override source: csv}]
name: p
source: {path: data}
split: {by: hash, key: id}
steps:
  labelled: {_target_: raypipe.Label, table: split, column: late, sql: delay > 15}
  ready:
    _target_: raypipe.Transform
    table: labelled
    entries:
      inputs: {_target_: raypipe.Query, sql: "select id, distance / (delay + 1) as speed from rows where delay < 30"}
    contract: {_target_: raypipe.Contract, exact: false, columns: {id: {type: int64, max: 750, on_breach: quarantine}}}
"""
KILLED = """
import importlib, itertools, os, signal, sys
place, name, call, when, folder = sys.argv[1:]
holder = importlib.import_module(place)
*classes, last = name.split(".")
for part in classes:
    holder = getattr(holder, part)
real, calls = getattr(holder, last), itertools.count(1)

def killing(*given, **named):
    number = next(calls)
    if when == "before" and number == int(call):
        os.kill(os.getpid(), signal.SIGKILL)
    made = real(*given, **named)
    if number == int(call):
        os.kill(os.getpid(), signal.SIGKILL)
    return made

setattr(holder, last, killing)
os.chdir(folder)
from raypipe.cli.main import main
main(["run", "cluster=debug"])
"""
APPLY = ("raypipe.data.transform.kernel", "Apply.__call__")
PUBLISH = ("raypipe.core.ledger", "Ledger.publish")


def write(project: Path, numbers: range) -> None:
    for number in numbers:
        lines = [f"{100 * number + i},{i % 40},{(37 * i + number) % 500}" for i in range(100)]
        (project / "data" / f"{number:03d}.csv").write_text("id,delay,distance\n" + "\n".join(lines) + "\n")


def run(*more: str) -> list[str]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["run", "cluster=debug", *more]) == 0
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("at", "call", "when", "again"),
    [
        (APPLY, 2, "after", {"source": "HIT", "split": "HIT", "labelled": "HIT", "ready": "RUN"}),
        (PUBLISH, 4, "after", {"source": "HIT", "split": "HIT", "labelled": "HIT", "ready": "HIT"}),
    ],
    ids=["in a task", "once it is published"],
)
def test_what_was_done_is_not_done_again_and_the_table_is_that_of_a_full_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: tuple[str, str], call: int, when: str, again: dict[str, str]
):
    project = tmp_path / "p"
    for name in ("conf", "data"):
        (project / name).mkdir(parents=True)
    (project / "conf" / "p.yaml").write_text(CONFIG)
    monkeypatch.chdir(project)
    write(project, range(6))
    run()
    write(project, range(6, 9))
    done = subprocess.run([sys.executable, "-c", KILLED, *at, str(call), when, str(project)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    lines = run()
    states = {step: next(line.split()[1] for line in lines if line.startswith(f"{step} ")) for step in again}
    assert states == again
    told = "3 of 9 fragments are new: 33.3 % of the rows computed, the others carried over"
    assert lines.count(told) == list(again.values()).count("RUN")
    tables = ("p.source", "p.labelled", "p.ready", "p.ready~breaches")
    found = {name: rp.table(name).to_arrow() for name in tables}
    assert [found[name].num_rows for name in tables] == [900, 900, 601, 119]
    digests = [rp.table(name).artifact.digest for name in tables[:3]]
    run("--force", "labelled", "--force", "ready")
    assert [rp.table(name).artifact.digest for name in tables[:3]] == digests
    assert rp.table(tables[3]).to_arrow()["id"].to_pylist() == found[tables[3]]["id"].to_pylist()
