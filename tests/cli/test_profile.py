"""raypipe tables profile, as a person and a machine see it."""

import json
from pathlib import Path

import pytest

import raypipe
from raypipe.cli.main import main


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["tables", "profile", *words]) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_in_the_terminal(churn: Path, capsys: pytest.CaptureFixture[str]):
    out = said(capsys, "churn.source")
    assert "churn.source snapshot 1: 200 rows in 1 file of " in out
    (plan,) = [line for line in out.splitlines() if line.startswith("plan ")]
    assert "string" in plan
    assert "%" in plan
    (age,) = [line for line in out.splitlines() if line.startswith("age ")]
    assert "█" in age


def test_as_json_every_figure_says_whether_it_is_exact(churn: Path, capsys: pytest.CaptureFixture[str]):
    found = json.loads(said(capsys, "churn.source", "--columns", "age", "plan", "--json"))
    assert (found["table"], found["rows"], [c["name"] for c in found["columns"]]) == ("churn.source", 200, ["age", "plan"])
    age = found["columns"][0]
    assert age["distinct"]["exact"]
    assert age["quantiles"]["rank_error"] == 0
    assert said(capsys, "churn.source", "--columns", "agee", code=1).endswith("has no column 'agee'. Did you mean 'age'?\n")


def test_as_a_page(churn: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert "columns of 200 rows written to" in said(capsys, "churn.source", "--html", str(tmp_path / "page.html"))
    assert "<h1>churn.source</h1>" in (tmp_path / "page.html").read_text()
    assert "cannot be written" in said(capsys, "churn.source", "--html", str(tmp_path / "no" / "page.html"), code=1)


def test_of_a_file_that_was_profiled_as_it_was_written_nothing_is_read(fresh: Path, monkeypatch: pytest.MonkeyPatch):
    assert main(["ingest", "cluster=debug", "ingest.profile=true"]) == 0
    from raypipe.data.statistics import kept

    monkeypatch.setattr(kept, "read_coded", None)
    assert raypipe.table("churn.source").profile(["age"])["age"].num_rows == 200
