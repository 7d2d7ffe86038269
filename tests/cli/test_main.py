import json
import os
import sys
from pathlib import Path

import pytest

from raypipe.cli.main import main


def test_no_verb_shows_the_verbs(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    out = capsys.readouterr().out
    for verb in ("check", "plan", "run", "show", "runs", "tables", "models", "status", "serve", "predict", "init"):
        assert verb in out


@pytest.mark.parametrize("verb", ["check", "plan", "run", "show", "runs", "tables", "models", "status", "serve", "predict", "init"])
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_a_misspelt_option(fresh: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["run", "--sampel", "0.1"])
    assert "Did you mean '--sample'?" in capsys.readouterr().err


def test_problems_are_listed_at_once_without_a_traceback(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", "+train.epoch=3", "model=boster"]) == 2
    err = capsys.readouterr().err
    assert "has 2 problems" in err
    assert "Traceback" not in err


def test_a_sample_that_is_no_share(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plan", "--sample", "2"]) == 2
    assert "expected a share above 0" in capsys.readouterr().err


def test_a_config_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    assert main(["run"]) == 2
    assert "which config" in capsys.readouterr().err


def test_check_says_that_nothing_is_wrong(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "churn: 10 steps, nothing wrong.\n"


def test_a_model_that_does_not_exist(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["predict", "chrun", "data/customers.csv"]) == 2
    assert "Did you mean 'churn'?" in capsys.readouterr().err


def test_a_busy_port_is_told_before_ray_starts(churn: Path, capsys: pytest.CaptureFixture[str]):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == 2
    assert "Stop what listens there" in capsys.readouterr().err


def test_a_store_that_is_not_writable(fresh: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYPIPE_STORE", "/proc/nowhere")
    assert main(["run", "cluster=debug"]) != 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "/proc/nowhere" in err


def test_a_remote_cluster_with_a_local_ledger(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", "cluster=attach", "cluster.address=10.1.2.3:6379"]) == 2
    assert "RAYPIPE_LEDGER" in capsys.readouterr().err


def test_a_ledger_of_a_newer_version(churn: Path, capsys: pytest.CaptureFixture[str]):
    import sqlite3

    with sqlite3.connect(churn / ".raypipe" / "ledger.db") as connection:
        connection.execute("update raypipe_meta set value = '999' where key = 'version'")
    assert main(["plan"]) == 2
    assert "999" in capsys.readouterr().err


def test_the_ledger_in_json(churn: Path, capsys: pytest.CaptureFixture[str]):
    for verb in ("runs", "tables", "models", "status"):
        assert main([verb, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)


def test_one_run_one_table_one_model(churn: Path, capsys: pytest.CaptureFixture[str]):
    main(["runs", "--json"])
    (run,) = json.loads(capsys.readouterr().out)
    assert main(["show", run["id"]]) == 0
    text = capsys.readouterr().out
    assert "infra_validate" in text
    assert "Model " in text
    assert main(["show", run["id"][-4:], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {s["step"] for s in shown["steps"] if s["made"]} >= {"train", "evaluate"}
    assert main(["tables", "show", "churn.source"]) == 0
    assert "customer_id" in capsys.readouterr().out
    assert main(["models", "churn@champion"]) == 0
    assert "average precision" in capsys.readouterr().out


def test_predictions_into_a_file(churn: Path, capsys: pytest.CaptureFixture[str]):
    import pyarrow.parquet as pq

    assert main(["predict", "churn@champion", "data/customers.csv", "-o", "out.parquet"]) == 0
    answers = pq.read_table("out.parquet")
    assert answers.num_rows == 200
    assert set(answers["prediction"].to_pylist()) == {"true", "false"}


def test_init_refuses_a_folder_that_holds_something(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["init", "."]) == 2
    assert "there is something already" in capsys.readouterr().err


def test_show_names_the_origin_of_each_value(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["show", "train.epochs=3", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    origins = {v["key"]: v["origin"] for v in shown["values"]}
    assert origins["train.epochs"] == "override train.epochs=3"
    assert shown["graph"]["train"]["reads"] == {"table": "transform"}


def test_an_unchanged_run_is_all_hits_and_says_so(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["run", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {s["state"] for s in result["steps"].values()} == {"HIT"}
    assert result["steps"]["deploy"]["standing"] == "recorded"


@pytest.mark.parametrize("verb", [["runs"], ["runs", "--json"]])
def test_a_reader_that_has_gone_is_told_nothing(
    verb: list[str], churn: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(verb) == 141
    assert capfd.readouterr().err == ""


def test_output_that_cannot_be_written_is_told_in_a_line(churn: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["plan"]) == 1
    assert capfd.readouterr().err == "raypipe: standard output cannot be written: No space left on device.\n"
