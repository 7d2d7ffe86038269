"""A model made again from what was kept, after the working tree and the source have moved on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import update

from raypipe.cli.main import main
from raypipe.core import schema
from raypipe.pipeline.plan import open_scene

CODE = "import pyarrow as pa\nimport pyarrow.compute as pc\n\n\ndef older(table: pa.Table) -> pa.Table:\n{body}\n"
BODY = '    return table.set_column(table.column_names.index("age"), "age", pc.add(table["age"], {years}.0))'
RUN = ["run", "-cd", "conf", "cluster=debug", "+transform.older={_target_: mine.older}", "transform.scale.columns=[months]"]


@pytest.fixture
def moved_on(fresh: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project with a model, whose code has changed since, and whose source is gone."""
    (fresh / "mine.py").write_text(CODE.format(body=BODY.format(years=1)))
    assert main(RUN) in (0, 3)
    (fresh / "mine.py").write_text(CODE.format(body=BODY.format(years=2)))
    (fresh / "data" / "customers.csv").unlink()
    capsys.readouterr()
    return fresh


def test_a_model_comes_out_the_same_after_everything_has_changed(moved_on: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["reproduce", "churn@1", "--keep", "again", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["equal"]
    assert [s["step"] for s in found["steps"]] == ["source", "validate", "split", "transform", "train", "evaluate"]
    assert {s["verdict"] for s in found["steps"]} == {"same bytes"}
    assert found["environment"] == {"shaping": [], "rest": []}
    assert "1.0" in (moved_on / "again" / "mine.py").read_text()
    assert main(["reproduce", "churn@1", "--keep", "again"]) == 2
    assert "there is something already" in capsys.readouterr().err


def test_what_differs_is_told_step_by_step(moved_on: Path, capsys: pytest.CaptureFixture[str]):
    scene = open_scene(moved_on)
    digest = "0" * 64
    with scene.ledger.writing() as connection:
        table = schema.artifacts
        connection.execute(update(table).where(table.c.step == "transform").values(digest=digest))
    scene.ledger.close()
    assert main(["reproduce", "churn"]) == 1
    text = capsys.readouterr().out
    assert re.search(r"transform +Table +differs +other bytes of the same input", text)
    assert re.search(r"train +Model +same bytes", text)
    assert "churn@1 is not reproduced" in text


def test_what_makes_it_impossible_is_said_at_once(moved_on: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    for file in (moved_on / ".raypipe" / "store" / "churn" / "source").rglob("*.parquet"):
        file.unlink()
    assert main(["reproduce", "churn"]) == 2
    assert "source: the store has lost churn/source/" in capsys.readouterr().err
    assert main(["reproduce", "churn@7"]) == 2


def test_a_secret_in_the_settings_is_not_kept(fresh: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_PASSWORD", "plan-is-secret")
    (fresh / "mine.py").write_text("import pyarrow as pa\n\n\ndef same(table: pa.Table, key: str) -> pa.Table:\n    return table\n")
    assert main(["run", "-cd", "conf", "cluster=debug", "+transform.same={_target_: mine.same, key: '${oc.env:A_PASSWORD}'}"]) in (0, 3)
    capsys.readouterr()
    assert main(["reproduce", "churn"]) == 2
    assert "transform: a secret stood in its settings" in capsys.readouterr().err
