"""Causes down to the override, the line and the file, as `raypipe plan` says them."""

from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.pipeline.cause import overriding

OVERRIDES = ("train.epochs=3", "model=booster", "+steps.extra.n=2", "~transform.hour", "model.C=0.1")


@pytest.mark.parametrize(
    ("step", "setting", "found"),
    [
        ("train", "epochs", "train.epochs=3"),
        ("train", "model", "model.C=0.1"),
        ("train", "model.C", "model.C=0.1"),
        ("train", "model.num_leaves", "model=booster"),
        ("extra", "n", "+steps.extra.n=2"),
        ("transform", "hour.columns", "~transform.hour"),
        ("train", "epoch", ""),
        ("split", "key", ""),
    ],
)
def test_the_override_that_speaks_of_a_setting(step: str, setting: str, found: str):
    assert overriding(OVERRIDES, step, setting) == found


OLDER = """import pyarrow as pa
import pyarrow.compute as pc


def older(table: pa.Table) -> pa.Table:
    return table.set_column(table.column_names.index("age"), "age", pc.add(table["age"], {years}.0))
"""


def test_a_plan_names_the_override_the_line_and_the_file(churn: Path, capsys: pytest.CaptureFixture[str]):
    added = ["-cd", "conf", "cluster=debug", "+transform.older={_target_: mine.older}", "transform.scale.columns=[months]"]

    def planned(*overrides: str) -> str:
        capsys.readouterr()
        assert main(["plan", *added, *overrides]) == 0
        return " ".join(capsys.readouterr().out.split())

    (churn / "mine.py").write_text(OLDER.format(years=1))
    assert "C default -> 0.01 (override model.C=0.01)" in planned("model.C=0.01")
    assert main(["run", *added, "--only", "transform"]) == 0
    (churn / "mine.py").write_text("# longer\n" + OLDER.format(years=2))
    assert "mine.older changed (line 7)" in planned()
    header, *rows = (churn / "data" / "customers.csv").read_text().splitlines()
    (churn / "data" / "more.csv").write_text("\n".join([header, rows[0].replace(rows[0].split(",")[0], "9001", 1)]) + "\n")
    text = planned("source.path=data")
    assert "source.path data/customers.csv -> data (override source.path=data)" in text
    assert "files 1 -> 2; new: data/customers.csv, data/more.csv" in text
