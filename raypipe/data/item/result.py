"""What a function gave for one item, as rows, and files of such rows that several items share."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import File
from raypipe.core.errors import DataError, StoreError
from raypipe.core.form import Form, Kind
from raypipe.core.item import Item as Kept
from raypipe.core.wording import first_line
from raypipe.data.function.callee import Origins, from_form
from raypipe.data.function.columns import agreed, joined
from raypipe.data.function.polars_ import collected
from raypipe.data.types import parse_type, type_name

if TYPE_CHECKING:
    from raypipe.core.store import Store

VALUE = "value"
"""The column of what is neither a mapping nor a table."""
EXPECTED = "a mapping (one row), a table, a list of mappings, a single value, or None (no rows)"
SCALARS = (bool, int, float, str, bytes, date, datetime, time, timedelta, Decimal)


def rows_of(
    made: Any, gives: Form | None, origins: Origins, arguments: Mapping[str, Any], types: Mapping[str, str] | None
) -> pa.Table | None:
    """The rows that a function returned, without the item's own columns; None for none. DataError where they are no rows, say something
    else of the item than it says itself, or are not of the declared types."""
    table = _table(made, gives, origins)
    if table is None or not table.column_names:
        return None
    for name in [name for name in table.column_names if name in arguments]:
        if set(table.column(name).unique().to_pylist()) - {arguments[name]}:
            raise DataError(
                f"returned another '{name}' than the item has, whose columns stand before what is returned: leave it out, or rename it"
            )
        table = table.drop_columns([name])
    table = table.replace_schema_metadata(None) if table.column_names else table  # it would forget the number of rows
    return table if types is None else _declared(table, types)


def declared(types: Mapping[str, str]) -> pa.Schema:
    """The columns that `gives` says. DataError for a type that there is not."""
    return pa.schema([pa.field(name, parse_type(type_)) for name, type_ in types.items()])


def _table(made: Any, gives: Form | None, origins: Origins) -> pa.Table | None:
    if made is None:
        return None
    if type(made).__name__ == "LazyFrame":
        made = collected(made)
    if isinstance(made, pa.RecordBatch):
        made = pa.Table.from_batches([made])
    form = gives if gives is not None and not isinstance(made, list) else _form(made)
    if form is not None:
        return from_form(form, made, origins)
    if isinstance(made, Mapping):
        return _of_rows([made])
    if isinstance(made, list) and all(isinstance(row, Mapping) for row in made):
        return _of_rows(made)
    if isinstance(made, SCALARS) or _is_scalar_of_numpy(made):
        return _of_rows([{VALUE: made}])
    raise DataError(f"returned {type(made).__name__}, expected {EXPECTED}")


def _form(made: Any) -> Form | None:
    """What kind of table a value is, if it is one, by its class's name: no library is imported for the question."""
    kinds: dict[str, Kind] = {"pyarrow": "arrow", "pandas": "pandas", "polars": "polars"}
    kind = kinds.get(type(made).__module__.partition(".")[0])
    return Form(kind) if kind and type(made).__name__ in ("Table", "DataFrame") else None


def _of_rows(rows: Sequence[Mapping[Any, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if unlike := [name for name in names if not isinstance(name, str)]:
        raise DataError(f"returned a mapping with the key {unlike[0]!r}: its keys are names of columns")
    if rows and not names:
        raise DataError("returned a mapping without keys: None says that there are no rows")
    return pa.table({name: _array(name, [row.get(name) for row in rows]) for name in names})


def _array(name: str, values: list[Any]) -> pa.Array:
    try:
        return pa.array([_plain(value) for value in values])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise DataError(f"returned as '{name}' what no column can hold: {first_line(error)}") from error


def _plain(value: Any) -> Any:
    return value.tolist() if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist") else value


def _is_scalar_of_numpy(made: Any) -> bool:
    return type(made).__module__.partition(".")[0] == "numpy" and getattr(made, "ndim", None) == 0


def _declared(table: pa.Table, types: Mapping[str, str]) -> pa.Table:
    schema = declared(types)
    unlike = sorted({*table.column_names} ^ {*types})
    if unlike:
        what = f"did not return '{unlike[0]}'" if unlike[0] in types else f"returned '{unlike[0]}'"
        raise DataError(f"{what}, and `gives` says: {', '.join(types)}")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"returned {_types(table)}, which is not what `gives` says: {first_line(error)}") from error


def _types(table: pa.Table) -> str:
    return ", ".join(f"'{field.name}' {type_name(field.type)}" for field in table.schema)


@dataclass
class Sheet:
    """Rows of several items on their way to files: one file as long as the columns stay the same."""

    tables: list[tuple[str, pa.Table | None]] = field(default_factory=list)
    """Key of the item, and its rows."""

    @property
    def num_bytes(self) -> int:
        return sum(table.nbytes for _, table in self.tables if table is not None)

    def write(self, store: Store, folder: str) -> list[Kept]:
        """Durably; the records of the items, in order."""
        bare = [(key, table) for key, table in self.tables if table is None or not table.column_names]
        kept = {key: Kept(key, None, num_rows=table.num_rows if table is not None else 0) for key, table in bare}
        for group, schema in self._groups():
            file = _write(
                store, f"{folder}/items-{uuid.uuid4().hex[:12]}.arrow", joined([table for _, table in group], schema).combine_chunks()
            )
            first, digest = 0, columns_digest(schema)
            for key, table in group:
                kept[key] = Kept(key, file, digest, first, table.num_rows)
                first += table.num_rows
        return [kept[key] for key, _ in self.tables]

    def _groups(self) -> list[tuple[list[tuple[str, pa.Table]], pa.Schema]]:
        groups: list[tuple[list[tuple[str, pa.Table]], pa.Schema]] = []
        for key, table in self.tables:
            if table is None or not table.column_names:
                continue
            try:
                schema = agreed(groups[-1][1] if groups else None, table.schema)
                rows = groups.pop()[0] if groups else []
            except DataError:
                rows, schema = [], table.schema
            rows.append((key, table))
            groups.append((rows, schema))
        return groups


def columns_digest(schema: pa.Schema) -> str:
    return hashlib.sha256(str([(field.name, str(field.type)) for field in schema]).encode()).hexdigest()[:16]


def read(store: Store, file: File) -> pa.Table:
    """The rows of all items of a file. StoreError where its bytes are not what was recorded."""
    data = store.read(file)
    try:
        return pa.ipc.open_stream(pa.py_buffer(data)).read_all()
    except pa.ArrowInvalid as error:
        raise StoreError(f"{file.path}: cannot be read as Arrow: {first_line(error)}") from error


def _write(store: Store, path: str, table: pa.Table) -> File:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(table)
    return store.write(path, sink.getbuffer())
