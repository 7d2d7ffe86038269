"""Write, Compact and Expire in a pipeline, as a config names them."""

import json

import pytest

from raypipe.cli.main import main

STEPS = """
steps:
  kept: {_target_: raypipe.Write, table: source, into: customers, mode: upsert, key: [CUSTOMER]}
  joined: {_target_: raypipe.Compact, table: kept}
  short: {_target_: raypipe.Expire, table: joined, keep_last: 1}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "conf" / "p.yaml").write_text(
        "defaults: [pipeline, _self_, {override source: csv}]\nname: p\nsource: {path: data}\n" + STEPS.replace("CUSTOMER", "id")
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*more):
    return main(["run", "-cd", "conf", "-cn", "p", "cluster=debug", *more])


def tables(capsys):
    capsys.readouterr()
    assert main(["tables", "--json"]) == 0
    return {t["name"]: t for t in json.loads(capsys.readouterr().out)}


def test_a_table_that_grows_run_by_run(project, capsys):
    (project / "data" / "1.csv").write_text("id,v\n1,a\n2,b\n")
    assert run() == 0
    (project / "data" / "2.csv").write_text("id,v\n3,c\n")
    assert run() == 0
    found = tables(capsys)["customers"]
    assert (found["num_rows"], found["num_files"]) == (3, 1)
    assert run() == 0
    assert tables(capsys)["customers"]["id"] == found["id"]


def test_what_is_wrong_is_told_before_anything_runs(project, capsys):
    (project / "data" / "1.csv").write_text("id,v\n1,a\n")
    wrong = ["steps.kept.key=[]", "steps.kept.by=[v]", "steps.joined.min_deleted=2", "steps.short.keep_last=0"]
    assert run(*wrong) == 2
    err = capsys.readouterr().err
    for text in ("mode upsert needs it", "mode upsert has no use for it", "expected a share from 0 up to", "found 0, expected at least 1"):
        assert text in err
