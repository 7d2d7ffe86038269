"""The exact Arrow schema of each version of a table's columns, field ids and all, kept beside the catalog."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, bindparam, desc, insert, select

from raypipe.core.artifact import Json
from raypipe.core.statement import Statement
from raypipe.data.lake import catalog

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.data.fragment.bounds import Stats
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.lake.snapshot import Snapshot


def of(connection: Connection, snapshot: Snapshot) -> pa.Schema:
    """The columns of a snapshot, numbered: with field ids, and with the defaults of those that were added later."""
    import pyarrow as pa

    arrow = _OF.on(connection, {"of_table": snapshot.table_id, "of_snapshot": snapshot.id}).scalar_one()
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(arrow)))


_s = catalog.schemas.c
_OF = Statement(
    select(_s.arrow)
    .where(_s.table_id == bindparam("of_table"), _s.begin_snapshot <= bindparam("of_snapshot"))
    .order_by(desc(_s.begin_snapshot))
    .limit(1)
)


_ADD = Statement(insert(catalog.schemas))


def record(connection: Connection, table_id: int, begin_snapshot: int, schema: pa.Schema) -> None:
    """From that snapshot on the table has these columns."""
    arrow = base64.b64encode(schema.serialize().to_pybytes()).decode()
    _ADD.on(connection, {"table_id": table_id, "begin_snapshot": begin_snapshot, "arrow": arrow})


def by_id(stats: Stats, schema: pa.Schema) -> Json:
    """Statistics as the catalog keeps them: by field id, which a new name leaves as it is."""
    from raypipe.data.fragment.conform import field_id

    return {str(field_id(column)): stats[column.name] for column in schema if column.name in stats}


def by_name(stats: Json, schema: pa.Schema, num_rows: int) -> Stats:
    """The same by the names of a snapshot's columns; of one that was added since the file was written, those of its default."""
    from raypipe.data.fragment.conform import field_id
    from raypipe.data.lake.evolve import stats_of_default

    return {column.name: stats.get(str(field_id(column))) or stats_of_default(column, num_rows) for column in schema}


def as_of(connection: Connection, snapshot: Snapshot, fragments: Sequence[Fragment]) -> list[Fragment]:
    """Fragments, whose statistics are by field id, as that snapshot shows them: under its names and types."""
    if not fragments:
        return []
    schema = of(connection, snapshot)
    return [
        replace(
            fragment,
            stats=by_name(fragment.stats, schema, fragment.num_rows),
            as_now=None if fragment.columns == snapshot.columns_digest else schema,
        )
        for fragment in fragments
    ]
