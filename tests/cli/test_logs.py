"""What was said and printed in a run, as a person reads it later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.cli.one_run import overrides_of

OLDER = """import sys

import pyarrow as pa


def older(table: pa.Table) -> pa.Table:
    print("rows", table.num_rows)
    print("hm", file=sys.stderr)
    {last}
"""
RUN = ["run", "-cd", "conf", "cluster=debug", "+transform.older={_target_: mine.older}"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_what_steps_say_and_code_prints_is_there_later(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(OLDER.format(last="return table"))
    assert main(RUN) in (0, 3)
    entries = json.loads(said(capsys, "logs", "--json"))
    kinds = {(e["step"], e["kind"], e["text"]) for e in entries}
    assert ("transform", "out", "rows 200") in kinds
    assert ("transform", "err", "hm") in kinds
    assert any(kind == "report" for _, kind, _ in kinds)
    (run,) = (r["id"] for r in json.loads(said(capsys, "runs", "--json", "--limit", "1")))
    text = said(capsys, "logs", run[-4:], "transform")
    assert "transform  out     " in text
    assert "rows 200" in text
    assert "evaluate" not in text
    assert said(capsys, "logs", run, "transform", "--follow") == text
    assert main(["logs", run, "transfrom"]) == 2
    assert "Did you mean 'transform'?" in capsys.readouterr().err


def test_what_of_a_command_line_changes_the_config():
    command = "raypipe run -cd conf --force train train.epochs=3 '+transform.x={_target_: mine.x}' ~transform.hour"
    assert overrides_of(command) == ["train.epochs=3", "+transform.x={_target_: mine.x}", "~transform.hour"]


def test_an_error_is_kept_with_its_traceback(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(OLDER.format(last="return table.no_such_thing"))
    assert main(RUN) == 1
    text = said(capsys, "logs")
    assert "error " in text
    assert "Traceback (most recent call last)" in text
    assert "return table.no_such_thing" in text
    assert "rows 106" in text
