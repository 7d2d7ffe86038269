"""How many values Parquet counts in a column that holds lists: a damaged page header may give fewer, and as many rows as before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from raypipe.data.fragment.conform import children, is_list

pc: Any = pyarrow.compute


def refuse_lost(file: pq.ParquetFile, rows: pa.Table, groups: Sequence[int]) -> None:
    """ArrowInvalid where what was read of these row groups lacks items of lists. Which page has how many stands in its header, which no
    checksum covers; how many there are in all stands in the footer. Columns without lists are counted by rows."""
    place = 0
    for column in file.schema_arrow:
        num_leaves = _num_leaves(column.type)
        if column.name in rows.column_names and _has_lists(column.type):
            _refuse_lost(file.metadata, rows.column(column.name), range(place, place + num_leaves), groups)
        place += num_leaves


def num_values(array: pa.Array) -> Iterator[int]:
    """Of each Parquet column of an Arrow column, in order: a missing or empty list counts as one.

    >>> list(num_values(pa.array([[1, 2], [], None, [3]])))
    [5]
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_struct(array.type):
        for number in range(array.type.num_fields):
            yield from num_values(array.field(number))  # type: ignore[attr-defined]
    elif _is_many(array.type):
        lists = array.cast(pa.list_(pa.struct(children(array.type)))) if pa.types.is_map(array.type) else array
        nothing = array.null_count + (pc.sum(pc.equal(pc.list_value_length(lists), 0)).as_py() or 0)
        for inner in num_values(lists.flatten()):  # type: ignore[attr-defined]
            yield inner + nothing
    else:
        yield len(array)


def _refuse_lost(footer: pq.FileMetaData, column: pa.ChunkedArray, places: range, groups: Sequence[int]) -> None:
    read = [list(num_values(chunk)) for chunk in column.chunks]
    for number, place in enumerate(places):
        expected = sum(footer.row_group(group).column(place).num_values for group in groups)
        if (found := sum(counts[number] for counts in read)) != expected:
            raise pa.ArrowInvalid(f"{found:,} of {expected:,} values of '{footer.schema.column(place).path}' are left")


def _is_many(type_: pa.DataType) -> bool:
    return is_list(type_) or pa.types.is_map(type_)


def _has_lists(type_: pa.DataType) -> bool:
    plain = _plain(type_)
    return _is_many(plain) or any(_has_lists(child.type) for child in children(plain))


def _num_leaves(type_: pa.DataType) -> int:
    inner = children(_plain(type_))
    return sum(_num_leaves(child.type) for child in inner) if inner else 1


def _plain(type_: Any) -> pa.DataType:
    return type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_
