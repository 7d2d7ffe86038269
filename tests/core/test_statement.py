"""Statements that are put together once find and write what SQLAlchemy would, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.exc import StatementError

from raypipe.core import schema
from raypipe.core.errors import LedgerError
from raypipe.core.ledger import Ledger
from raypipe.core.statement import Statement

EVENTS = schema.events
PROJECT = "statements"
"""Of the database's other tests there are events too."""
ADD = Statement(insert(EVENTS))
FIND = Statement(select(EVENTS).where(EVENTS.c.what == bindparam("of_what"), EVENTS.c.project == PROJECT).order_by(EVENTS.c.number))
LAST = Statement(select(EVENTS.c.detail, EVENTS.c.what.label("word")).order_by(EVENTS.c.number.desc()).limit(1))
RENAME = Statement(update(EVENTS).where(EVENTS.c.what == bindparam("of_what")))


def event(what: str, detail: object) -> dict[str, object]:
    return {"project": PROJECT, "at": "now", "who": "me", "what": what, "detail": detail}


def test_it_finds_and_writes_what_sqlalchemy_does(any_ledger: Ledger):
    with any_ledger.writing() as connection:
        ADD.on(connection, event("one", {"b": [1, "é"], "a": None}))
        ADD.on(connection, [event("two", None), event("two", 2.5)])
        with pytest.raises((ValueError, StatementError), match="Out of range float"):
            ADD.on(connection, event("three", float("nan")))
    with any_ledger.reading() as connection:
        for what in ("one", "two", "three"):
            asked = {"of_what": what}
            expected = connection.execute(FIND.clause, asked).all()
            assert [tuple(row) for row in FIND.on(connection, asked)] == [tuple(row) for row in expected]
            assert [row._asdict() for row in FIND.on(connection, asked).all()] == [dict(row._mapping) for row in expected]
        (row,) = FIND.on(connection, {"of_what": "one"})
        assert (row.detail, row.project) == ({"a": None, "b": [1, "é"]}, PROJECT)
        last = LAST.on(connection).one()
        assert (last.detail, last.word) == (2.5, "two")
        assert FIND.on(connection, {"of_what": "three"}).one_or_none() is None
        assert FIND.on(connection, {"of_what": "three"}).first() is None


def test_an_update_writes_what_it_is_given_and_counts(any_ledger: Ledger):
    with any_ledger.writing() as connection:
        ADD.on(connection, [event("four", None), event("four", 1)])
        assert RENAME.on(connection, {"of_what": "four", "who": "you"}).rowcount == 2
        assert RENAME.on(connection, {"of_what": "four", "what": "five", "detail": [1]}).rowcount == 2
        assert RENAME.on(connection, {"of_what": "four", "who": "nobody"}).rowcount == 0
    with any_ledger.reading() as connection:
        assert [(row.who, row.detail) for row in FIND.on(connection, {"of_what": "five"})] == [("you", [1]), ("you", [1])]


def test_what_the_database_refuses_is_the_ledgers_error(any_ledger: Ledger):
    with pytest.raises(LedgerError, match=r"^ledger .*no_such"), any_ledger.writing() as connection:
        Statement(text("insert into no_such (a) values (:a)")).on(connection, {"a": 1})
    with pytest.raises(LedgerError, match=r"^ledger .*(readonly|read-only)"), any_ledger.reading() as connection:
        ADD.on(connection, event("one", None))


def test_a_value_that_is_missing_is_no_null(ledger: Ledger):
    incomplete = {name: value for name, value in event("one", 1).items() if name != "detail"}
    with pytest.raises(AssertionError, match="the same names"), ledger.writing() as connection:
        ADD.on(connection, [event("one", 1), incomplete])
    with pytest.raises(AssertionError, match="of_what"), ledger.writing() as connection:
        RENAME.on(connection, {"who": "you"})
