"""Opening a ledger's database, and its transactions, on SQLite and on PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from raypipe.core import schema
from raypipe.core.errors import LedgerError
from raypipe.core.ledger import Ledger


def count(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return len(connection.execute(select(schema.events).where(schema.events.c.project == ledger.project)).all())


def test_a_ledger_is_made_once_and_opened_again(any_url: str, any_ledger: Ledger):
    with any_ledger.writing() as connection:
        any_ledger.note(connection, "opened", None)
    again = Ledger.open(any_url, any_ledger.project)
    assert count(again) == 1
    assert again.where == any_ledger.where != ""
    again.close()


def test_a_write_is_there_for_others_at_once_and_an_error_takes_all_of_it_back(any_url: str, any_ledger: Ledger):
    other = Ledger.open(any_url, any_ledger.project)
    with any_ledger.writing() as connection:
        any_ledger.note(connection, "one", None)
        assert count(other) == 0
    assert count(other) == 1

    def write_and_fail():
        with any_ledger.writing() as connection:
            any_ledger.note(connection, "two", None)
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        write_and_fail()
    assert count(other) == 1
    other.close()


def test_a_reader_sees_one_moment_and_cannot_write(any_url: str, any_ledger: Ledger):
    other = Ledger.open(any_url, any_ledger.project)
    with any_ledger.reading() as connection:
        query = select(schema.events).where(schema.events.c.project == any_ledger.project)
        assert connection.execute(query).all() == []
        with other.writing() as writer:
            other.note(writer, "meanwhile", None)
        assert connection.execute(query).all() == []
    with pytest.raises(LedgerError, match=r"read-?only|attempt to write"), any_ledger.reading() as connection:
        any_ledger.note(connection, "not so", None)
    assert count(other) == 1
    other.close()


def test_a_transaction_inside_a_transaction_is_a_mistake_of_ours(any_ledger: Ledger):
    with pytest.raises(AssertionError, match="would wait for itself"), any_ledger.writing(), any_ledger.writing():
        pass
    with any_ledger.writing():
        pass


def test_writers_of_many_threads_lose_nothing(any_ledger: Ledger):
    def write() -> None:
        for _ in range(10):
            with any_ledger.writing() as connection:
                any_ledger.note(connection, "tick", {"seen": count(any_ledger)})

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(any_ledger) == 60


def test_a_constraint_keeps_its_own_error(any_ledger: Ledger):
    row = {
        "project": any_ledger.project,
        "name": "m",
        "alias": "champion",
        "version": 1,
        "rev": 1,
        "moved_at": "",
        "moved_by": "",
        "reason": "",
    }
    with pytest.raises(IntegrityError), any_ledger.writing() as connection:
        connection.execute(insert(schema.aliases), [row, row])


@pytest.mark.parametrize(("found", "word"), [("99", "newer"), ("0", "older")])
def test_another_version_is_refused_with_both_named(tmp_path: Path, found: str, word: str):
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger.open(url, "test")
    with ledger.writing() as connection:
        connection.execute(update(schema.meta).values(value=found))
    ledger.close()
    with pytest.raises(
        LedgerError, match=rf"ledger\.db: is of version {found}, {word} than version {schema.VERSION} that this raypipe reads"
    ) as caught:
        Ledger.open(url, "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "ledger.db", "sqlite://", "sqlite:///:memory:", "mysql://root:hunter2@host/db", "://", "sqlite+aiosqlite:///x", "http://h/x"],
)
def test_a_url_of_something_else_is_refused_without_its_password(url: str):
    with pytest.raises(LedgerError, match=r"expected sqlite:///PATH or postgresql\+psycopg://HOST/DATABASE") as caught:
        Ledger.open(url, "test")
    assert "hunter2" not in str(caught.value)


def test_a_crash_between_making_the_file_and_its_tables_is_no_harm(tmp_path: Path):
    (tmp_path / "ledger.db").write_bytes(b"")
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", "test")
    assert count(ledger) == 0
    ledger.close()


def test_processes_that_open_a_new_ledger_at_once_agree(tmp_path: Path):
    code = (
        "import sys\nfrom raypipe.core.ledger import Ledger\nledger = Ledger.open(sys.argv[1], 'test')\n"
        "with ledger.writing() as connection:\n    ledger.note(connection, 'here', None)\n"
    )
    url = f"sqlite:///{tmp_path}/deep/below/ledger.db"
    command = [sys.executable, "-c", code, url]
    running = [subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in running] == [("", 0)] * 4
    ledger = Ledger.open(url, "test")
    assert count(ledger) == 4
    with ledger.reading() as connection:
        assert connection.execute(text("pragma integrity_check")).scalar_one() == "ok"
    ledger.close()


def test_the_ledger_does_not_travel_to_tasks(ledger: Ledger):
    import copy

    with pytest.raises(TypeError, match="hand tasks the store, never the ledger"):
        copy.copy(ledger._database)


def test_opening_imports_little(tmp_path: Path):
    heavy = ["ray", "pyarrow", "numpy", "sqlalchemy.orm", "sqlalchemy.dialects.postgresql"]
    code = (
        "import sys\nfrom raypipe.core.ledger import Ledger\nLedger.open(sys.argv[1], 'test').find('x')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path}/ledger.db"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
