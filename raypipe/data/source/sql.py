"""A database as a source: a table or a SELECT, read by a watermark column from the value that was committed to the greatest one now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.step import NO_IDENTITY, Look
from raypipe.data.names import column_problems
from raypipe.data.source.piece import Batch, Limit, New, Progress
from raypipe.data.source.sql_watermark import before, encoded, joined, value_of, words
from raypipe.data.types import is_type

if TYPE_CHECKING:
    from raypipe.data.source.sql_rows import Database

PIECE_BYTES = 64 << 20
"""What a piece is taken for: how much it will be is known when it is read."""
ROW_BYTES = 200
"""A row, where a limit is in bytes."""


@dataclass(frozen=True)
class Sql:
    """A table, or a SELECT, of SQLite, PostgreSQL or another database that SQLAlchemy reaches. Only reads; the URL's password never
    stands in a config."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("SQLAlchemy",)

    table: str | None = None
    """The table to read: NAME or SCHEMA.NAME."""
    query: str | None = None
    """Instead of a table: a SELECT, with `:name` for each of `parameters`."""
    url: str | None = None
    """sqlite:///PATH, relative to the project's folder; postgresql://USER@HOST/DATABASE, without a password."""
    url_env: str | None = None
    """Instead of `url`: the environment variable that holds the URL, password and all."""
    columns: list[str] | None = None
    """The columns to read; null: all."""
    where: str | None = None
    """Which rows to read: a condition in SQL, with `:name` for each of `parameters`."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Name -> value, bound by the database's driver, never written into the SQL."""
    types: dict[str, str] = field(default_factory=dict)
    """Column -> Arrow type, where neither a contract nor the database states it exactly."""
    watermark: str | None = None
    """A column that only grows: rows above the greatest value that was taken are new. Null: the whole is read, by `plan` too, and replaces
    the table where anything in it has changed."""
    overlap: float = field(default=0.0, metadata=NO_IDENTITY)
    """How far below the watermark rows may still come late: in seconds where it is a time, else in its own unit."""
    key: list[str] | None = None
    """Columns that, with the watermark, tell rows apart where reads overlap; null: all columns do."""
    shards: int = field(default=1, metadata=NO_IDENTITY)
    """Reads at once, each of a range of `shard_by`."""
    shard_by: str | None = field(default=None, metadata=NO_IDENTITY)
    """A column of numbers or times; null: the watermark."""
    timeout_s: float = field(default=20.0, metadata=NO_IDENTITY)
    """How long connecting may take."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        from raypipe.data.source.sql_rows import query_problems, url_problems

        found = [] if bool(self.table) != bool(self.query) else ["expected either `table` or `query`"]
        found += [] if bool(self.url) != bool(self.url_env) else ["expected either `url` or `url_env`"]
        found += [] if self.columns is None else column_problems(self.columns)
        found += [
            f"types.{name}: '{type}' is no type, e.g. int64, decimal128(18, 2)" for name, type in self.types.items() if not is_type(type)
        ]
        if self.overlap < 0 or (self.overlap and not self.watermark):
            found.append(f"overlap is {self.overlap:g}, expected 0 or more, and a watermark")
        if self.shards < 1 or (self.shards > 1 and not (self.watermark or self.shard_by)):
            found.append(f"shards is {self.shards}, expected 1 or more, and a column to read ranges of (shard_by)")
        return found + url_problems(self.url) + query_problems(self)

    @property
    def what(self) -> str:
        """For messages."""
        return self.table or "the query"

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        from raypipe.data.source.sql_rows import opened

        position = progress.position
        at = f"; it was taken up to {self.watermark} {words(value_of(position['watermark']))}" if position and self.watermark else ""
        with opened(self, look.project_path, at) as database:
            return _beyond(self, database, position, limit) if self.watermark else _whole(self, database, position)

    def batches(self, piece: SqlPiece, types: Mapping[str, pa.DataType]) -> Iterator[Batch]:
        from raypipe.data.source.sql_rows import batches

        return batches(self, piece, types)

    def settle(self, new: New, marks: Sequence[Json]) -> New:
        """With what tells apart the rows that the next read may meet again."""
        if new.whole or not new.pieces:
            return new
        seen = joined(marks)
        after = {**new.after, "seen": seen.text}
        return replace(new, after=after, state={"watermark": new.after["watermark"], "rows": seen.num})


@dataclass(frozen=True)
class SqlPiece:
    """A range of rows."""

    name: str
    where: str
    """SQLite's file, as a whole path; otherwise empty."""
    above: Json = None
    """Rows with a watermark above this one; null: no bound."""
    since: Json = None
    """Rows with a watermark from this one on; null: no bound."""
    up_to: Json = None
    shard: tuple[Json, Json] | None = None
    """From the first value to below the second; null: no bound."""
    with_nulls: bool = False
    """Whether rows without a value in the column of shards are among them."""
    seen: str | None = None
    """What was taken of these rows before."""
    mark_from: Json = None
    """The watermark from which on rows are to be told apart the next time."""
    size: int = PIECE_BYTES


def _beyond(source: Sql, database: Database, position: Json, limit: Limit | None) -> New:
    """The rows above the watermark, and those in the overlap below it that were not taken."""
    taken = value_of(position["watermark"]) if position else None
    greatest = database.greatest_watermark()
    _check(source, database, taken, greatest)
    if greatest is None:
        return New(after=position, state={"watermark": None, "rows": 0}, told=f"no rows in {source.what}")
    num_new = database.count(above=taken)
    bound = database.nth_watermark(taken, _most(limit), greatest) if limit and num_new > _most(limit) else greatest
    low = _no_lower(before(bound, source.overlap), position)
    state = {"watermark": encoded(bound), "rows": database.count(since=low, up_to=bound)}
    if position and not num_new and state["rows"] == joined([position["seen"]]).num and bound == taken:
        return New(after=position, state=state, told=f"nothing new in {source.what} since {source.watermark} {words(taken)}")
    num_left = database.count(above=bound) if bound != greatest else 0
    return New(
        pieces=_pieces(source, database, position, taken, bound, encoded(low)),
        after={"watermark": encoded(bound), "from": encoded(low)},
        state=state,
        told=f"{num_new:,} new rows in {source.what} up to {source.watermark} {words(greatest)}",
        more=num_left > 0,
        lag={"rows": num_left},
    )


def _no_lower(value: Any, position: Json) -> Any:
    """Not below where rows can be told apart: an overlap that was made longer reaches its length with time."""
    return max(value, value_of(position["from"])) if position else value


def _most(limit: Limit) -> int:
    bounds = [limit.num_rows, limit.num_bytes and max(1, limit.num_bytes // ROW_BYTES)]
    return min((bound for bound in bounds if bound), default=2**62)


def _check(source: Sql, database: Database, taken: Any, greatest: Any) -> None:
    """DataError for a watermark that cannot be gone by."""
    if missing := database.num_without_watermark():
        raise DataError(
            f"{source.what}: {missing:,} rows have no {source.watermark}, so that it cannot be told whether they are new. "
            f"Fill it, or leave them out: where: {source.watermark} IS NOT NULL"
        )
    if taken is not None and (greatest is None or greatest < taken):
        now = f"is {words(greatest)} now" if greatest is not None else "has no value now: there are no rows"
        raise DataError(
            f"{source.what}: was taken up to {source.watermark} {words(taken)}, and its greatest {now}: the watermark went backwards. "
            "Nothing was taken. If that is meant, take it into another table (setting `table` of the step)."
        )


def _pieces(source: Sql, database: Database, position: Json, taken: Any, bound: Any, mark_from: Json) -> list[SqlPiece]:
    pieces = []
    if position:
        low = encoded(_no_lower(before(taken, source.overlap), position))
        name = f"{source.what} ({source.watermark} from {words(value_of(low))} to {words(taken)} again)"
        pieces.append(SqlPiece(name, database.file, since=low, up_to=encoded(taken), seen=position["seen"], mark_from=mark_from))
    if taken is None or bound > taken:
        since = f" from {words(taken)}" if taken is not None else ""
        name = f"{source.what} ({source.watermark}{since} to {words(bound)})"
        pieces += _sharded(source, database, SqlPiece(name, database.file, encoded(taken), up_to=encoded(bound), mark_from=mark_from))
    return pieces


def _sharded(source: Sql, database: Database, piece: SqlPiece) -> list[SqlPiece]:
    cuts = database.cuts(piece)
    if not cuts:
        return [piece]
    bounds: list[Json] = [None, *map(encoded, cuts), None]
    shards = enumerate(pairwise(bounds))
    return [replace(piece, name=f"{piece.name} {n + 1}/{len(bounds) - 1}", shard=shard, with_nulls=n == 0) for n, shard in shards]


def _whole(source: Sql, database: Database, position: Json) -> New:
    """All rows, where any of them has changed."""
    digest = database.digest()
    if position == digest:
        return New(after=position, state=digest, told=f"{source.what} is as it was")
    pieces = _sharded(source, database, SqlPiece(source.what, database.file))
    return New(pieces=pieces, after=digest, state=digest, told=f"{digest['rows']:,} rows in {source.what}", whole=True)
