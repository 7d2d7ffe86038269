"""What a run says of its store, and what it cleans up by itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from raypipe.core.ledger import Ledger, Record
from raypipe.core.retention import Retention
from raypipe.core.store import Store
from raypipe.data.lake.upkeep import count, tend

LITTLE = Retention(keep_last=1, keep_for="0s", grace="0s", tell_above="1kB", auto=False)
TOMORROW = timedelta(days=1, minutes=1)


def made(ledger: Ledger, store: Store, number: int, size: int = 1000):
    """A model of its own fingerprint."""
    lease = ledger.claim(f"key-{number}", "r")
    file = store.write(f"p/train/{lease.token:06d}-{number:012x}/model.bin", b"x" * size)
    return ledger.publish(lease, Record("Model", "p", "train", "r", f"key-{number}", f"d{number}", files=[file]))


def test_a_run_says_what_could_go_and_gc_ends_that(ledger: Ledger, store: Store):
    made(ledger, store, 0)
    assert tend(ledger, store, LITTLE) == []
    for number in range(1, 4):
        made(ledger, store, number)
    assert tend(ledger, store, LITTLE) == ["the store holds 4.0 kB, 3.0 kB of it released by retention: raypipe gc"]
    assert tend(ledger, store, Retention()) == [], "a gigabyte is little, by default"
    count(ledger, Retention(keep_last=4, keep_for="0s"), datetime.now(UTC), datetime.now(UTC).isoformat())
    assert tend(ledger, store, LITTLE) == []


def test_once_a_day_what_can_be_made_again_is_released_by_itself(ledger: Ledger, store: Store):
    old, *_, new = [made(ledger, store, number) for number in range(3)]
    auto, now = Retention(keep_last=1, keep_for="0s"), datetime.now(UTC)
    assert tend(ledger, store, auto, now) == [], "a ledger that was never looked at loses nothing at once"
    assert tend(ledger, store, auto, now + timedelta(hours=23)) == []
    assert tend(ledger, store, auto, now + TOMORROW) == ["retention: 2 artifacts released"]
    assert [ledger.find(a.fingerprint) is None for a in (old, new)] == [True, False]
    assert all(store.holds(f) for f in old.files), "listed first"
    assert tend(ledger, store, auto, now + TOMORROW) == []


def test_where_it_is_off_nothing_is_touched(ledger: Ledger, store: Store):
    artifacts = [made(ledger, store, number) for number in range(3)]
    tend(ledger, store, LITTLE)
    tend(ledger, store, LITTLE, datetime.now(UTC) + TOMORROW)
    assert all(ledger.find(a.fingerprint) for a in artifacts)


def test_it_fails_no_run(ledger: Ledger, store: Store, monkeypatch: pytest.MonkeyPatch):
    from raypipe.core.errors import LedgerError

    def broken():
        raise LedgerError("ledger x: disk I/O error.")

    monkeypatch.setattr(ledger, "reading", broken)
    assert tend(ledger, store, LITTLE) == ["retention: ledger x: disk I/O error."]


def test_it_counts_what_is_new_alone(ledger: Ledger, store: Store):
    """Half a second over thousands of artifacts would be felt after each run: the count goes by their numbers."""
    for number in range(200):
        made(ledger, store, number, size=1)
    big = Retention(auto=False)
    tend(ledger, store, big)
    made(ledger, store, 200)
    spent = []
    for _ in range(5):
        began = time.process_time()
        tend(ledger, store, big)
        spent.append(time.process_time() - began)
    assert min(spent) < 0.01
