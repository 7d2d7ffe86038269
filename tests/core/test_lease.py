"""Who holds a lease, who may take it, and how a holder learns that it lost it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raypipe.core.errors import Fenced, LeaseHeld, LedgerError
from raypipe.core.lease import Heartbeat, Lease, Owner
from raypipe.core.ledger import Ledger

ROOT = Path(__file__).parents[2]

CLAIM = """
import sys
from raypipe.core.ledger import Ledger
from raypipe.core.errors import LeaseHeld
ledger = Ledger.open(sys.argv[1], sys.argv[2])
try:
    print("token", ledger.claim("k", sys.argv[3], ttl_s=600).token, flush=True)
except LeaseHeld as held:
    print(held, flush=True)
sys.stdin.readline()
"""


class Clock:
    """Time as a test says it is."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clocked(any_url: str, any_ledger: Ledger, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger.open(any_url, any_ledger.project, clock=clock)
    yield opened
    opened.close()


def elsewhere(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """From now on this process calls itself another one."""
    owner = dataclasses.replace(Owner.here(), **changes)
    monkeypatch.setattr(Owner, "here", classmethod(lambda cls: owner))


def claiming(ledger: Ledger, run: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CLAIM, ledger.url, ledger.project, run]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_token_rises_with_each_claim(any_ledger: Ledger):
    first = any_ledger.claim("k", "r1")
    any_ledger.release(first)
    second = any_ledger.claim("k", "r2")
    assert (first.token, second.token) == (1, 2)
    assert any_ledger.claim("other", "r2").token == 1


def test_a_lease_that_is_held_says_by_whom_and_since_when(any_ledger: Ledger):
    any_ledger.claim("k", "r1")
    with pytest.raises(
        LeaseHeld, match=rf"^k: run r1 is making it, process {Owner.here().pid} on \S+, since \d{{4}}-.*last sign of life 0 s ago"
    ):
        any_ledger.claim("k", "r2")


def test_of_two_processes_one_wins_and_the_other_is_told(any_ledger: Ledger):
    running = [claiming(any_ledger, run) for run in ("one", "two")]
    lines = [process.stdout.readline() for process in running if process.stdout]
    for process in running:
        process.communicate("\n", timeout=30)
    won = [line for line in lines if line == "token 1\n"]
    assert len(won) == 1
    assert [line for line in lines if "is making it, process" in line]


def test_a_killed_holder_on_this_host_is_followed_at_once(any_ledger: Ledger):
    process = claiming(any_ledger, "r1")
    assert process.stdout is not None
    assert process.stdout.readline() == "token 1\n"
    with pytest.raises(LeaseHeld, match=f"process {process.pid}"):
        any_ledger.claim("k", "r2")
    process.kill()
    time.sleep(0.1)  # it is dead and not yet reaped here: that counts as dead too
    assert any_ledger.claim("k", "r2").token == 2
    process.communicate()


def test_a_pid_that_was_given_out_again_is_another_process(any_ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        elsewhere(patch, started="1")
        any_ledger.claim("k", "r1")
    assert any_ledger.claim("k", "r2").token == 2


@pytest.mark.parametrize("change", [{"host": "other", "boot": ""}, {"pids": 1, "pid": 999_999_999}])
def test_a_process_that_cannot_be_seen_is_followed_after_its_time_to_live(
    clocked: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch, change: dict
):
    with monkeypatch.context() as patch:
        elsewhere(patch, **change)
        lease = clocked.claim("k", "r1", ttl_s=30)
    clock.now += 20
    clocked.beat(lease)
    clock.now += 29
    with pytest.raises(LeaseHeld, match="last sign of life 29 s ago"):
        clocked.claim("k", "r2")
    clock.now += 1
    assert clocked.claim("k", "r2").token == 2


def test_a_laptop_that_changed_its_name_is_the_same_machine(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        elsewhere(patch, host="cafe", pid=999_999_999)
        ledger.claim("k", "r1")
    assert ledger.claim("k", "r2").token == 2


def test_after_a_restart_of_the_machine_a_local_ledger_knows_that_the_holder_is_gone(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        elsewhere(patch, boot="the boot before")
        ledger.claim("k", "r1")
    assert ledger.claim("k", "r2").token == 2


def test_claimed_and_never_beaten_counts_as_dead_after_the_time_to_live(clocked: Ledger, clock: Clock):
    clocked.claim("k", "r1", ttl_s=30)
    clock.now += 29
    with pytest.raises(LeaseHeld):
        clocked.claim("k", "r2", ttl_s=30)
    clock.now += 1
    assert clocked.claim("k", "r2", ttl_s=30).token == 2


def test_a_clock_that_was_set_back_does_not_keep_a_lease_for_ever(clocked: Ledger, clock: Clock):
    clocked.claim("k", "r1", ttl_s=30)
    clock.now -= 3600
    assert clocked.claim("k", "r2", ttl_s=30).token == 2


def test_who_lost_its_lease_is_fenced_whatever_the_clock_says(clocked: Ledger, clock: Clock):
    old = clocked.claim("k", "r1", ttl_s=30)
    clock.now += 31
    new = clocked.claim("k", "r2", ttl_s=30)
    clock.now -= 31
    with pytest.raises(Fenced, match=r"run r1 lost its lease \(token 1; another process holds token 2\)"):
        clocked.beat(old)
    clocked.release(old)
    clocked.beat(new)
    clocked.release(new)
    with pytest.raises(Fenced, match="run r2 gave this lease back already"):
        clocked.beat(new)


class Silent:
    """A ledger that answers only when it is told to."""

    def __init__(self, error: Exception | None = None):
        self.error, self.beats = error, 0

    def beat(self, lease: Lease) -> None:
        self.beats += 1
        if self.error:
            raise self.error


LEASE = Lease("k", 1, "r1", 30.0)


def test_a_heart_that_beats_lets_the_work_go_on(clock: Clock):
    heart = Heartbeat(Silent(), LEASE, clock)
    for _ in range(10):
        clock.now += 25
        heart.beat()
        heart.check()


def test_a_holder_that_could_not_beat_for_its_time_to_live_stops_itself(clock: Clock):
    ledger = Silent(LedgerError("the disk is gone"))
    heart = Heartbeat(ledger, LEASE, clock)
    clock.now += 30
    heart.beat()
    heart.check()
    clock.now += 1
    with pytest.raises(Fenced, match="could not renew its lease for 30 s"):
        heart.check()
    ledger.error = None
    heart.beat()
    with pytest.raises(Fenced):
        heart.check()


def test_a_process_that_slept_stops_before_it_asks_anybody(clock: Clock):
    heart = Heartbeat(Silent(), LEASE, clock)
    clock.now += 3600
    with pytest.raises(Fenced):
        heart.check()


def test_a_lost_lease_is_told_at_the_next_check(clock: Clock):
    heart = Heartbeat(Silent(Fenced("token 2")), LEASE, clock)
    heart.check()
    heart.beat()
    with pytest.raises(Fenced, match="token 2"):
        heart.check()


def test_the_thread_keeps_a_short_lease_alive_and_ends_with_the_block(any_ledger: Ledger):
    lease = any_ledger.claim("k", "r1", ttl_s=1.5)
    with Heartbeat(any_ledger, lease) as heart:
        ends = time.monotonic() + 2.5
        while time.monotonic() < ends:
            heart.check()
            time.sleep(0.2)
        with pytest.raises(LeaseHeld):
            any_ledger.claim("k", "r2")
    assert [thread for thread in threading.enumerate() if thread.name.startswith("heartbeat")] == []
    any_ledger.release(lease)


def test_the_thread_beats_every_third_and_asks_sooner_after_a_failure():
    ledger = Silent(LedgerError("busy"))
    with Heartbeat(ledger, dataclasses.replace(LEASE, ttl_s=0.6)):
        time.sleep(0.5)
    assert ledger.beats >= 3


def test_a_lease_that_is_given_back_at_once_needs_no_thread(monkeypatch: pytest.MonkeyPatch):
    started: list[str] = []
    monkeypatch.setattr(Heartbeat, "_run", lambda self: started.append(self._lease.key))
    for key in ("short", "long"):
        with Heartbeat(Silent(), dataclasses.replace(LEASE, key=key, ttl_s=0.6)):
            time.sleep(0.5 if key == "long" else 0)
    assert started == ["long"]
