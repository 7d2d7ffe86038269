"""gc, and what the other verbs say of what it took, as a person sees it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from raypipe.cli.main import main
from raypipe.core.errors import ConfigError
from raypipe.pipeline.plan import open_scene
from raypipe.registry.versions import move_alias


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(list(words)) == code
    out = capsys.readouterr()
    return out.out + out.err


def values(capsys: pytest.CaptureFixture[str], *words: str):
    return json.loads(said(capsys, *words, "--json"))


@pytest.fixture
def strict(churn: Path) -> Path:
    """Three trainings of which the policy keeps the champion alone."""
    for c in ("0.2", "0.3"):
        assert main(["run", "-cd", "conf", "cluster=debug", f"model.C={c}"]) == 0
    (churn / "raypipe.toml").write_text('project = "churn"\n[retention]\nkeep_last = 1\nkeep_for = "0s"\nversions = 0\nlogs_for = "0s"\n')
    return churn


def test_it_tells_what_would_go_and_why_the_rest_stays_and_then_does_it(strict: Path, capsys: pytest.CaptureFixture[str]):
    told = said(capsys, "gc", "--dry-run")
    assert "step churn.train: releases 2 (10 files, " in told
    assert "keeps 1, needed by model churn@3 (candidate, champion, serving)" in told
    found = values(capsys, "gc", "--dry-run")
    free = found["releasable_bytes"]
    assert values(capsys, "status")["releasable"] == free > 5000
    before = values(capsys, "status")["bytes"]
    assert "2 artifacts released" in said(capsys, "gc")
    assert values(capsys, "status")["bytes"] == before, "listed first"
    assert len(values(capsys, "gc", "--grace-hours", "0")["deleted"]) == 10
    assert values(capsys, "status")["bytes"] == before - free
    assert values(capsys, "gc", "--dry-run")["releasable_bytes"] == 0


def test_what_is_gone_is_said_plainly_and_comes_back_by_its_training(strict: Path, capsys: pytest.CaptureFixture[str]):
    run = values(capsys, "runs")[-1]["id"]
    main(["gc", "--grace-hours", "0"])
    gone = "its bytes were removed by retention on "
    assert gone in said(capsys, "show", run)
    assert gone in said(capsys, "models", "churn@1")
    assert [m["released"] is None for m in values(capsys, "models")] == [True, False, False]
    rows = str(next((strict / "data").glob("*.csv")))
    refused = said(capsys, "predict", "churn@1", rows, code=1)
    assert gone in refused
    assert "under keep_last=1 keep_for=0s versions=0" in refused
    assert "difference" in said(capsys, "diff", run, run)
    ledger = open_scene().ledger
    with pytest.raises(ConfigError, match="version 1 was released by retention on"), ledger.writing() as connection:
        move_alias(connection, ledger, "churn", "champion", 1)
    assert main(["run", "-cd", "conf", "cluster=debug"]) == 0
    assert [m["released"] is None for m in values(capsys, "models")] == [True, False, True]
    assert said(capsys, "predict", "churn@1", rows)


@pytest.mark.usefixtures("churn")
def test_a_disk_nearly_full_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    real = os.statvfs
    full = SimpleNamespace(f_bavail=1, f_frsize=10**6, f_blocks=10**6)
    monkeypatch.setattr(os, "statvfs", lambda path: full if str(path).endswith("store") else real(path))
    for verb in (["gc", "--dry-run"], ["status"], ["run", "-cd", "conf", "cluster=debug", "model.C=0.4"]):
        assert "is nearly full: 1.0 MB of" in said(capsys, *verb)
