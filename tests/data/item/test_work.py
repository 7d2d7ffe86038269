"""Items under a lease: what is recorded, and what is refused when another process has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.code.recorded import UserCode
from raypipe.core import items as ledger_items
from raypipe.core.errors import Fenced
from raypipe.core.lease import Heartbeat
from raypipe.core.ledger import Ledger
from raypipe.core.step import Look
from raypipe.core.store import Store
from raypipe.data.function.callee import Code
from raypipe.data.item.chunk import Mapped
from raypipe.data.item.item import Items
from raypipe.data.item.work import Share, run_items
from raypipe.pipeline.attempt import work_under


def test_what_a_fenced_process_made_is_not_recorded(any_ledger: Ledger, store: Store, tmp_path: Path):
    lease = any_ledger.claim("f1", "r1", ttl_s=30)
    look = Look(any_ledger.project, tmp_path, "p", "s", any_ledger, store)
    work = work_under(lease, Heartbeat(any_ledger, lease), look, "r1", fingerprint="f1", inline=True)
    # A function that gives back what it is given by name.
    mapped = Mapped(Code(UserCode("builtins.dict")), None, None, {}, store, work.path)
    first, second = Items.of_list([1.0, 4.0], "x").keyed(None)
    outcome = run_items(work, mapped, [first], Share())
    assert (list(outcome.kept), outcome.failures) == ([first.key], [])
    any_ledger.release(lease)
    any_ledger.claim("f1", "r2")
    with pytest.raises(Fenced):
        run_items(work, mapped, [second], Share())
    with any_ledger.reading() as connection:
        assert ledger_items.find(connection, any_ledger.project, [first.key, second.key]).keys() == {first.key}
