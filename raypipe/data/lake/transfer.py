"""A whole ledger as one text file, and such a file as a new ledger: to keep a copy, or to go from SQLite to PostgreSQL and back.

JSON lines: a header, one line a row, and a last line with the number of rows and the sha256 of all lines before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import IO, Any

from sqlalchemy import Boolean, Connection, DateTime, Table, func, insert, inspect, select, text

from raypipe.core import schema
from raypipe.core.artifact import Json
from raypipe.core.errors import LedgerError
from raypipe.data.lake import catalog
from raypipe.data.lake.statements import TIME

FORMAT = 1
BATCH_ROWS = 500


def export(connection: Connection, out: IO[str]) -> int:
    """Every row of every table, of all projects (snapshots are numbered over all of them); how many there were."""
    digest, count = hashlib.sha256(), 0
    tables = [table for table in _tables() if inspect(connection).has_table(table.name)]

    def say(value: Json) -> None:
        line = json.dumps(value, separators=(",", ":")) + "\n"
        digest.update(line.encode())
        out.write(line)

    say({"raypipe ledger": schema.VERSION, "format": FORMAT, "tables": [table.name for table in tables]})
    for table in tables:
        keys = list(table.primary_key.columns) or list(table.columns)
        for row in connection.execution_options(yield_per=BATCH_ROWS).execute(select(table).order_by(*keys)).mappings():
            say({"table": table.name, "row": {c.name: _said(row[c.name]) for c in table.columns}})
            count += 1
    out.write(json.dumps({"rows": count, "sha256": digest.hexdigest()}) + "\n")
    return count


def restore(connection: Connection, lines: Iterable[str]) -> int:
    """Such a file into a ledger that is empty; how many rows it had. LedgerError, and nothing is kept, for a file that is cut short,
    changed, or of another version, and for a ledger that holds something."""
    rows = _checked(lines)
    header = next(rows)
    if header.get("format") != FORMAT or header.get("raypipe ledger") != schema.VERSION:
        found = f"version {header.get('raypipe ledger')} in format {header.get('format')}"
        raise LedgerError(f"the file holds a ledger of {found}, this raypipe reads version {schema.VERSION} in format {FORMAT}")
    _refuse_filled(connection)
    tables = {table.name: table for table in _tables()}
    if any(name.startswith("ducklake_") for name in header["tables"]):
        catalog.tables.create_all(connection)
    if unknown := sorted(set(header["tables"]) - set(tables)):
        raise LedgerError(f"the file has tables that this raypipe does not know: {', '.join(unknown)}")
    count, waiting, of = 0, [], ""
    for line in rows:
        if line["table"] != of or len(waiting) == BATCH_ROWS:
            _insert(connection, tables.get(of), waiting)
            waiting, of = [], line["table"]
        waiting.append(line["row"])
        count += 1
    _insert(connection, tables.get(of), waiting)
    _count_on(connection, tables.values())
    return count


def _tables() -> list[Table]:
    """Those that others refer to first. What says the version is made with the ledger."""
    return [t for t in (*schema.metadata.sorted_tables, *catalog.tables.sorted_tables) if t is not schema.meta]


def _said(value: Any) -> Json:
    return value.isoformat() if isinstance(value, datetime) else value


def _checked(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The lines but the last one, which must be true of them."""
    digest, count, last = hashlib.sha256(), -1, ""
    for line in lines:
        if last:
            digest.update(last.encode())
            count += 1
            yield _read(last, count)
        last = line
    end = _read(last, count + 1) if last else {}
    if end.get("rows") != count or end.get("sha256") != digest.hexdigest():
        raise LedgerError("the file is cut short, or was changed: its last line does not fit the lines before it")


def _read(line: str, number: int) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise LedgerError(f"line {number + 1} of the file is no JSON object; `raypipe ledger export` writes such files")
    return value


def _refuse_filled(connection: Connection) -> None:
    there = [table.name for table in _tables() if inspect(connection).has_table(table.name)]
    for name in there:
        if connection.execute(select(text("1")).select_from(text(name)).limit(1)).first() is not None:
            raise LedgerError(f"the ledger is not empty: {name} has rows. A file is read into a new ledger only.")


def _insert(connection: Connection, table: Table | None, rows: list[dict[str, Json]]) -> None:
    if table is not None and rows:
        server = connection.dialect.name == "postgresql"
        connection.execute(insert(table), [{name: _value(table, name, value, server) for name, value in row.items()} for row in rows])


def _value(table: Table, name: str, value: Json, server: bool) -> Any:
    """As the database keeps it: SQLite has times as text and flags as integers (statements.py writes them so)."""
    if name not in table.c:
        raise LedgerError(f"the file has a column {table.name}.{name} that this raypipe does not know")
    kind = table.c[name].type
    if isinstance(kind, DateTime) and isinstance(value, str):
        time = datetime.fromisoformat(value)
        return time if server else time.astimezone(UTC).strftime(TIME)
    return bool(value) if isinstance(kind, Boolean) and value is not None and server else value


def _count_on(connection: Connection, tables: Iterable[Table]) -> None:
    """A server's counters go on behind the numbers that were brought along."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables:
        for column in table.columns:
            if column.autoincrement is True:
                highest = select(func.max(column)).scalar_subquery()
                sequence = func.pg_get_serial_sequence(table.name, column.name)
                connection.execute(select(func.setval(sequence, func.coalesce(highest, 0) + 1, False)))
