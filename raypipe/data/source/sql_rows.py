"""A database that is read: opened read-only, asked by SQL with bound parameters alone, its rows fetched in bounded memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import (
    URL,
    Connection,
    Select,
    Text,
    bindparam,
    cast,
    column,
    create_engine,
    false,
    func,
    literal_column,
    make_url,
    or_,
    select,
)
from sqlalchemy import table as table_named
from sqlalchemy import text as sql_text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.core.wording import first_line
from raypipe.data.source import sql_types
from raypipe.data.source.piece import Batch
from raypipe.data.source.sql_watermark import Unseen, ids, ids_of, packed, value_of
from raypipe.data.types import parse_type

if TYPE_CHECKING:
    from raypipe.data.source.sql import Sql, SqlPiece

FETCHED = 20_000
"""Rows in memory as Python's values at a time."""
_NAMED = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")


def url_problems(url: str | None) -> list[str]:
    """What may not stand in a config."""
    if not url:
        return []
    try:
        parsed = make_url(url)
    except ArgumentError:
        return ["url cannot be read; expected sqlite:///PATH or postgresql://USER@HOST/DATABASE"]
    secret = [name for name in parsed.query if re.search("pass|secret|token|key", name, re.IGNORECASE)]
    if parsed.password or secret:
        what = "a password" if parsed.password else secret[0]
        return [f"url holds {what}: put the whole URL into an environment variable, and its name into `url_env`"]
    return []


def query_problems(source: Sql) -> list[str]:
    """A query that is no SELECT, and parameters that are not there."""
    found = []
    if source.query and not re.match(r"\s*(select|with)\b", source.query, re.IGNORECASE):
        found.append("query is no SELECT")
    named = set(_NAMED.findall(f"{source.query or ''} {source.where or ''}"))
    found += [f"parameters: there is no ':{name}' in the SQL" for name in source.parameters if name not in named]
    return found + [f"parameters: ':{name}' has no value" for name in sorted(named - set(source.parameters))]


@contextmanager
def opened(source: Sql, project_path: Path, at: str = "", file: str = "") -> Iterator[Database]:
    """A connection in a transaction that only reads. DataError for whatever the database says, with how far was taken."""
    url = _url(source, project_path, file)
    engine = None
    try:
        engine = create_engine(url, poolclass=NullPool, connect_args=_connect_args(source, url))
        options: dict[str, Any] = (
            {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if url.drivername.startswith("p") else {}
        )
        with engine.connect().execution_options(**options) as connection:
            yield Database(source, connection, url)
    except NoSuchTableError:
        raise DataError(f"{source.what}: there is no such table in {url.render_as_string(hide_password=True)}{at}") from None
    except (SQLAlchemyError, ImportError) as error:
        raise DataError(f"{source.what}: {_said(error, url)}{at}") from None
    finally:
        if engine:
            engine.dispose()


class Database:
    """What a source is asked."""

    def __init__(self, source: Sql, connection: Connection, url: URL):
        self.source, self.connection = source, connection
        self.file = url.database.removeprefix("file:").partition("?")[0] if url.drivername.startswith("sqlite") and url.database else ""

    @cached_property
    def types(self) -> dict[str, pa.DataType | None]:
        """Every column of the source with its type in Arrow, None where the database states none."""
        if self.connection.dialect.name == "postgresql":
            return sql_types.postgres_types(self._described)
        declared = sql_types.declared_types(self.connection, *_name(self.source.table)) if self.source.table else {}
        return {name: declared.get(name) for name, *_ in self._described}

    @cached_property
    def _described(self) -> Any:
        """The columns of a result, as the driver describes them."""
        found = self.connection.execute(select(literal_column("*")).select_from(self._from()).where(false()))
        return found.cursor.description  # type: ignore[union-attr]

    def greatest_watermark(self) -> Any:
        return self._value(func.max(self._watermark))

    def num_without_watermark(self) -> int:
        """How many rows have none; where there is one, they are counted."""
        null = self._watermark.is_(None)
        found = self.connection.execute(self._where(select(literal_column("1")), null).limit(1)).first()
        return self._value(func.count(), null) if found else 0

    def count(self, above: Any = None, since: Any = None, up_to: Any = None) -> int:
        return self._value(func.count(), *self._range(above, since, up_to))

    def nth_watermark(self, above: Any, num: int, greatest: Any) -> Any:
        """The watermark of the row of that number above another one; rows that share it are taken together."""
        query = self._where(select(self._watermark), *self._range(above, None, None)).order_by(self._watermark).offset(num - 1).limit(1)
        found = self.connection.execute(query).first()
        return found[0] if found else greatest

    def cuts(self, piece: SqlPiece) -> list[Any]:
        """Where its ranges of `shard_by` meet: so many values that there are as many ranges as shards."""
        name = self.source.shard_by or self.source.watermark
        if self.source.shards < 2 or name is None:
            return []
        shard = self._column(name)
        query = self._where(select(func.min(shard), func.max(shard)), *self._of(piece))
        low, high = self.connection.execute(query).one()
        if low is None or low == high or (isinstance(low, str) and not self.source.shard_by):
            return []
        if not isinstance(low, int | float | Decimal | date):
            raise DataError(f"{self.source.what}: shard_by '{name}' is {type(low).__name__}, expected numbers or times")
        num = self.source.shards
        steps = [low + _part(high - low, n, num) for n in range(1, num)]
        return sorted({step for step in steps if low < step <= high})

    def rows(self, piece: SqlPiece, names: Sequence[str]) -> Iterator[list[Any]]:
        """Values by column, some rows at a time, by a cursor on the server's side where the database has such."""
        chosen = [self._read(name) for name in names]
        streaming = self.connection.execution_options(stream_results=True, max_row_buffer=FETCHED)
        with closing(streaming.execute(self._where(select(*chosen), *self._of(piece)))) as result:
            while fetched := result.fetchmany(FETCHED):
                yield list(zip(*fetched, strict=True))

    def digest(self) -> Json:
        """Of all rows, whatever their order: how many, and the sum of their digests."""
        from raypipe.data.source.sql import SqlPiece

        total, num = 0, 0
        for columns in self.rows(SqlPiece(self.source.what, self.file), self.source.columns or list(self.types)):
            found = ids_of(columns)
            num += len(found)
            total = (total + sum(int.from_bytes(one, "big") for one in found)) % (1 << 128)
        return {"rows": num, "digest": f"{total:032x}"}

    @property
    def _watermark(self) -> Any:
        assert self.source.watermark
        return self._column(self.source.watermark)

    def _column(self, name: str) -> Any:
        if name not in self.types:
            raise DataError(f"{self.source.what}: no column '{name}'.{nearest(name, self.types)}")
        return column(name)

    def _read(self, name: str) -> Any:
        """JSON comes as the text that the database holds: a driver's own reading of it would be written anew."""
        found = self._column(name)
        return cast(found, Text).label(name) if self._is_json(name) else found

    def _is_json(self, name: str) -> bool:
        return self.connection.dialect.name == "postgresql" and any(
            c.name == name and c.type_code in sql_types.JSONS for c in self._described
        )

    def _from(self) -> Any:
        if self.source.table:
            name, schema = _name(self.source.table)
            return table_named(name, schema=schema)
        assert self.source.query
        return self._bound(self.source.query.rstrip().rstrip(";")).columns().subquery("rows_of_the_query")

    def _bound(self, text: str) -> Any:
        named = set(_NAMED.findall(text))
        return sql_text(text).bindparams(*[bindparam(name, value) for name, value in self.source.parameters.items() if name in named])

    def _where(self, query: Select, *conditions: Any) -> Select:
        query = query.select_from(self._from()).where(*conditions)
        return query.where(self._bound(f"({self.source.where})")) if self.source.where else query

    def _value(self, what: Any, *conditions: Any) -> Any:
        return self.connection.execute(self._where(select(what), *conditions)).scalar_one()

    def _range(self, above: Any, since: Any, up_to: Any) -> list[Any]:
        found = [] if above is None else [self._watermark > above]
        found += [] if since is None else [self._watermark >= since]
        return found + ([] if up_to is None else [self._watermark <= up_to])

    def _of(self, piece: SqlPiece) -> list[Any]:
        found = self._range(value_of(piece.above), value_of(piece.since), value_of(piece.up_to))
        if piece.shard is None:
            return found
        shard = self._column(self.source.shard_by or self.source.watermark or "")
        first, end = map(value_of, piece.shard)
        inside = [*([] if first is None else [shard >= first]), *([] if end is None else [shard < end])]
        return [*found, or_(inside[0], shard.is_(None)) if piece.with_nulls else inside[0], *inside[1:]]


def batches(source: Sql, piece: SqlPiece, types: Mapping[str, pa.DataType]) -> Iterator[Batch]:
    """The rows of a piece, and what tells those apart that the next read may meet again."""
    unseen = Unseen(piece.seen)
    mark_from = value_of(piece.mark_from)
    with opened(source, Path(), f". It was being read: {piece.name}", piece.where) as database:
        wanted = source.columns or list(database.types)
        for rows, watermarks in _tables(database, piece, types):
            if source.watermark is None or piece.mark_from is None:
                yield Batch(rows.select(wanted))
                continue
            known = rows.select([*source.key, source.watermark]) if source.key else rows
            recent = [value >= mark_from for value in watermarks]
            again = piece.seen is not None
            found = ids(known if again else known.filter(pa.array(recent, pa.bool_())))
            mark = packed([one for one, is_recent in zip(found, recent, strict=True) if is_recent] if again else found)
            kept = rows.filter(pa.array(unseen(found), pa.bool_())) if again else rows
            yield Batch(kept.select(wanted), mark=mark or None)


def _tables(database: Database, piece: SqlPiece, types: Mapping[str, pa.DataType]) -> Iterator[tuple[pa.Table, Sequence[Any]]]:
    """The columns that are wanted and those that rows are told apart by, with the watermarks as the database gives them."""
    source = database.source
    extra = [*(source.key or ()), *([source.watermark] if source.watermark else [])]
    names = list(dict.fromkeys([*(source.columns or database.types), *extra]))
    stated = {**types, **{name: parse_type(type) for name, type in source.types.items()}}
    known = {name: stated.get(name) or database.types.get(name) for name in names}
    for values in database.rows(piece, names):
        try:
            known = {name: type or sql_types.inferred(name, of) for (name, type), of in zip(known.items(), values, strict=True)}
            made = {n: sql_types.array(n, of, t) for (n, t), of in zip(known.items(), values, strict=True) if t is not None}
        except DataError as error:
            raise DataError(f"{piece.name}: {error}") from None
        yield pa.table(made), values[names.index(source.watermark)] if source.watermark else []
    if all(known.values()):
        yield pa.schema([(name, type) for name, type in known.items() if type]).empty_table(), []


def _url(source: Sql, project_path: Path, file: str) -> URL:
    text = source.url or os.environ.get(source.url_env or "", "")
    if not text:
        raise DataError(f"{source.what}: the environment variable {source.url_env} is not set; it holds the database's URL")
    try:
        url = make_url(text)
    except ArgumentError:
        raise DataError(f"{source.what}: the database's URL cannot be read (environment variable {source.url_env})") from None
    if url.drivername.startswith("sqlite"):
        path = Path(file) if file else project_path / (url.database or "")
        if not path.is_file():
            raise DataError(f"{source.what}: there is no database {path}")
        return url.set(database=f"file:{path.absolute()}", query={"mode": "ro", "uri": "true"})
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _connect_args(source: Sql, url: URL) -> dict[str, Any]:
    if url.drivername.startswith("sqlite"):
        return {"timeout": source.timeout_s}
    return {"connect_timeout": max(2, int(source.timeout_s))} if url.drivername == "postgresql+psycopg" else {}


def _said(error: Exception, url: URL) -> str:
    """The first line of what the database says, never the URL's password."""
    if isinstance(error, NoSuchModuleError | ImportError):
        return f"no driver for {url.drivername} is installed: {error}"
    text = first_line(getattr(error, "orig", None) or error).rstrip(".")
    return text.replace(str(url.password), "***") if url.password else text


def _name(table: str | None) -> tuple[str, str | None]:
    schema, _, name = (table or "").rpartition(".")
    return name, schema or None


def _part(span: Any, n: int, num: int) -> Any:
    return span * n // num if isinstance(span, int) else span * n / num if not isinstance(span, Decimal) else span * n / Decimal(num)
