"""SQL over tables: DuckDB is given the fragments of the snapshots that a SELECT names; it opens no file itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.wording import first_line
from raypipe.data.fragment.fragment import Fragment, read_fragment, verify_footer
from raypipe.data.names import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from raypipe.core.store import Store

SETTINGS = ("enable_external_access=false", "python_enable_replacements=false", "threads=2", "lock_configuration=true")
"""The text reads the tables that it names and nothing else: no file, no network, no variable of this process."""


@dataclass(frozen=True)
class Queried:
    """One snapshot, as SQL sees it."""

    schema: pa.Schema
    fragments: Sequence[Fragment]


def select(store: Store, text: str, find: Callable[[str], Queried], limit: int | None = None) -> tuple[pa.Table, list[str]]:
    """The rows of one SELECT, at most `limit` of them, and what a person should know of them (columns that SQL cannot hold, left out).

    Tables stand in it by their names, `flights.source`, or quoted with a snapshot, a tag or a time: `"flights.source@5"`. `find` is
    asked for each. Files are read by pyarrow, which verifies page checksums, only the columns and row groups that the SELECT needs; a
    fragment with deleted rows or an older schema is read whole. DataError in one line where the text is no SELECT or DuckDB refuses it.
    """
    import duckdb

    with duckdb.connect() as connection:
        names = _tables_of(connection, text)
        notes: list[str] = []
        found_by_name = {name: find(name) for name in names}
        for name, queried in found_by_name.items():
            columns, told = _columns(name, queried.schema)
            notes += told
            _register(connection, name, store, queried, columns)
        for setting in SETTINGS:
            connection.execute(f"set {setting}")
        try:
            found = connection.sql(text)
            return (found if limit is None else found.limit(limit)).to_arrow_table(), notes
        except duckdb.Error as error:
            if "reading the stream" in str(error):
                _refuse_damaged(store, found_by_name.values())
            raise DataError(f"SQL: {first_line(error)}") from None


def _refuse_damaged(store: Store, tables: Iterable[Queried]) -> None:
    """StoreError with the name of the first file that cannot be read: DuckDB knows only that one of them is."""
    for table in tables:
        for fragment in table.fragments:
            read_fragment(store, fragment)


def _tables_of(connection: DuckDBPyConnection, text: str) -> list[str]:
    """The names of the tables that a SELECT reads, without those that it defines itself."""
    ((row,),) = connection.execute("select json_serialize_sql(?)", [text]).fetchall()
    parsed = json.loads(row)
    if parsed.get("error"):
        raise DataError(f"SQL: {parsed['error_message']}. Expected one SELECT.")
    if len(parsed["statements"]) != 1:
        raise DataError(f"SQL: {len(parsed['statements'])} statements, expected one SELECT.")
    nodes = list(_nodes(parsed["statements"][0]))
    own = {entry["key"] for node in nodes for entry in (node.get("cte_map") or {}).get("map", ())}
    paths = [".".join(node["qualified_name"]["path"]) for node in nodes if node.get("type") == "BASE_TABLE"]
    return [name for name in dict.fromkeys(paths) if name not in own]


def _nodes(node: Json) -> Iterator[Mapping[str, Json]]:
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(value)


def _columns(name: str, schema: pa.Schema) -> tuple[pa.Schema, list[str]]:
    """The columns as DuckDB can take them. Half floats become float32; decimals of more than 38 digits are left out, and that is said."""
    kept, notes = [], []
    for field in schema:
        if pa.types.is_decimal256(field.type):
            notes.append(f"{name}: column '{field.name}' is {field.type}, which SQL cannot hold: left out")
        else:
            kept.append(pa.field(field.name, pa.float32() if pa.types.is_float16(field.type) else field.type))
    return pa.schema(kept), notes


def _register(connection: DuckDBPyConnection, name: str, store: Store, queried: Queried, columns: pa.Schema) -> None:
    """A view of that name: files as they are, read as the SELECT needs them, the others as rows in memory."""
    plain = [f for f in queried.fragments if _is_plain(f)]
    parts: dict[str, Any] = {"rows": _rows(store, [f for f in queried.fragments if not _is_plain(f)], columns)}
    if plain:
        from raypipe.data.scan import scanned

        for fragment in plain:
            verify_footer(store, fragment)
        parts["files"] = scanned(store, plain, columns)
    reads = []
    for kind, part in parts.items():
        view = f"{name}/{kind}"
        connection.register(view, part)
        reads.append(f"select * from {quoted(view)}")
    schema, _, table = name.rpartition(".")
    if schema and "@" not in name:
        connection.execute(f"create schema if not exists {quoted(schema)}")
        target = f"{quoted(schema)}.{quoted(table)}"
    else:
        target = quoted(name)
    connection.execute(f"create view {target} as {' union all '.join(reads)}")


def _is_plain(fragment: Fragment) -> bool:
    return fragment.deletes is None and fragment.as_now is None


def _rows(store: Store, fragments: Sequence[Fragment], columns: pa.Schema) -> pa.Table:
    read = [read_fragment(store, fragment, columns.names).cast(columns) for fragment in fragments]
    return pa.concat_tables([columns.empty_table(), *read])
