"""A statement that is put together once and run often: on SQLite without what SQLAlchemy does around each call.

A step takes some forty statements. SQLAlchemy needs 0.12 ms for each, SQLite itself 0.01.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, SelectBase
from sqlalchemy.exc import DBAPIError

Values = Mapping[str, Any]
"""By the names of the statement's parameters, or of the columns that it writes."""


class Statement:
    """A statement with bound parameters, and no others: made once, as a module's constant."""

    def __init__(self, clause: Any):
        self.clause = clause
        self._prepared: dict[tuple[str, ...], _Prepared] = {}
        """By what the parameters are called: an insert writes the columns that it is given."""

    def on(self, connection: Connection, values: Values | Sequence[Values] = ()) -> Rows:
        """Runs it; for each of several values where a list is given. On a server it goes SQLAlchemy's way, which sees connections that are
        lost, and what is spared is little beside the way to the server."""
        if connection.dialect.name != "sqlite":
            return cast(Rows, connection.execute(self.clause, values or None))
        many = not isinstance(values, Mapping)
        names = tuple((values[0] if values else {}) if many else values)
        prepared = self._prepared.get(names)
        if prepared is None:
            prepared = self._prepared[names] = _prepare(self.clause, names, connection)
        return prepared.run(connection, cast(Any, values), many and bool(values))


@dataclass(frozen=True)
class Rows:
    """What a statement found: SQLAlchemy's result, as far as it is used. A row's columns are its attributes."""

    found: Sequence[Any]
    rowcount: int

    def __iter__(self) -> Iterator[Any]:
        return iter(self.found)

    def all(self) -> Sequence[Any]:
        return self.found

    def first(self) -> Any:
        return self.found[0] if self.found else None

    def one(self) -> Any:
        assert len(self.found) == 1, f"{len(self.found)} rows, where there is one"
        return self.found[0]

    def one_or_none(self) -> Any:
        return self.one() if self.found else None

    def scalar_one(self) -> Any:
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        return self.one()[0] if self.found else None


Way = Callable[[Any], Any] | None
"""How a value is made what the database keeps, or the other way round; None: it is the same."""


@dataclass(frozen=True)
class _Prepared:
    """A statement as SQLite takes it."""

    text: str
    num_names: int
    """Of the values that it takes."""
    takes: Sequence[tuple[str, Any, Way]]
    """Of each place in the text: the parameter and its way in; or no parameter, and what stands there always."""
    row: Callable[[Sequence[Any]], Any] | None
    """A row's class; None where the statement finds none."""
    gives: Sequence[tuple[int, Callable[[Any], Any]]]
    """The columns that have a way out."""

    def run(self, connection: Connection, values: Any, many: bool) -> Rows:
        raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
        given: Any = [self._taken(each) for each in values] if many else self._taken(values or {})
        with _told(connection, self.text, given):
            cursor = raw.executemany(self.text, given) if many else raw.execute(self.text, given)
            found = cursor.fetchall() if self.row else ()
        return Rows([self._given(row) for row in found], cursor.rowcount)

    def _taken(self, values: Values) -> tuple[Any, ...]:
        assert len(values) == self.num_names, "each of several values has the same names"
        taken = [(values[name] if name else always, way) for name, always, way in self.takes]
        return tuple([value if way is None else way(value) for value, way in taken])

    def _given(self, found: tuple[Any, ...]) -> Any:
        assert self.row is not None
        if not self.gives:
            return self.row(found)
        values = list(found)
        for place, way in self.gives:
            values[place] = way(values[place])
        return self.row(values)


def _prepare(clause: Any, names: Sequence[str], connection: Connection) -> _Prepared:
    dialect = connection.dialect
    compiled = clause.compile(dialect=dialect, column_keys=list(names))
    assert not compiled.post_compile_params, "a list of values is no bound parameter"
    assert not getattr(compiled, "insert_prefetch", ()), "a default of Python's is not filled in"
    missing = [name for bound, name in compiled.bind_names.items() if bound.required and name not in names]
    assert not missing, f"no value for {missing}"
    ways = {name: bound.type.dialect_impl(dialect).bind_processor(dialect) for bound, name in compiled.bind_names.items()}
    takes = [(name if name in names else "", compiled.params[name], ways[name]) for name in compiled.positiontup or ()]
    if not isinstance(clause, SelectBase):
        return _Prepared(compiled.string, len(names), takes, None, ())
    columns = clause.selected_columns.items()
    ways_out = [column.type.dialect_impl(dialect).result_processor(dialect, None) for _, column in columns]
    row = cast(Any, namedtuple("Row", [name for name, _ in columns], rename=True))
    gives = [(place, way) for place, way in enumerate(ways_out) if way is not None]
    return _Prepared(compiled.string, len(names), takes, row._make, gives)


class _told:
    """SQLite's own errors as SQLAlchemy's, which are what is looked for above."""

    def __init__(self, connection: Connection, text: str, values: Any = ()):
        self._connection, self._text, self._values = connection, text, values

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, sqlite3.Error):
            raise DBAPIError.instance(self._text, self._values, error, sqlite3.Error, dialect=self._connection.dialect) from error


def run(connection: Connection, text: str) -> None:
    """A command of SQLite's own, without values."""
    with _told(connection, text):
        cast(sqlite3.Connection, connection.connection.dbapi_connection).execute(text)
