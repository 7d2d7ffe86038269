"""The desired state of an endpoint, its revisions and their audit."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from raypipe.core import schema
from raypipe.core.errors import ConfigError
from raypipe.core.ledger import Ledger
from raypipe.registry.endpoints import endpoint, endpoints, set_endpoint
from raypipe.registry.versions import VersionRow


@pytest.fixture
def versioned(ledger: Ledger) -> Ledger:
    """A ledger with two versions of `flights`."""
    with ledger.writing() as connection:
        for version in (1, 2):
            row = VersionRow("flights", version, f"digest{version}", f"id{version}", "2013-11-01T00:00:00", "someone")
            connection.execute(insert(schema.model_versions).values(project=ledger.project, **vars(row)))
    return ledger


def test_a_state_is_set_changed_and_kept(versioned: Ledger):
    assert endpoint(versioned, "flights") is None
    with versioned.writing() as connection:
        first = set_endpoint(connection, versioned, "flights", 1, {"num_replicas": 1, "limits": {"num_rows": 10}}, run="run-1")
        again = set_endpoint(connection, versioned, "flights", 1, {"limits": {"num_rows": 10}, "num_replicas": 1}, run="run-2")
        changed = set_endpoint(connection, versioned, "flights", 1, {"num_replicas": 2}, reason="Monday's load")
    assert again == first
    assert (first.rev, first.by_run, first.set_by) == (1, True, "run run-1")
    assert (changed.rev, changed.by_run) == (2, False)
    assert endpoint(versioned, "flights") == changed
    assert endpoints(versioned) == [changed]


def test_each_change_is_in_the_audit_trail(versioned: Ledger):
    with versioned.writing() as connection:
        set_endpoint(connection, versioned, "flights", 1, {}, run="run-1")
        set_endpoint(connection, versioned, "flights", 2, {}, reason="better")
    with versioned.reading() as connection:
        query = select(schema.events.c.detail).where(schema.events.c.what == "endpoint set").order_by(schema.events.c.number)
        details = list(connection.execute(query).scalars())
    assert details[0]["from"] is None
    assert details[1] == {
        "endpoint": "flights",
        "from": {"version": 1, "settings": {}},
        "to": {"version": 2, "settings": {}},
        "rev": 2,
        "run": "",
        "reason": "better",
    }


def test_a_version_that_is_not_there_is_refused(versioned: Ledger):
    with pytest.raises(ConfigError, match=r"no version 9\. It has versions 1 to 2"), versioned.writing() as connection:
        set_endpoint(connection, versioned, "flights", 9, {})
    assert endpoints(versioned) == []
