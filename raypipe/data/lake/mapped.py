"""Results of single items of mapped steps: which of them stay.

One stays as long as an artifact does that is needed and that it went into last, and for the policy's `keep_for` after a run asked for it:
that of a map that was killed, or that failed, goes on from there. Nothing is lost but time: what is gone is run again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from raypipe.core import items
from raypipe.core.retention import Retention
from raypipe.core.units import seconds
from raypipe.data.lake.needed import needed

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger


def named(connection: Connection, ledger: Ledger, policy: Retention, now: datetime) -> set[str]:
    """The files of those that stay, of all projects; the policy is that of this one."""
    return items.paths(connection, {ledger.project: _gone(connection, ledger, policy, now)})


def forget(connection: Connection, ledger: Ledger, policy: Retention, now: datetime) -> None:
    """Drops the records of those that do not stay: their files are named by nothing from then on."""
    items.drop(connection, ledger.project, _gone(connection, ledger, policy, now), _before(policy, now))


def _gone(connection: Connection, ledger: Ledger, policy: Retention, now: datetime) -> set[str]:
    there = needed(connection, ledger.project, ledger.one_host, policy.versions).artifacts
    return items.unused(connection, ledger.project, there, _before(policy, now))


def _before(policy: Retention, now: datetime) -> datetime:
    return now - timedelta(seconds=seconds(policy.keep_for))
