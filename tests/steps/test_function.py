from pathlib import Path

import pytest

import raypipe as rp
from raypipe.cli.main import main

MINE = """\
import pyarrow as pa
import ray.data


def older(table: pa.Table, than: int = 50) -> pa.Table:
    return table.filter(pa.array([age > than for age in table["age"].to_pylist()]))


def spread(dataset: ray.data.Dataset) -> ray.data.Dataset:
    return dataset
"""


def test_a_function_of_tables_is_a_step_with_its_settings(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(MINE)
    assert main(["run", "cluster=debug", "+steps.old={_target_: mine.older, table: source, than: 80}"]) == 0
    made = rp.table("churn.old").to_arrow()
    assert 0 < made.num_rows < 200
    assert min(made["age"].to_pylist()) > 80


def test_a_function_of_datasets_is_refused_by_name(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(MINE)
    assert main(["check", "+steps.all={_target_: mine.spread, dataset: source}"]) == 2
    assert "takes whole Arrow tables in this version" in capsys.readouterr().err


def test_a_table_that_a_function_needs_and_is_not_given(churn: Path, capsys: pytest.CaptureFixture[str]):
    (churn / "mine.py").write_text(MINE)
    assert main(["check", "+steps.old={_target_: mine.older}"]) == 2
    assert "table" in capsys.readouterr().err
