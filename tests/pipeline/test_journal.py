"""What is kept of what was said in a run, by the steps and by the user's code."""

from __future__ import annotations

import threading

import pytest

from raypipe.core import output
from raypipe.core.errors import DataError, LedgerError, StepFailed
from raypipe.core.frame import trace
from raypipe.core.output import Line
from raypipe.pipeline import journal
from raypipe.pipeline.journal import Journal


class Ledger:
    """Notes what it is given; refuses the first time."""

    def __init__(self, refuses: int = 0):
        self.refuses, self.written, self.times = refuses, [], 0

    def log(self, entries):
        self.times += 1
        if self.times <= self.refuses:
            raise LedgerError("busy")
        self.written += entries


def test_lines_of_all_threads_are_written_together_and_in_the_order_of_each():
    ledger = Ledger()
    kept = Journal(ledger, "r")  # type: ignore[arg-type]

    def work(step: str) -> None:
        with output.heard(kept.printed(step)):
            for n in range(50):
                print(step, n)

    threads = [threading.Thread(target=work, args=(step,)) for step in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.close()
    assert ledger.times == 1
    for step in "abc":
        assert [e.text for e in ledger.written if e.step == step] == [f"{step} {n}" for n in range(50)]


def test_what_a_step_prints_is_bounded_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(journal, "NUM_PRINTED", 10)
    ledger = Ledger()
    kept = Journal(ledger, "r")  # type: ignore[arg-type]
    for n in range(1234):
        kept.take("a", Line("", "out", str(n)))
    kept.close()
    assert [e.text for e in ledger.written] == [*map(str, range(10)), "1,224 more lines are not kept"]


def test_a_ledger_that_cannot_be_written_gets_it_at_the_next_try(monkeypatch):
    monkeypatch.setattr(journal, "PAUSE_S", 0.01)
    ledger = Ledger(refuses=2)
    kept = Journal(ledger, "r")  # type: ignore[arg-type]
    kept.add("a", "report", "half done")
    while ledger.times < 3:
        threading.Event().wait(0.01)
    kept.close()
    assert [(e.kind, e.text) for e in ledger.written] == [("report", "half done")]


def test_secrets_reach_no_log(monkeypatch):
    monkeypatch.setenv("A_PASSWORD", "hunter2-hunter2")
    ledger = Ledger()
    kept = Journal(ledger, "r")  # type: ignore[arg-type]
    kept.take("a", Line("", "out", "with hunter2-hunter2"))
    kept.close()
    assert [e.text for e in ledger.written] == ["with ***"]


def test_a_traceback_is_the_tasks_or_the_causes():
    def fails() -> None:
        try:
            raise ValueError("deep")
        except ValueError as error:
            raise StepFailed("outer") from error

    with pytest.raises(StepFailed) as raised:
        fails()
    assert "ValueError: deep" in trace(raised.value)
    told = DataError("from afar")
    assert trace(told) == ""
    told.trace = "Traceback ...\n"
    assert trace(told) == "Traceback ..."
