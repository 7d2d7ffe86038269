"""Label in a pipeline: what it reads grows, and it computes what is new."""

import shutil
from pathlib import Path

import pytest

import raypipe as rp
from raypipe.cli.main import main

CONFIG = """
defaults: [pipeline, _self_, {override source: csv}]
name: p
source: {path: data}
steps:
  labelled: {_target_: raypipe.Label, table: source, column: late, sql: delay > 15}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "conf" / "p.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        write(tmp_path, number)
    return tmp_path


def write(project: Path, number: int):
    """Ten rows, one of them without a label."""
    rows = "".join(f"{10 * number + i},{'' if i == 9 else 2 * i + number}\n" for i in range(10))
    (project / "data" / f"{number:03d}.csv").write_text("id,delay\n" + rows)


def run(*more: str) -> int:
    return main(["run", "-cd", "conf", "-cn", "p", "cluster=debug", *more])


def grow(project: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """What a run says after another file has come."""
    write(project, 10)
    capsys.readouterr()
    assert run(*more) == 0
    return capsys.readouterr().out


def test_after_an_append_the_new_rows_alone_are_labelled(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run() == 0
    out = grow(project, capsys)
    assert "1 of 11 fragments are new: 9.1 % of the rows computed, the others carried over" in out
    assert "11 of 110 rows have no label and are dropped" in out
    table = rp.table("p.labelled").artifact
    assert (table.figures["fragments_computed"], table.figures["rows_computed"], table.figures["dropped"]) == (1, 10, 11)


def test_it_is_the_table_that_a_first_run_over_all_makes(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run() == 0
    grow(project, capsys)
    grown = rp.table("p.labelled")
    shutil.rmtree(project / ".raypipe")
    assert run() == 0
    whole = rp.table("p.labelled")
    assert whole.artifact.figures["fragments_computed"] == 11
    assert (grown.artifact.digest, grown.artifact.num_rows) == (whole.artifact.digest, whole.artifact.num_rows)


def test_a_run_that_ended_between_the_steps_is_gone_on_with(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run() == 0
    assert "labelled" not in grow(project, capsys, "~steps.labelled")
    assert main(["plan", "-cd", "conf", "-cn", "p"]) == 0
    assert "'source' came out different; 1 of 11 fragments are new" in capsys.readouterr().out
    assert run() == 0
    assert "1 of 11 fragments are new: 9.1 %" in capsys.readouterr().out
    assert run() == 0
    assert "labelled  HIT" in capsys.readouterr().out


def test_another_expression_labels_all_rows_and_the_way_back_none(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run() == 0
    capsys.readouterr()
    assert run('steps.labelled.sql="delay > 10"') == 0
    assert "fragments" not in capsys.readouterr().out
    assert "1 of 11 fragments are new" in grow(project, capsys)


def test_a_run_on_a_sample_computes_its_own_rows(project: Path, capsys: pytest.CaptureFixture[str]):
    assert run() == 0
    capsys.readouterr()
    assert run("--sample", "0.5") == 0
    assert "all 10 fragments are computed: none of them is as it was" in capsys.readouterr().out
    assert "1 of 11 fragments are new" in grow(project, capsys)
