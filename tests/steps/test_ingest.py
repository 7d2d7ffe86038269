"""Bad input at the door: one clear message that names the file, and nothing half-written stays visible."""

from pathlib import Path

import pytest

from raypipe.cli.main import main


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["run", "cluster=debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert main(["tables"]) == 0
    assert "no tables yet" in capsys.readouterr().out
    return err


def customers(project: Path, old: str = "", new: str = "") -> None:
    path = project / "data" / "customers.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_missing_file(fresh: Path, capsys: pytest.CaptureFixture[str]):
    (fresh / "data" / "customers.csv").unlink()
    assert "data/customers.csv" in refused(capsys)


def test_an_empty_file(fresh: Path, capsys: pytest.CaptureFixture[str]):
    (fresh / "data" / "customers.csv").write_text("")
    assert "data/customers.csv" in refused(capsys)


def test_a_misspelt_column(fresh: Path, capsys: pytest.CaptureFixture[str]):
    customers(fresh, "months", "monhts")
    err = refused(capsys)
    assert "data/customers.csv" in err
    assert "Did you mean 'months'?" in err


def test_a_value_of_the_wrong_type(fresh: Path, capsys: pytest.CaptureFixture[str]):
    customers(fresh, "\n7,", "\nseven,")
    err = refused(capsys)
    assert "data/customers.csv" in err
    assert "seven" in err


def test_a_value_outside_its_range(fresh: Path, capsys: pytest.CaptureFixture[str]):
    lines = (fresh / "data" / "customers.csv").read_text().splitlines()
    lines[5] = ",".join([lines[5].split(",")[0], "7", *lines[5].split(",")[2:]])
    (fresh / "data" / "customers.csv").write_text("\n".join(lines) + "\n")
    assert "column 'age': 1 of 200 rows below 18 (first: data/customers.csv row" in refused(capsys)


def test_a_key_that_comes_twice(fresh: Path, capsys: pytest.CaptureFixture[str]):
    customers(fresh, "\n7,", "\n8,")
    assert "column 'customer_id'" in refused(capsys)


def test_a_null_label(fresh: Path, capsys: pytest.CaptureFixture[str]):
    lines = (fresh / "data" / "customers.csv").read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ","
    (fresh / "data" / "customers.csv").write_text("\n".join(lines) + "\n")
    assert "column 'left': 1 of 200 rows" in refused(capsys)


def test_a_file_that_changed_after_it_was_taken(churn: Path, capsys: pytest.CaptureFixture[str]):
    customers(churn, "basic", "plus")
    assert main(["run", "cluster=debug"]) == 1
    assert "data/customers.csv" in capsys.readouterr().err


def test_a_new_file_is_appended_and_only_it_is_read(churn: Path, capsys: pytest.CaptureFixture[str]):
    text = (churn / "data" / "customers.csv").read_text().splitlines()
    path = churn / "conf" / "churn.yaml"
    path.write_text(path.read_text().replace("path: data/customers.csv", "path: data"))
    assert main(["run", "cluster=debug"]) == 0
    (churn / "data" / "more.csv").write_text("\n".join([text[0], "201,40,pro,3,2.5,,true"]) + "\n")
    capsys.readouterr()
    assert main(["run", "cluster=debug"]) == 0
    out = capsys.readouterr().out
    assert "1 new of 2 files" in out
    assert "201 rows" in out


def test_an_appended_table_misses_its_earlier_files_too(churn: Path, capsys: pytest.CaptureFixture[str]):
    test_a_new_file_is_appended_and_only_it_is_read(churn, capsys)
    found = (churn / ".raypipe" / "store" / "churn" / "source").rglob("*customers*.parquet")
    first = max(found, key=lambda path: path.stat().st_mtime_ns)  # an older one is of the table as it was before `data` was its source
    first.unlink()
    assert main(["plan"]) == 0
    assert f"the store has lost churn/source/{first.parent.name}/{first.name}" in capsys.readouterr().out
    assert main(["run", "cluster=debug"]) == 0
    assert "2 new of 2 files" in capsys.readouterr().out
