"""A PostgreSQL server under the ledger, for several machines that share one."""

from __future__ import annotations

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError

from raypipe.core.errors import LedgerError

# A process that is stopped inside a transaction would block the others: the server ends it after a minute.
OPTIONS = "-c synchronous_commit=on -c lock_timeout=30s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"

DEADLOCK = "40P01"

THREADS = 32
"""Connections beyond the five that are kept: each step at work, and its heartbeat, may want one at the same moment."""


def engine(url: URL) -> Engine:
    """Connections checked before use: the server may have been restarted since."""
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        return create_engine(url, pool_pre_ping=True, max_overflow=THREADS, connect_args={"connect_timeout": 10, "options": OPTIONS})
    except ModuleNotFoundError:
        raise LedgerError("a ledger on PostgreSQL needs the package psycopg: pip install 'raypipe[postgres]'") from None


def is_lost(error: DBAPIError) -> bool:
    """Whether the server went away, is starting or stopping, or cannot be reached, or ended this transaction for one that it waited for and
    that waited for it; another error of a statement is none of these."""
    state = getattr(error.orig, "sqlstate", None)
    gone = state is None or state[:3] in ("57P", "080") or state == DEADLOCK
    return error.connection_invalidated or (isinstance(error, OperationalError) and gone)
