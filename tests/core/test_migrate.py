"""A ledger of the version before is refused with the command that brings it up to date, and then opens with all that it held."""

from pathlib import Path

import pytest
from sqlalchemy import text

from raypipe.core import schema
from raypipe.core.errors import LedgerError
from raypipe.core.ledger import Ledger, Run


def made_older(url: str) -> None:
    """As version 1 had it."""
    ledger = Ledger.open(url, "test")
    ledger.start_run(Run("r1", "flights", command="raypipe run"))
    with ledger.writing() as connection:
        connection.execute(text("alter table raypipe_runs drop column kept"))
        connection.execute(text("alter table raypipe_steps drop column cost"))
        connection.execute(text("drop table raypipe_documents"))
        connection.execute(text("drop table raypipe_items"))
        connection.execute(text("update raypipe_meta set value = '1'"))
    ledger.close()


def test_what_it_held_is_there(own_url: str):
    made_older(own_url)
    with pytest.raises(LedgerError, match=r"is of version 1, older than version .* `raypipe ledger migrate`"):
        Ledger.open(own_url, "test")
    assert Ledger.migrate(own_url) == (1, schema.VERSION)
    ledger = Ledger.open(own_url, "test")
    assert [(r.id, r.kept) for r in ledger.runs()] == [("r1", "")]
    ledger.start_run(Run("r2", "flights"), kept={"environment": {"python": "3.11"}})
    assert ledger.kept(ledger.runs()[0]) == {"environment": {"python": "3.11"}}
    ledger.close()
    assert Ledger.migrate(own_url) == (schema.VERSION, schema.VERSION)


def test_from_the_version_before_results_of_items_are_kept(own_url: str):
    ledger = Ledger.open(own_url, "test")
    with ledger.writing() as connection:
        connection.execute(text("drop table raypipe_items"))
        connection.execute(text("update raypipe_meta set value = '2'"))
    ledger.close()
    assert Ledger.migrate(own_url) == (2, schema.VERSION)
    ledger = Ledger.open(own_url, "test")
    with ledger.reading() as connection:
        assert connection.execute(text("select count(*) from raypipe_items")).scalar_one() == 0
    ledger.close()


def test_what_fails_half_way_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    url = f"sqlite:///{tmp_path}/ledger.db"
    made_older(url)
    from raypipe.core import migrate

    monkeypatch.setitem(migrate.STEPS, 1, (*migrate.STEPS[1], ("raypipe_runs", "add column kept text")))
    with pytest.raises(LedgerError):
        Ledger.migrate(url)
    with pytest.raises(LedgerError, match="is of version 1"):
        Ledger.open(url, "test")


def test_a_newer_one_and_none(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    with pytest.raises(LedgerError, match="there is none"):
        Ledger.migrate(url)
    made_older(url)
    Ledger.migrate(url)
    ledger = Ledger.open(url, "test")
    with ledger.writing() as connection:
        connection.execute(text("update raypipe_meta set value = '99'"))
    ledger.close()
    with pytest.raises(LedgerError, match="newer than version"):
        Ledger.migrate(url)
