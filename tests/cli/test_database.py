"""The ledger itself, as a person checks it, copies it and brings it up to date."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from raypipe.cli.main import main
from raypipe.core.ledger import Ledger
from raypipe.core.schema import VERSION
from raypipe.pipeline.plan import open_scene


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["ledger", *arguments]) == code
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out + err


def test_what_is_whole_is_sound(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert "sound (there and of their size; --bytes reads them)" in said(capsys, "check")
    found = json.loads(said(capsys, "check", "--bytes", "--json"))
    assert found["flaws"] == []
    assert found["num_artifacts"] > 8
    assert found["num_files"] > 5


def test_each_damage_is_named(churn: Path, capsys: pytest.CaptureFixture[str]):
    store = churn / ".raypipe" / "store"
    chain, fragment, other = next(store.rglob("chain.json")), *sorted(store.rglob("*.parquet"))[:2]
    chain.unlink()
    fragment.write_bytes(fragment.read_bytes()[:-1])
    flipped = bytearray(other.read_bytes())
    flipped[40] ^= 1
    other.write_bytes(flipped)
    with open_scene(churn).ledger.writing() as connection:
        connection.execute(text("insert into raypipe_tags values ('churn', 'churn.source', 'gone', 999, 'me', 'now')"))
    found = {flaw["where"]: flaw["what"] for flaw in json.loads(said(capsys, "check", "--json", code=1))["flaws"]}
    names = [str(path.relative_to(store)) for path in (chain, fragment, other)]
    assert found[names[0]] == "is not in the store"
    assert "bytes were written" in found[names[1]] or "were written" in found[names[1]]
    assert names[2] not in found, "the size is as it was"
    assert found["snapshot 999"] == "has a tag, and is not there any more"
    assert f"{names[2]} has other bytes than were written" in said(capsys, "check", "--bytes", code=1)


def test_a_copy_is_the_ledger(churn: Path, own_url: str, capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path):
    out = tmp_path / "ledger.jsonl"
    assert "rows of" in said(capsys, "export", str(out))
    assert f"{out} is there already" in said(capsys, "export", str(out), code=2)
    main(["tables", "--json"])
    main(["models", "--json"])
    before = capsys.readouterr().out.partition("\n")[2]
    monkeypatch.setenv("RAYPIPE_LEDGER", own_url)
    assert "rows read into" in said(capsys, "import", str(out))
    main(["tables", "--json"])
    main(["models", "--json"])
    assert capsys.readouterr().out.partition("\n")[2] == before
    assert "is not empty" in said(capsys, "import", str(out), code=2)
    assert main(["plan", "-cd", "conf", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert {step["state"] for step in plan["steps"]} == {"HIT"}
    main(["run", "-cd", "conf", "cluster=debug", "model.C=0.02"])
    assert "done in" in capsys.readouterr().out, "its counters go on"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:-1], "cut short"),
        (lambda lines: [*lines[:4], lines[4].replace("churn", "churm"), *lines[5:]], "was changed"),
        (lambda lines: [lines[0].replace(f'"raypipe ledger":{VERSION}', '"raypipe ledger":99'), *lines[1:]], "of version 99"),
        (lambda lines: ["no ledger\n"], "no JSON object"),
        (lambda lines: [], "cut short"),
    ],
)
def test_a_file_that_is_no_whole_ledger(churn: Path, capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path, change, says: str):
    out = tmp_path / "ledger.jsonl"
    said(capsys, "export", str(out))
    out.write_text("".join(change(out.read_text().splitlines(keepends=True))))
    monkeypatch.setenv("RAYPIPE_LEDGER", f"sqlite:///{tmp_path}/other.db")
    assert says in said(capsys, "import", str(out), code=2)
    assert not Ledger.open(f"sqlite:///{tmp_path}/other.db", "churn").runs()


def test_up_to_date(churn: Path, capsys: pytest.CaptureFixture[str]):
    assert f"is of version {VERSION} already" in said(capsys, "migrate")
    assert "say what: check, export FILE, import FILE or migrate" in said(capsys, code=2)
