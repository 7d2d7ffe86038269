"""The history of runs."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from raypipe.core.errors import LedgerError
from raypipe.core.ledger import Ledger, Run, StepRecord
from raypipe.core.runs import who


def test_a_run_is_told_from_start_to_end(any_ledger: Ledger):
    config = {"train": {"epochs": 3}, "key": "${oc.env:KEY}"}
    any_ledger.start_run(Run("r1", "flights", command="raypipe run", config=config))
    any_ledger.start_run(Run("r2", "flights"))
    newest, first = any_ledger.runs()
    assert (newest.id, first.id, first.state, first.config, first.command) == ("r2", "r1", "RUNNING", config, "raypipe run")
    assert first.started_at
    assert first.who == who()
    any_ledger.end_run("r1", "FAILED", 1)
    ended = any_ledger.runs()[1]
    assert (ended.state, ended.exit_code, bool(ended.ended_at)) == ("FAILED", 1, True)
    assert [run.id for run in any_ledger.runs(limit=1)] == ["r2"]
    with pytest.raises(LedgerError, match="no run r9"):
        any_ledger.end_run("r9", "DONE", 0)


def test_the_user_is_marked_unverified_and_need_not_have_a_name(monkeypatch: pytest.MonkeyPatch):
    assert who().endswith(" (unverified)")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert who() == "uid 54321 (unverified)"


def test_steps_keep_their_order_and_their_last_record(any_ledger: Ledger):
    any_ledger.record_steps([StepRecord("r1", "ingest", "RUNNING")])
    any_ledger.record_steps([StepRecord("r1", "train", "RUNNING", "epochs changed")])
    any_ledger.record_steps([StepRecord("r2", "ingest", "HIT")])
    any_ledger.record_steps([StepRecord("r1", "ingest", "DONE", "new files", "a1", 1.5, 336_776)])
    first, second = any_ledger.steps("r1")
    assert dataclasses.replace(first, at="") == StepRecord("r1", "ingest", "DONE", "new files", "a1", 1.5, 336_776)
    assert first.at
    assert (second.step, second.why) == ("train", "epochs changed")


def test_a_run_whose_process_is_gone_is_shown_as_interrupted(any_ledger: Ledger):
    code = "import json, dataclasses\nfrom raypipe.core.lease import Owner\nprint(json.dumps(dataclasses.asdict(Owner.here())))"
    gone = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60).stdout
    any_ledger.start_run(Run("killed", "flights", owner=json.loads(gone)))
    any_ledger.start_run(Run("elsewhere", "flights", owner=json.loads(gone) | {"pids": 1}))
    any_ledger.start_run(Run("alive", "flights"))
    assert [(run.id, run.state) for run in any_ledger.runs()] == [("alive", "RUNNING"), ("elsewhere", "RUNNING"), ("killed", "INTERRUPTED")]


def test_projects_do_not_see_each_other(any_url: str, any_ledger: Ledger):
    any_ledger.start_run(Run("r1", "flights"))
    other = Ledger.open(any_url, any_ledger.project + "-other")
    assert other.runs() == []
    other.start_run(Run("r1", "flights"))
    other.close()
