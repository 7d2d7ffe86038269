"""Whether a cron line would find anything to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.cli.main import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments, "cluster=debug"]) == 0
    return capsys.readouterr().out


def test_nothing_new_after_a_run(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert said(capsys, "run", "--if-new") == "nothing new in any source\n"


def test_a_new_file_is_new(churn: Path, capsys: pytest.CaptureFixture[str]):
    path = churn / "conf" / "churn.yaml"
    path.write_text(path.read_text().replace("path: data/customers.csv", "path: data"))
    said(capsys, "run")
    head = (churn / "data" / "customers.csv").read_text().splitlines()[0]
    (churn / "data" / "more.csv").write_text(f"{head}\n201,40,pro,3,2.5,,true\n")
    assert "201 rows" in said(capsys, "run", "--if-new")
    assert said(capsys, "run", "--if-new") == "nothing new in any source\n"


def test_what_was_taken_without_a_run_is_new(fresh: Path, capsys: pytest.CaptureFixture[str]):
    said(capsys, "ingest")
    assert "train" in said(capsys, "run", "--if-new")
    assert said(capsys, "run", "--if-new") == "nothing new in any source\n"


def test_what_a_person_changed_is_new(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["tables", "delete", "churn.source", "--where", "age > 80"]) == 0
    capsys.readouterr()
    out = said(capsys, "run", "--if-new")
    assert "200 rows" not in out
    assert said(capsys, "run", "--if-new") == "nothing new in any source\n"
