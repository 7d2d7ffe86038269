"""A ledger in memory, new for each schedule, at whose transactions a simulated process may lose its turn or its life."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, text

from raypipe.core import schema
from raypipe.core.database import Database
from raypipe.data.lake import catalog

if TYPE_CHECKING:
    from tests.chaos.simulation import Simulation


class Memory:
    """One connection, which all simulated processes share: a transaction is never left while it is open, as under SQLite's one writer."""

    def __init__(self) -> None:
        self.raw = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._empty = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.engine = _engine(self.raw)
        with self.engine.connect() as connection, connection.begin():
            schema.metadata.create_all(connection)
            connection.execute(text(schema.LIVE))
            connection.execute(schema.meta.insert().values(key="version", value=str(schema.VERSION)))
            catalog.tables.create_all(connection)
            connection.execute(catalog.lake["metadata"].insert().values(key="version", value=catalog.VERSION))
        self.raw.backup(self._empty)

    def fill(self) -> None:
        """Empty again."""
        self._empty.backup(self.raw)

    def database(self, simulation: Simulation, path: Path | None) -> Database:
        return _Database(self.engine, path, simulation)

    def close(self) -> None:
        self.engine.dispose()
        self.raw.close()
        self._empty.close()


class _Database(Database):
    def __init__(self, engine: Engine, path: Path | None, simulation: Simulation):
        super().__init__("memory", engine, engine, path, lambda: simulation.wall)
        self._simulation = simulation

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        self._simulation.at("read")
        with self._errors(), self.engine.connect() as connection, connection.begin():
            yield connection
        self._simulation.lose("before")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        self._simulation.at("begin")
        with self._errors(), self.engine.connect() as connection, connection.begin():
            yield connection
            self._simulation.lose("before")
        self._simulation.committed()


def _engine(raw: sqlite3.Connection) -> Engine:
    made = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made
