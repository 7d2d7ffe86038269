"""What is different where several machines share a ledger on a PostgreSQL server."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from raypipe.core.errors import LeaseHeld, LedgerError, LedgerLost
from raypipe.core.ledger import Ledger, Record


@pytest.fixture
def fresh_url(postgres_url: str) -> str:
    """A database of the test's own."""
    name = f"d{uuid.uuid4().hex[:8]}"
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    return postgres_url.replace("/postgres?", f"/{name}?")


@pytest.fixture
def ledger(fresh_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(fresh_url, "test")
    yield opened
    opened.close()


RECORD = Record("Table", "flights", "ingest", "r1", "f1", "d1")


def end_connections(ledger: Ledger) -> None:
    """What a restart of the server does to everybody else's connections."""
    other = Ledger.open(ledger.url, ledger.project)
    with other.writing() as connection:
        others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        connection.execute(text(others))
    other.close()


def test_many_that_open_a_new_database_at_once_agree(fresh_url: str):
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Ledger.open(fresh_url, "test"), range(8)))
    for ledger in opened:
        assert ledger.runs() == []
        ledger.close()


def test_a_newer_version_is_refused_with_both_named(ledger: Ledger, fresh_url: str):
    with ledger.writing() as connection:
        connection.execute(text("update raypipe_meta set value = '7'"))
    with pytest.raises(LedgerError, match="is of version 7, newer than version 3 that this raypipe reads"):
        Ledger.open(fresh_url, "test")


def test_a_server_that_does_not_answer_is_one_line_without_the_password():
    with pytest.raises(LedgerError, match=r"^ledger postgresql\+psycopg://me:\*\*\*@127\.0\.0\.1:1/db: .*") as caught:
        Ledger.open("postgresql+psycopg://me:hunter2@127.0.0.1:1/db", "test")
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_database_that_is_not_there_is_one_line(postgres_url: str):
    with pytest.raises(LedgerError, match='database "nowhere" does not exist') as caught:
        Ledger.open(postgres_url.replace("/postgres?", "/nowhere?"), "test")
    assert "\n" not in str(caught.value)


def test_leases_go_by_the_servers_clock(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    ledger.claim("k", "r1", ttl_s=30)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    with pytest.raises(LeaseHeld, match=r"last sign of life [01] s ago"):
        ledger.claim("k", "r2", ttl_s=30)


def test_a_claim_waits_for_a_publish_that_has_begun(ledger: Ledger, fresh_url: str):
    lease = ledger.claim("f1", "r1", ttl_s=0)
    inside, order = threading.Event(), []

    def slow(connection: Connection, artifact_id: str) -> None:
        inside.set()
        time.sleep(0.5)
        order.append("published")

    def take_over() -> int:
        inside.wait(10)
        other = Ledger.open(fresh_url, "test")
        token = other.claim("f1", "r2").token
        order.append("claimed")
        other.close()
        return token

    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take_over)
        artifact = ledger.publish(lease, RECORD, [slow])
        assert taken.result(30) == 2
    assert order == ["published", "claimed"]
    assert ledger.find("f1") == artifact


def test_a_restart_of_the_server_between_two_transactions_is_not_noticed(ledger: Ledger):
    lease = ledger.claim("f1", "r1")
    end_connections(ledger)
    ledger.beat(lease)
    end_connections(ledger)
    assert ledger.publish(lease, RECORD) == ledger.find("f1")


def test_a_publish_that_a_restart_broke_off_is_looked_up_and_done_again(ledger: Ledger):
    lease, tries = ledger.claim("f1", "r1"), []

    def commit(connection: Connection, artifact_id: str) -> None:
        tries.append(artifact_id)
        if len(tries) == 1:
            end_connections(ledger)

    made = ledger.publish(lease, RECORD, [commit])
    assert tries == [made.id, made.id]
    assert ledger.find("f1") == made


def test_a_publish_whose_answer_was_lost_is_not_done_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    lease, writing, tries = ledger.claim("f1", "r1"), ledger.writing, []

    @contextlib.contextmanager
    def losing():
        with writing() as connection:
            yield connection
        if not tries:
            tries.append(1)
            raise LedgerLost("the answer to the commit")

    monkeypatch.setattr(ledger, "writing", losing)
    commits = []
    made = ledger.publish(lease, RECORD, [lambda connection, artifact_id: commits.append(artifact_id)])
    assert commits == [made.id]
    assert ledger.find("f1") == made


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_claim_that_a_restart_broke_off_is_this_runs_own_whatever_became_of_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, lost: str
):
    writing, tries = ledger.writing, []

    @contextlib.contextmanager
    def losing():
        with writing() as connection:
            yield connection
            tries.append(1)
            if lost == "before" and len(tries) == 1:
                raise LedgerLost("in the middle of a claim")
        if lost == "after" and len(tries) == 1:
            raise LedgerLost("the answer to a claim")

    monkeypatch.setattr(ledger, "writing", losing)
    assert ledger.claim("f1", "r1").token == 1
    with pytest.raises(LeaseHeld):
        ledger.claim("f1", "r1")


def test_a_server_that_answered_before_is_waited_for_as_it_starts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    engine, down = ledger._database.reads, [1, 1]

    def connect() -> Connection:
        if down:
            down.pop()
            raise OperationalError("", {}, Exception("the database system is starting up"))
        return Engine.connect(engine)

    monkeypatch.setattr(engine, "connect", connect)
    assert ledger.find("f1") is None
    assert not down


def test_a_process_that_is_stopped_in_a_transaction_does_not_block_for_ever(ledger: Ledger):
    with ledger.reading() as connection:
        limits = [connection.execute(text(f"show {name}")).scalar_one() for name in ("idle_in_transaction_session_timeout", "lock_timeout")]
        assert limits == ["1min", "30s"]
        assert connection.execute(text("show synchronous_commit")).scalar_one() == "on"


def test_a_publish_that_the_server_ended_to_end_a_deadlock_is_done_again(ledger: Ledger):
    lease = ledger.claim("f1", "r1")
    held, waits = threading.Event(), threading.Event()

    def other() -> None:
        with ledger.writing() as connection:
            connection.execute(text("select pg_advisory_xact_lock(42)"))
            held.set()
            waits.wait(30)
            time.sleep(0.3)  # who waited first is ended first
            connection.execute(text("select 1 from raypipe_leases where key = 'f1' for update"))

    calls: list[str] = []

    def commit(connection: Connection, artifact_id: str) -> None:
        calls.append(artifact_id)
        waits.set()
        connection.execute(text("select pg_advisory_xact_lock(42)"))

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(30)
    made = ledger.publish(lease, RECORD, [commit])
    thread.join()
    assert calls == [made.id, made.id]
    assert ledger.find("f1") == made
