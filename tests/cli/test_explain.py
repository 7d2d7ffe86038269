"""raypipe plan --explain: what one pass over a file consists of, and what cut it, before anything runs."""

import json
from pathlib import Path

import pytest

from raypipe.cli.main import main

ENTRIES = """  where: months > 1
  ratio: {_target_: raypipe.Derive, columns: {rate: calls_per_month / months}}
"""


def written(fresh: Path, entries: str = ENTRIES) -> None:
    path = fresh / "conf" / "churn.yaml"
    path.write_text(path.read_text().replace("  scale:", f"{entries}  scale:"))


def test_each_pass_is_told_with_what_runs_it(fresh: Path, capsys: pytest.CaptureFixture[str]):
    written(fresh)
    capsys.readouterr()
    assert main(["plan", "--explain"]) == 0
    out = capsys.readouterr().out
    told = out[out.index("\ntransform  ") :]
    assert "2 passes, a task a file" in told
    assert "1. over the training part" in told
    assert "2. over every row" in told
    for line in ("where  +Arrow +months > 1", "ratio  +Polars  rate = calls_per_month / months", "scale  +NumPy  +learns Standardize age"):
        assert any(pattern(line) in " ".join(row.split()) for row in told.splitlines()), line
    assert "row groups that cannot meet where are left unread" in told
    assert "customer_id" in told.partition("go round it")[0].splitlines()[-1]


def pattern(line: str) -> str:
    return " ".join(line.replace("+", "").split())


def test_a_function_of_the_users_is_the_barrier(fresh: Path, capsys: pytest.CaptureFixture[str]):
    (fresh / "mine.py").write_text("import pyarrow as pa\n\n\ndef same(table: pa.Table) -> pa.Table:\n    return table\n")
    written(fresh, "  same: {_target_: mine.same}\n")
    capsys.readouterr()
    assert main(["plan", "--explain"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Python mine.same gets every column that reaches it: none goes round it barrier: a Python function" in told


def test_as_json(fresh: Path, capsys: pytest.CaptureFixture[str]):
    written(fresh)
    capsys.readouterr()
    assert main(["plan", "--explain", "--json"]) == 0
    passes = json.loads(capsys.readouterr().out)["passes"]["transform"]
    assert [one["over"] for one in passes] == ["the training part", "every row"]
    assert [part["what"] for part in passes[1]["parts"]] == ["read", "where", "inputs", "ratio", "scale", "plans", "write"]
    assert {part["engine"] for part in passes[1]["parts"]} == {"Arrow", "Polars", "NumPy", ""}


def test_an_ingest_a_function_and_what_is_not_fused(fresh: Path, capsys: pytest.CaptureFixture[str]):
    code = "import polars as pl\n\n\ndef few(table: pl.DataFrame) -> pl.DataFrame:\n    return table\n"
    (fresh / "mine.py").write_text(code)
    path = fresh / "conf" / "churn.yaml"
    text = path.read_text().replace("label: left", "ingest: {sort_by: [age], profile: true}\nlabel: left")
    more = "  more: {_target_: raypipe.MapBatches, table: few, function: {_target_: mine.few}, takes: [age]}\n"
    path.write_text(f"{text}\nsteps:\n  few: {{_target_: mine.few, table: source}}\n{more}")
    capsys.readouterr()
    assert main(["plan", "--explain"]) == 0
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "read Arrow Csv data/customers.csv: customer_id, age, plan, months, calls_per_month, ended_on, left" in told
    assert "contract Arrow customer_id, age, plan, months, calls_per_month, ended_on, left" in told
    assert "layout Arrow sorted by age" in told
    assert "judge before the commit, over the whole table: unique customer_id" in told
    assert "not fused with source: what a step makes is a table of its own, which later runs and other steps find" in told
    assert any(line.startswith("mine.few Python gets table as") and line.endswith("barrier: a Python function") for line in told)
    assert "not fused with few: what a step makes is a table of its own, which later runs and other steps find" in told
