"""What a person sees of tables, and does with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raypipe.cli.main import main


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["tables", *arguments]) == code
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out if code == 0 else err


def values(capsys: pytest.CaptureFixture[str], *arguments: str):
    return json.loads(said(capsys, *arguments, "--json"))


def test_the_list(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert said(capsys) == said(capsys, "list")
    assert "churn.source" in said(capsys, "list")
    assert {t["name"] for t in values(capsys, "list")} >= {"churn.source", "churn.transform"}


def test_columns_with_their_statistics(churn: Path, capsys: pytest.CaptureFixture[str]):
    columns = {c["name"]: c for c in values(capsys, "show", "churn.source")["columns"]}
    assert (columns["customer_id"]["type"], columns["customer_id"]["min"], columns["customer_id"]["max"]) == ("int64", 1, 200)
    assert columns["ended_on"]["marks"] == "known afterwards"
    assert "200 rows in 1 file" in said(capsys, "show", "churn.source")


def test_the_log(churn: Path, capsys: pytest.CaptureFixture[str]):
    (snapshot,) = values(capsys, "log", "churn.source")
    assert (snapshot["mode"], snapshot["by"], snapshot["num_rows"]) == ("overwrite", "churn.source", 200)
    assert "churn.source" in said(capsys, "log", "churn.source")


def test_the_first_rows(churn: Path, capsys: pytest.CaptureFixture[str]):
    rows = values(capsys, "head", "churn.source", "--limit", "3")
    assert [row["customer_id"] for row in rows] == [1, 2, 3]
    assert "customer_id" in said(capsys, "head", "churn.source")


def test_sql(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert values(capsys, "sql", "select count(*) as n, max(customer_id) as last from churn.source") == [{"n": 200, "last": 200}]
    (snapshot,) = values(capsys, "log", "churn.source")
    assert values(capsys, "sql", f'select count(*) as n from "churn.source@{snapshot["id"]}"') == [{"n": 200}]
    assert said(capsys, "sql", "select * from churn.source", "-o", "out.parquet") == "200 rows written to out.parquet\n"
    assert said(capsys, "sql", "select plan from churn.source", "-o", "out.csv") == "200 rows written to out.csv\n"
    assert (churn / "out.csv").read_text().splitlines()[0] == '"plan"'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("select * from churn.sauce", "Did you mean 'churn.source'?"),
        ("select agee from churn.source", 'Referenced column "agee" not found'),
        ("selec 1", "Expected one SELECT"),
        ("drop table churn.source", "Only SELECT statements"),
        ("select 1; select 2", "2 statements, expected one SELECT"),
        ("select * from read_csv('/etc/passwd')", "Permission Error"),
        ("select * from 'out.parquet'", "there is no table 'out.parquet'"),
    ],
)
def test_sql_that_is_refused(churn: Path, capsys: pytest.CaptureFixture[str], text: str, says: str):
    assert says in said(capsys, "sql", text, code=1)


def test_a_table_that_is_not_there(churn: Path, capsys: pytest.CaptureFixture[str]):
    for verb in ("show", "log", "head", "diff"):
        assert "Did you mean 'churn.source'?" in said(capsys, verb, "churn.sauce", code=1)
    assert "999" in said(capsys, "show", "churn.source@999", code=1)


def appended(project: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, int]:
    """One more customer, in a file of its own; the two snapshots of the table then."""
    path = project / "conf" / "churn.yaml"
    path.write_text(path.read_text().replace("path: data/customers.csv", "path: data"))
    head = (project / "data" / "customers.csv").read_text().splitlines()[0]
    assert main(["run", "cluster=debug"]) == 0
    (project / "data" / "more.csv").write_text(f"{head}\n201,40,pro,3,2.5,,true\n")
    assert main(["run", "cluster=debug"]) == 0
    capsys.readouterr()
    now, before, *_ = values(capsys, "log", "churn.source")
    return before["id"], now["id"]


def test_a_difference(churn: Path, capsys: pytest.CaptureFixture[str]):
    before, now = appended(churn, capsys)
    found = values(capsys, "diff", f"churn.source@{before}", "--key", "customer_id")
    assert (found["before"], found["after"]) == (before, now)
    assert (found["num_rows"], found["num_files"], found["shared_files"]) == ([200, 201], [1, 2], 1)
    assert found["statistics"]["customer_id"] == {"max": [200, 201]}
    assert found["keys"] == {"added": 1, "removed": 0, "changed": 0, "examples": {"added": [{"customer_id": 201}]}}
    assert "keys: 1 added, 0 removed, 0 changed" in said(capsys, "diff", f"churn.source@{before}", str(now), "--key", "customer_id")
    assert "there is no column 'customer'" in said(capsys, "diff", f"churn.source@{before}", "--key", "customer", code=1)
    assert "the key plan 'basic' comes" in said(capsys, "diff", "churn.source", str(before), "--key", "plan", code=1)


def test_a_tag(churn: Path, capsys: pytest.CaptureFixture[str]):
    before, now = appended(churn, capsys)
    assert said(capsys, "tag", f"churn.source@{before}", "audited") == f"audited names snapshot {before} of churn.source\n"
    assert values(capsys, "sql", 'select count(*) as n from "churn.source@audited"') == [{"n": 200}]
    assert [s["tags"] for s in values(capsys, "log", "churn.source")][:2] == [[], ["audited"]]
    assert "--force moves it" in said(capsys, "tag", "churn.source", "audited", code=1)
    said(capsys, "tag", "churn.source", "audited", "--force")
    assert values(capsys, "show", "churn.source@audited")["id"] == now
    said(capsys, "tag", "churn.source", "audited", "--remove")
    assert "audited" in said(capsys, "show", "churn.source@audited", code=1)


def test_an_export(churn: Path, capsys: pytest.CaptureFixture[str]):
    import pyarrow.parquet as pq

    assert said(capsys, "export", "churn.source", "out") == "200 rows written to out as parquet, 1 file\n"
    assert pq.read_table(churn / "out").num_rows == 200
    assert "out: there is something already" in said(capsys, "export", "churn.source", "out", code=2)


def test_rows_deleted_by_a_person(churn: Path, capsys: pytest.CaptureFixture[str]):
    (before,) = values(capsys, "log", "churn.source")
    out = said(capsys, "delete", "churn.source", "--where", "age > 60 and plan = 'pro'")
    assert "rows are deleted" in out
    now, *_ = values(capsys, "log", "churn.source")
    assert (now["mode"], now["by"]) == ("delete", "by-hand.delete")
    assert values(capsys, "sql", "select count(*) as n from churn.source where age > 60 and plan = 'pro'") == [{"n": 0}]
    assert values(capsys, "sql", f'select count(*) as n from "churn.source@{before["id"]}"') == [{"n": 200}]
    assert main(["show", now["run"]]) == 0
    assert "delete" in capsys.readouterr().out
    assert "Did you mean 'age'?" in said(capsys, "delete", "churn.source", "--where", "agee > 60", code=1)


def test_columns_changed_by_a_person(churn: Path, capsys: pytest.CaptureFixture[str]):
    out = said(capsys, "alter", "churn.source", "--rename", "calls_per_month=calls", "--add", "score:float32=0.5", "--drop", "months")
    assert "rename 'calls_per_month' to 'calls'" in out
    (row,) = values(capsys, "sql", "select min(score) as s, count(calls) as n from churn.source")
    assert row == {"s": 0.5, "n": 200}
    columns = [c["name"] for c in values(capsys, "show", "churn.source")["columns"]]
    assert columns == ["customer_id", "age", "plan", "calls", "ended_on", "left", "score"]
    assert "expected two names" in said(capsys, "alter", "churn.source", "--rename", "plan", code=2)
    assert "nothing is to change" in said(capsys, "alter", "churn.source", code=1)


def test_an_older_snapshot_is_restored(churn: Path, capsys: pytest.CaptureFixture[str]):
    (before,) = values(capsys, "log", "churn.source")
    said(capsys, "delete", "churn.source", "--where", "age > 60")
    assert ": 200 rows" in said(capsys, "restore", f"churn.source@{before['id']}")
    assert values(capsys, "diff", f"churn.source@{before['id']}")["shared_files"] == 1
    assert "which snapshot?" in said(capsys, "restore", "churn.source", code=2)


def test_small_files_are_joined(churn: Path, capsys: pytest.CaptureFixture[str]):
    appended(churn, capsys)
    figures = values(capsys, "compact", "churn.source")
    assert (figures["files_before"], figures["files_after"], figures["num_rows"]) == (2, 1, 201)
    assert main(["plan"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_old_snapshots_expire_and_their_files_go(churn: Path, capsys: pytest.CaptureFixture[str]):
    said(capsys, "delete", "churn.source", "--where", "age > 60")
    said(capsys, "delete", "churn.source", "--where", "age > 50")
    said(capsys, "compact", "churn.source")
    first, *_ = reversed(values(capsys, "log", "churn.source"))
    assert "is no age" in said(capsys, "expire", "churn.source", "--older-than", "3 days", code=2)
    would = [s["id"] for s in values(capsys, "expire", "churn.source", "--keep", "1", "--dry-run")]
    assert "2 snapshots have expired, 1 are needed" in said(capsys, "expire", "churn.source", "--keep", "1")
    left = [s["id"] for s in values(capsys, "log", "churn.source")]
    assert not set(would) & set(left)
    assert first["id"] in left, "the registered model was made from it"
    assert main(["gc"]) == 0
    assert "2 files of" in capsys.readouterr().out.splitlines()[2], "listed, and not deleted yet"
    assert main(["gc", "--grace-hours", "0", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["deleted"]) == 2
    assert values(capsys, "sql", "select max(age) <= 50 as gone from churn.source") == [{"gone": True}]
    assert values(capsys, "sql", f'select count(*) as n from "churn.source@{first["id"]}"') == [{"n": 200}]
