"""Two runs side by side, as a person sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raypipe.cli.main import main

RUN = ["run", "-cd", "conf", "cluster=debug"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == code
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out if code == 0 else err


def runs(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The oldest first."""
    return [run["id"] for run in reversed(json.loads(said(capsys, "runs", "--json")))]


def test_a_setting_and_what_came_of_it(churn: Path, capsys: pytest.CaptureFixture[str]):
    said(capsys, *RUN, "model.C=0.01")
    first, second = runs(capsys)[:2]
    text = said(capsys, "diff", first, second)
    assert "model.C: (not there) -> 0.01" in text
    assert "train: RUN -> RUN  model.C default -> 0.01" in text
    assert "evaluate: RUN -> RUN  'train' came out different" in text
    found = json.loads(said(capsys, "diff", first, second[-4:], "--json"))
    assert [c["what"] for c in found["config"]] == ["model.C"]
    assert {s["step"] for s in found["steps"]} == {"train", "evaluate", "gate", "register", "infra_validate", "deploy"}
    assert (found["code"], found["environment"]) == ([], [])
    assert any(c["what"] == "evaluate.log_loss" for c in found["figures"])


def test_code_by_its_lines(churn: Path, capsys: pytest.CaptureFixture[str]):
    function = "transform.older={_target_: mine.older}"
    (churn / "mine.py").write_text(OLDER.format(years=1))
    said(capsys, *RUN, f"+{function}")
    (churn / "mine.py").write_text(OLDER.format(years=2))
    said(capsys, *RUN, f"+{function}")
    text = said(capsys, "diff", *runs(capsys)[-2:], "--code")
    assert "mine changed" in text
    assert '-    return table.set_column(0, "age", pc.add(table["age"], 1.0))' in text
    assert '+    return table.set_column(0, "age", pc.add(table["age"], 2.0))' in text
    assert "transform: RUN -> RUN  mine.older changed" in text


OLDER = """import pyarrow as pa
import pyarrow.compute as pc


def older(table: pa.Table) -> pa.Table:
    return table.set_column(0, "age", pc.add(table["age"], {years}.0))
"""


def test_the_same_and_none(churn: Path, capsys: pytest.CaptureFixture[str]):
    said(capsys, *RUN)
    first, second = runs(capsys)[:2]
    text = said(capsys, "diff", first, second)
    assert f"{second} had nothing to do and kept no code and no environment" in text
    assert "no difference" in text
    assert "there is no run 'nope'. `raypipe runs` lists them." in said(capsys, "diff", "nope", first, code=2)
    assert "2 runs are named so" in said(capsys, "diff", "20", first, code=2)
