"""Lines and code of old runs, forgotten: the runs themselves, and what is needed, stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from raypipe.core.ledger import Ledger, Record, Run
from raypipe.core.logs import Entry
from raypipe.core.retention import Retention
from raypipe.data.lake.forget import forget, forgotten

POLICY = Retention(logs_for="30d", keep_runs=1)


def ran(ledger: Ledger, number: int, days: float, code: str) -> str:
    """A run of so many days ago that made something of its own and said a line."""
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    run, key = f"run-{number}", f"key-{number}"
    kept = {"code": {"mine": {"source": code, "is_package": False}}, "environment": {"python": "3"}}
    ledger.start_run(Run(run, "p", started_at=at, owner={"host": "x", "boot": "", "pids": 0, "pid": 1, "started": ""}), kept)
    ledger.log([Entry(run, "train", at, "out", "epoch 1 of 2")])
    ledger.publish(ledger.claim(key, run), Record("Report", "p", "train", run, key, f"digest-{number}"))
    with ledger.writing() as connection:
        from sqlalchemy import update

        from raypipe.core import schema

        connection.execute(update(schema.runs).where(schema.runs.c.id == run).values(state="DONE", ended_at=at))
    return run


@pytest.fixture
def runs(any_ledger: Ledger):
    return any_ledger, [
        ran(any_ledger, number, days, code) for number, (days, code) in enumerate([(90, "a"), (60, "b"), (20, "b"), (10, "c")])
    ]


def test_lines_and_code_of_old_runs_go_and_nothing_that_another_run_shares(runs):
    ledger, (first, second, *recent) = runs
    found = forget(ledger, POLICY)
    assert (found.runs, found.num_lines, found.num_kept) == ((first, second), 2, 2)
    assert len(found.documents) == 2, "the first run's own code, and the list of what it ran with"
    assert [len(ledger.logs(run)) for run in (first, second, *recent)] == [0, 0, 1, 1]
    run = ledger.run(first)
    assert run is not None
    assert ledger.kept(run) == {}
    assert all(ledger.kept(kept)["code"]["mine"]["source"] in "bc" for id in (second, *recent) if (kept := ledger.run(id)))
    assert "removed by retention on" in forgotten(ledger, run.started_at)
    assert "logs_for=30d keep_runs=1" in forgotten(ledger, run.started_at)
    assert forgotten(ledger, datetime.now(UTC).isoformat()) == ""
    assert forget(ledger, POLICY).is_empty


def test_the_newest_runs_of_a_pipeline_stay_whatever_their_age(runs):
    ledger, ids = runs
    assert forget(ledger, Retention(logs_for="1d", keep_runs=3)).runs == (ids[0],)
    assert len(ledger.logs(ids[1])) == 1


def test_the_run_that_made_what_is_needed_stays(runs):
    """The newest artifact of a step is what a plan compares with, line by line."""
    ledger, ids = runs
    found = forget(ledger, Retention(logs_for="0s", keep_runs=0))
    assert found.runs == tuple(ids[:3])
    newest = ledger.run(ids[3])
    assert newest is not None
    assert ledger.kept(newest)["code"]["mine"]["source"] == "c"
