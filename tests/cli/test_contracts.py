"""tables infer and tables validate, on files anywhere and on tables, without a pipeline."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.cli.main import main

ROWS = pa.table({"id": pa.array(range(40)), "carrier": ["AA", "UA"] * 20, "delay": [float(n) for n in range(39)] + [None]})


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    pq.write_table(ROWS.slice(0, 20), tmp_path / "data" / "a.parquet")
    pq.write_table(ROWS.slice(20), tmp_path / "data" / "b.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys, *words, code=0):
    assert main(["tables", *words]) == code
    return capsys.readouterr()


def test_a_contract_is_written_and_the_very_files_keep_it(here, capsys):
    out = said(capsys, "infer", "data", "--out", "conf/contract/rows.yaml").out
    assert out.splitlines()[0] == f"conf/contract/rows.yaml: 3 columns of data (2 files of {size(here)}), 40 rows"
    text = (here / "conf/contract/rows.yaml").read_text()
    assert "carrier: {type: string, nulls: false, allowed: [AA, UA]} # 2 values" in " ".join(text.split())
    assert "  id: {type: int64, nulls: false, min: 0, max: 39, unique: true}" in text
    shown = said(capsys, "validate", "data", "--contract", "conf/contract/rows.yaml").out
    assert shown.splitlines()[-1].startswith("the contract holds: ")
    assert not (here / ".raypipe").exists()


def size(here):
    from raypipe.core.wording import size_text

    return size_text(sum(path.stat().st_size for path in (here / "data").iterdir()))


def test_a_file_that_is_there_is_not_written_over(here, capsys):
    (here / "c.yaml").write_text("mine")
    assert "c.yaml is there already" in said(capsys, "infer", "data", "--out", "c.yaml", code=2).err
    said(capsys, "infer", "data", "--out", "c.yaml", "--force")
    assert "columns:" in (here / "c.yaml").read_text()


BROKEN = """
columns:
  id: {type: int64, unique: true}
  carrier: {type: string, allowed: [AA], on_breach: quarantine}
  delay: {type: float64, max: 30, nulls: 0.5}
rules: {even: {sql: id % 2 = 0, on_breach: warn}}
min_rows: 50
"""


def test_a_broken_contract_exits_with_3_and_tells_every_rule(here, capsys):
    (here / "c.yaml").write_text(BROKEN)
    out = said(capsys, "validate", "data/*.parquet", "--contract", "c.yaml", "-o", "bad.parquet", code=3).out
    shown = [" ".join(line.split()) for line in out.splitlines()]
    assert "broken delay max 30 8 40 20.000%" in shown
    assert "data/b.parquet row 12: 31.0" in shown
    assert "kept out carrier allowed AA 20 40 50.000% to quarantine" in shown
    assert "warning rule even: id % 2 = 0 20 40 50.000% kept" in shown
    assert "broken the table at least 50 rows 40" in shown
    assert pq.read_table("bad.parquet")["raypipe.reasons"].to_pylist()[0] == ["carrier: not among AA", "delay: above 30"]
    found = json.loads(said(capsys, "validate", "data", "--contract", "c.yaml", "--json", code=3).out)
    assert (found["passed"], found["rows"]) == (False, 40)
    assert {rule["rule"]: rule["passed"] for rule in found["rules"]} == {
        "allowed": True, "max": False, "nulls": True, "even": False, "unique": True, "min_rows": False,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_files_of_other_kinds_get_the_contracts_types(here, capsys, kind):
    from pyarrow import csv

    if kind == "csv":
        csv.write_csv(ROWS, here / "rows.csv")
    else:
        (here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS.to_pylist()))
    (here / "c.yaml").write_text("columns: {id: {type: int32, max: 38}, carrier: {type: string}, delay: {type: float64}}")
    assert f"rows.{kind} row 40: 39" in said(capsys, "validate", f"rows.{kind}", "--contract", "c.yaml", code=3).out
    assert "carrier: {type: string, nulls: false, allowed: [AA, UA]}" in said(capsys, "infer", f"rows.{kind}").out


def test_a_file_that_cannot_be_read_or_does_not_fit_is_named_and_the_others_are_judged(here, capsys):
    pq.write_table(ROWS.rename_columns(["id", "carier", "delay"]), here / "data" / "c.parquet")
    (here / "data" / "d.parquet").write_bytes(b"")
    (here / "c.yaml").write_text("columns: {id: {type: int64, max: 30}, carrier: {type: string}, delay: {type: float64}}")
    out = said(capsys, "validate", "data", "--contract", "c.yaml", code=3).out
    assert "data/c.parquet: column 'carier' is not in the contract. Did you mean 'carrier'?" in out
    assert "data/d.parquet: the file is empty (0 bytes)" in out
    assert "max 30" in out
    assert out.splitlines()[-2] == "the contract is broken: 1 of 2 rules broken, 2 problems with files"


def test_everything_wrong_with_a_contract_is_told_at_once(here, capsys):
    (here / "c.yaml").write_text(
        "mim_rows: 3\ncolumns:\n  id: {type: int46, nuls: false}\n  x: {type: int64, min: a}\nrules: {r: {sql: y > 1}}"
    )
    err = said(capsys, "validate", "data", "--contract", "c.yaml", code=2).err
    assert err.splitlines() == [
        "raypipe: c.yaml has 5 problems",
        "  mim_rows         unknown: Contract takes no 'mim_rows'. Did you mean 'min_rows'?",
        "  columns.id.nuls  unknown: Column takes no 'nuls'. Did you mean 'nulls'?",
        "  columns.id       'int46' is no type. Types: int64, float64, string, bool, date32, timestamp[us], timestamp[us, tz=UTC], ...",
        "  columns.x        min is 'a', which is no int64",
        "  rules.r          no column 'y' among the contract's. Valid: id, x.",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("columns: {at: {type: date32, min: soon}}", "columns.at: min is 'soon', which is no date32, such as '2026-01-31'"),
        ("columns: {at: {type: date32, mim: 3}}", "columns.at.mim: unknown: Column takes no 'mim'. Did you mean 'min'?"),
        ("{min_rows: -1, columns: {at: {type: date32}}}", "min_rows: is -1, expected 0 or more"),
    ],
)
def test_one_thing_wrong_with_a_contract_is_told_with_its_file(here, capsys, text, told):
    (here / "c.yaml").write_text(text)
    assert said(capsys, "validate", "data", "--contract", "c.yaml", code=2).err.strip() == f"raypipe: c.yaml: {told}"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["validate", "nowhere.csv", "--contract", "c.yaml"], "nowhere.csv"),
        (["validate", "data", "--contract", "none.yaml"], "none.yaml: there is no such file"),
        (["infer", "c.yaml"], "its name does not say of what kind it is"),
    ],
)
def test_what_is_not_there(here, capsys, words, text):
    (here / "c.yaml").write_text("columns: {id: {type: int64}}")
    assert main(["tables", *words]) in (1, 2)
    assert text in capsys.readouterr().err


def test_a_table_is_held_to_another_contract_or_tells_what_its_own_has_found(churn, capsys):
    own = said(capsys, "validate", "churn.source").out.splitlines()
    assert own[0].endswith(" 200 rows, as the contract found them when they were taken")
    assert "ok customer_id no nulls, unique 0 200" in [" ".join(line.split()) for line in own]
    (churn / "c.yaml").write_text("exact: false\ncolumns: {age: {type: int64, max: 20}}")
    assert "the contract is broken: 1 of 2 rules" in said(capsys, "validate", "churn.source", "--contract", "c.yaml", code=3).out
    written = said(capsys, "infer", "churn.source").out
    (churn / "d.yaml").write_text(written)
    said(capsys, "validate", "churn.source", "--contract", "d.yaml")
