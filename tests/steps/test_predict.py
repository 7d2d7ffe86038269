from pathlib import Path

import pytest

import raypipe as rp
from raypipe.cli.main import main


def test_a_table_of_answers_equal_to_the_bundles_own(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", "cluster=debug", "+steps.scored={_target_: raypipe.Predict, keep: [customer_id]}"]) == 0
    answers = rp.table("churn.scored").to_arrow()
    assert answers.column_names == ["customer_id", "prediction", "probability"]
    expected = rp.model("churn@champion").predict(rp.table("churn.source").to_arrow())
    assert answers["prediction"].to_pylist() == expected["prediction"].to_pylist()
    assert answers["probability"].to_pylist() == pytest.approx(expected["probability"].to_pylist(), rel=1e-5)


def test_a_column_to_keep_that_is_not_there(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check", "+steps.scored={_target_: raypipe.Predict, keep: [custmer_id]}"]) == 2
    assert "Did you mean 'customer_id'?" in capsys.readouterr().err


def test_a_sample_makes_a_table_of_its_own(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", "cluster=debug", "--sample", "0.5", "--json"]) in (0, 1, 3)
    assert 60 < rp.table("churn.source~0.5").artifact.num_rows < 140
