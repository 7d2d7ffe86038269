"""Where a Dataset is written: its blocks, as they come to the write tasks, as fragments of a table."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.function.columns import agreed, joined
from raypipe.data.function.fault import FunctionError, shown
from raypipe.data.function.whole import FRAGMENT_BYTES
from raypipe.data.rows import FRAGMENT_ROWS
from raypipe.data.types import plain_type

if TYPE_CHECKING:
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Blocks:
    """A run of blocks of one schema that one write task got."""

    task: int
    first: int
    """The place of the first of them among the task's."""
    name: str
    fragment: Fragment | None
    """None where they have no row."""
    schema: pa.Schema


def sink_of(store: Store, path: str, own: Sequence[pa.Schema]) -> Any:
    """A Datasink that leaves in `blocks` what was written. `own`: columns that keep their type where they come back with it.

    A task that is tried again writes to files of its own: what a lost one still writes harms nobody.
    """
    from ray.data.block import BlockAccessor
    from ray.data.datasource import Datasink

    class Fragments(Datasink):
        blocks: Sequence[Blocks] = ()

        def write(self, blocks: Iterable[Any], ctx: Any) -> list[Blocks]:
            attempt = f"{path}/part-{ctx.task_idx:05d}-{uuid.uuid4().hex[:8]}"
            tables = (plain(BlockAccessor.for_block(block).to_arrow(), own) for block in blocks)
            return write_blocks(store, attempt, ctx.task_idx, tables)

        def on_write_complete(self, write_result: Any) -> None:
            self.blocks = [block for found in write_result.write_returns for block in found or ()]

        @property
        def min_bytes_per_write(self) -> int:
            return FRAGMENT_BYTES

    return Fragments()


def write_blocks(store: Store, path: str, task: int, tables: Iterable[pa.Table]) -> list[Blocks]:
    """Blocks in order, as many to a fragment as FRAGMENT_ROWS and one schema allow."""
    written: list[Blocks] = []
    waiting: list[pa.Table] = []
    schema: pa.Schema | None = None
    first = 0

    def flush() -> None:
        if schema is None:
            return
        rows = joined(waiting, schema)
        name = (
            f"block {first} of write task {task} (its first row: {shown(rows, 0)})" if rows.num_rows else f"an empty block of task {task}"
        )
        if rows.num_rows:
            for start in range(0, rows.num_rows, FRAGMENT_ROWS):
                part = write_fragment(store, f"{path}-{len(written):03d}.parquet", rows.slice(start, FRAGMENT_ROWS))
                written.append(Blocks(task, first, name, part, schema))
        else:
            written.append(Blocks(task, first, name, None, schema))

    for number, table in enumerate(tables):
        found = _one_schema(schema, table.schema)
        if found is None or sum(t.num_rows for t in waiting) >= FRAGMENT_ROWS:
            flush()
            waiting, schema, first = [], None, number
        schema = found or table.schema
        waiting.append(table)
    flush()
    return written


def plain(table: pa.Table, own: Sequence[pa.Schema]) -> pa.Table:
    """A block without Ray's own types: tensors as lists of a fixed size or Arrow's tensors, and what an engine chose as the plain kind.

    FunctionError for Python's objects, which Ray keeps as pickles.
    """
    columns = {name: _plain(name, table.column(name), own) for name in table.column_names}
    return pa.table(columns) if columns else table.replace_schema_metadata(None)


def _plain(name: str, column: pa.ChunkedArray, own: Sequence[pa.Schema]) -> pa.ChunkedArray:
    type_ = column.type
    if any(name in schema.names and schema.field(name).type == type_ for schema in own):
        return column
    kind = type_.extension_name if isinstance(type_, pa.ExtensionType) else ""
    if kind == "ray.data.arrow_pickled_object":
        raise FunctionError(f"the Dataset's column '{name}' holds Python's objects, which no table can hold: give it a type of Arrow's")
    if kind.startswith("ray.data.arrow_tensor"):
        return pa.chunked_array([_tensor(name, chunk) for chunk in column.chunks])
    if kind.startswith("ray.data."):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks])
    return column.cast(plain_type(column.type))


def _tensor(name: str, array: Any) -> Any:
    shape, storage = list(array.type.shape), array.storage
    if storage.null_count:
        raise FunctionError(f"the Dataset's column '{name}' holds tensors, and nulls among them, which no table can hold")
    size = 1
    for length in shape:
        size *= length
    lists = pa.FixedSizeListArray.from_arrays(storage.flatten(), size)
    return lists if len(shape) == 1 else pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(storage.type.value_type, shape), lists)


def _one_schema(schema: pa.Schema | None, other: pa.Schema) -> pa.Schema | None:
    try:
        return agreed(schema, other)
    except DataError:
        return None
