"""The log of a run in the ledger, on SQLite and PostgreSQL."""

from __future__ import annotations

from raypipe.core.ledger import Ledger
from raypipe.core.logs import Entry


def test_lines_come_back_in_order_by_run_step_and_place(any_ledger: Ledger):
    said = [Entry("r1", "a", "t1", "report", "half"), Entry("r1", "b", "t0", "out", "x\ny", "part-0"), Entry("r1", "a", "t2", "err", "ß")]
    any_ledger.log([Entry("r2", "a", "t", "out", "other")])
    any_ledger.log(said[:2])
    any_ledger.log(said[2:])
    found = any_ledger.logs("r1")
    assert [(e.step, e.kind, e.text, e.origin) for e in found] == [(e.step, e.kind, e.text, e.origin) for e in said]
    assert [e.text for e in any_ledger.logs("r1", "a")] == ["half", "ß"]
    assert [e.text for e in any_ledger.logs("r1", after=found[1].number)] == ["ß"]
    assert any_ledger.logs("r3") == []
