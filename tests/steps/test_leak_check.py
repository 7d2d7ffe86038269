"""LeakCheck: what two parts share and what gives the label away, judged; what reads its report is left out where it says no."""

import json
from pathlib import Path

import pytest

from raypipe.cli.main import main

STEP = "\nsteps:\n  leak_check: {_target_: raypipe.LeakCheck, label: left, keys: [customer_id]%s}\n"


def run(capsys: pytest.CaptureFixture[str], more: str = "", rows: int = 0, verb: str = "run") -> tuple[int, dict, str]:
    """With the first rows of the data once more under other numbers."""
    path = Path("conf/churn.yaml")
    path.write_text(path.read_text().split("\nsteps:")[0] + STEP % more)
    if rows:
        data = Path("data/customers.csv")
        header, *lines = data.read_text().splitlines()
        again = [f"{1000 + n},{line.partition(',')[2]}" for n, line in enumerate(lines[:rows])]
        data.write_text("\n".join([header, *lines, *again]) + "\n")
    capsys.readouterr()
    code = main([verb, *(["--json", "cluster=debug"] if verb == "run" else [])])
    out = capsys.readouterr()
    return code, json.loads(out.out) if verb == "run" else {}, out.err


def rules(result: dict, rule: str) -> list[dict]:
    return [r for r in result["steps"]["leak_check"]["figures"]["rules"] if r["rule"] == rule]


def test_a_clean_table_passes_and_the_label_that_is_known_afterwards_is_told_apart(fresh: Path, capsys: pytest.CaptureFixture[str]):
    code, result, err = run(capsys)
    assert code == 0, err
    report = result["steps"]["leak_check"]["figures"]
    assert report["passed"]
    assert {tuple(r["between"]): r["figure"] for r in rules(result, "shared_key")} == {
        ("train", "validation"): 0, ("train", "test"): 0, ("validation", "test"): 0,
    }  # fmt: skip
    (ended,) = [r for r in rules(result, "gives_label_away") if r["figure"] > 0.99]
    assert (ended["column"], ended["known"], ended["passed"]) == ("ended_on", "afterwards", True)
    assert report["summary"] == [
        "column 'ended_on' alone tells true with an AUC of 1.0000, by the label's mean of each value; it is marked known afterwards, so "
        "that no model may read it"
    ]
    assert result["steps"]["train"]["state"] == "RUN"


def test_rows_in_two_parts_leave_the_training_out(fresh: Path, capsys: pytest.CaptureFixture[str]):
    code, result, _ = run(capsys, ", rows: [age, plan, months, calls_per_month]", rows=60)
    assert code == 3
    assert result["steps"]["leak_check"]["figures"]["passed"] is False
    assert {result["steps"][s]["state"] for s in ("train", "evaluate", "gate", "register")} == {"SKIP"}
    broken = [r for r in rules(result, "shared_rows") if r["rows"]]
    assert broken
    assert all(not r["passed"] and 1 <= len(r["examples"]) <= 10 and r["values"] <= r["rows"] for r in broken)
    assert "rows of test are in train too, alike in age, plan, months, calls_per_month" in str(broken)


def test_a_bound_lets_some_through_without_a_new_training(fresh: Path, capsys: pytest.CaptureFixture[str]):
    assert run(capsys, ", rows: [age, plan, months, calls_per_month]", rows=60)[0] == 3
    code, result, err = run(capsys, ", rows: [age, plan, months, calls_per_month], max_shared_rows: 0.9")
    assert code == 0, err
    assert result["steps"]["split"]["state"] == "HIT"
    code, result, _ = run(capsys, ", rows: [], max_shared_rows: 0.9")
    assert (code, result["steps"]["train"]["state"]) == (0, "HIT")


def test_a_column_that_gives_the_label_away_fails(fresh: Path, capsys: pytest.CaptureFixture[str]):
    code, result, _ = run(capsys, ", suspects: [months, plan], max_auc: 0.5")
    assert code == 3
    assert [r["column"] for r in rules(result, "gives_label_away")] == ["months", "plan"]
    assert any("alone tells true with an AUC of 0." in line for line in result["steps"]["leak_check"]["figures"]["summary"])


def test_what_is_misspelt_is_told_before_anything_runs(fresh: Path, capsys: pytest.CaptureFixture[str]):
    code, _, err = run(capsys, ", suspects: [mnths], max_auc: 1.5", verb="check")
    assert code == 2
    assert "leak_check.suspects  there is no column 'mnths' in 'split'. Did you mean 'months'?" in err
    assert "leak_check.max_auc   found 1.5, expected an AUC from 0.5 to 1." in err
