"""The ledger's database, SQLite or PostgreSQL: opened with care, and used in short transactions."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError

from raypipe.core import postgres, schema, sqlite
from raypipe.core.errors import LedgerError, LedgerLost
from raypipe.core.opened import closes
from raypipe.core.wording import first_line

PATIENCE_S = 20.0
"""How long a server that answered before is waited for, as it restarts: less than a lease lasts."""
PAUSE_S = 0.2
"""Between two times that it is asked."""
_FULL = " Free some space: what was done so far is kept, and the run goes on from there."


class Database:
    """Transactions over one database. It belongs to the process that opened it: no task of Ray's ever gets it."""

    def __init__(self, name: str, engine: Engine, reads: Engine, path: Path | None, clock: Callable[[], float] | None):
        self.name = name
        """Where it is, without a password: for messages."""
        self.engine, self.reads = engine, reads
        self.path = path
        """SQLite's file; None on a server."""
        self._clock = clock
        self._pid = os.getpid()
        self._writing = threading.local()
        self._answered = False

    @classmethod
    def open(cls, url: str, clock: Callable[[], float] | None = None) -> Database:
        """Makes the tables where there are none. LedgerError, in one line, where it cannot be opened or is of another version."""
        database = cls.of(url, clock)
        _prepare(database)
        return database

    @classmethod
    def of(cls, url: str, clock: Callable[[], float] | None = None) -> Database:
        """The same as it is: whatever its version, with no tables made."""
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise LedgerError("the ledger's URL cannot be read; expected sqlite:///PATH or postgresql+psycopg://HOST/DATABASE") from None
        if parsed.drivername == "sqlite" and parsed.database and parsed.database != ":memory:":
            path = Path(parsed.database).absolute()
            sqlite.check(path)
            database = cls(str(path), sqlite.engine(path, writes=True), sqlite.engine(path, writes=False), path, clock)
        elif parsed.drivername in ("postgresql", "postgresql+psycopg"):
            engine = postgres.engine(parsed)
            reads = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            database = cls(parsed.render_as_string(hide_password=True), engine, reads, None, clock)
        else:
            found = parsed.render_as_string(hide_password=True)
            raise LedgerError(f"ledger {found}: expected sqlite:///PATH or postgresql+psycopg://HOST/DATABASE")
        closes(database.close)
        return database

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One view of the database that does not move while it is read; it cannot be written through."""
        with self._errors(), self._connect(self.reads) as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block and rolled back after an exception. Nothing slow belongs inside."""
        assert not getattr(self._writing, "now", False), "a transaction inside a transaction would wait for itself"
        self._writing.now = True
        try:
            with self._turn(), self._errors(), self._connect(self.engine) as connection, connection.begin():
                yield connection
        finally:
            self._writing.now = False

    def now(self, connection: Connection) -> float:
        """Seconds since 1970, by the clock that all who share this database see: the server's, or this host's."""
        if self._clock:
            return self._clock()
        if self.path:
            return time.time()
        return float(connection.execute(text("select extract(epoch from clock_timestamp())")).scalar_one())

    def close(self) -> None:
        self.reads.dispose()
        self.engine.dispose()

    def _connect(self, engine: Engine) -> Connection:
        assert os.getpid() == self._pid, "the ledger stays with the process that opened it"
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                connection = engine.connect()
            except OperationalError:
                if self.path or not self._answered or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_S)
            else:
                self._answered = True
                return connection

    def _turn(self) -> AbstractContextManager[None]:
        return sqlite.ticket(self.path) if self.path else contextlib.nullcontext()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except DBAPIError as error:
            kind = LedgerLost if self.path is None and postgres.is_lost(error) else LedgerError
            words = first_line(error.orig or error).rstrip(".")
            full = "disk is full" in words or getattr(error.orig, "sqlstate", "") == "53100"
            raise kind(f"ledger {self.name}: {words}.{_FULL if full else ''}") from error

    def __reduce__(self) -> str:
        raise TypeError("the ledger stays with the driver: hand tasks the store, never the ledger")


def _prepare(database: Database) -> None:
    """Checks the version, and makes the tables under the writers' lock where there are none yet."""
    try:
        if (database.path is None or database.path.exists()) and _checked(database):
            return
        if database.path:
            database.path.parent.mkdir(parents=True, exist_ok=True)
            with sqlite.ticket(database.path):
                sqlite.make(database.path)
        with database.writing() as connection:
            _create(connection, database)
    except OSError as error:
        raise LedgerError(f"ledger {database.name}: cannot be made: {(error.strerror or str(error)).lower()}") from None
    except LedgerError:
        database.close()
        raise


def _checked(database: Database) -> bool:
    with database.reading() as connection:
        return _version_holds(connection, database)


def _version_holds(connection: Connection, database: Database) -> bool:
    """True where the tables are there and of this version, False where there are none; else LedgerError."""
    if not inspect(connection).has_table(schema.meta.name):
        others = inspect(connection).get_table_names() if database.path else []
        if others:
            raise LedgerError(f"ledger {database.name}: is the database of something else (it has a table {others[0]!r})")
        return False
    found = connection.execute(select(schema.meta.c.value).where(schema.meta.c.key == "version")).scalar_one_or_none()
    if found is None:
        return False
    if int(found) != schema.VERSION:
        word = "newer" if int(found) > schema.VERSION else "older"
        raise LedgerError(
            f"ledger {database.name}: is of version {found}, {word} than version {schema.VERSION} that this raypipe reads. "
            + ("Update raypipe, or use the ledger's own." if word == "newer" else "`raypipe ledger migrate` brings it up to date.")
        )
    return True


def _create(connection: Connection, database: Database) -> None:
    """Called with the lock: another process may have been first."""
    if database.path is None:
        connection.execute(text("select pg_advisory_xact_lock(7277390)"))
    if _version_holds(connection, database):
        return
    schema.metadata.create_all(connection)
    connection.execute(text(schema.LIVE))
    connection.execute(schema.meta.insert().values(key="version", value=str(schema.VERSION)))
