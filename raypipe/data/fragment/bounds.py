"""What is known of the values of a file, or of one of its row groups: nulls, NaN, minima and maxima of each column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from raypipe.core.artifact import Json

pc: Any = pyarrow.compute
LONGEST_BOUND = 256
"""Characters of a string that may stand as a minimum or maximum; a longer one is left out, and None means not known."""

Stats = dict[str, dict[str, Json]]
"""By column: `nulls`, `nans`, `min`, `max`. Bounds are numbers, booleans or text (dates and times as ISO, decimals as digits), and None
where they are not known: nested and binary columns, durations, all-null ones, infinities. Moments are in UTC and end with Z."""


def num_nans(column: pa.ChunkedArray) -> int:
    return pc.sum(pc.is_nan(column), min_count=0).as_py() if pa.types.is_floating(column.type) else 0


def statistics(table: pa.Table, footer: pq.FileMetaData, nans: Mapping[str, int]) -> Stats:
    """Bounds come from the footer, which the writer has computed anyway; times from Arrow, since the footer's need pandas."""
    places = {footer.schema.column(i).path: i for i in range(footer.num_columns)}
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    made = {}
    for name, found in nans.items():
        column = table.column(name)
        chunks = [group.column(places[name]) for group in groups] if name in places else []
        low, high = _arrow_bounds(column) if found else _bounds(column, chunks)
        made[name] = {"nulls": column.null_count, "nans": found, "min": _json_bound(low), "max": _json_bound(high)}
    return made


def group_statistics(group: pq.RowGroupMetaData, columns: Mapping[str, tuple[int, pa.DataType]]) -> Stats:
    """Of a row group, by column: its place in the file and its type. A column of which nothing is known is left out.

    Times are in their type's own unit here. A column with a NaN has no statistics in any row group.
    """
    made: Stats = {}
    for name, (place, type_) in columns.items():
        found = group.column(place).statistics
        if found is not None and found.has_null_count:
            low, high = (_footer_bound(found, end, type_) for end in ("min", "max")) if found.has_min_max else (None, None)
            made[name] = {"nulls": found.null_count, "nans": 0, "min": low, "max": high}
    return made


def _footer_bound(found: pq.Statistics, end: str, type_: Any) -> Json:
    is_ = pa.types
    if is_.is_integer(type_) or is_.is_boolean(type_) or is_.is_string(type_) or is_.is_large_string(type_) or is_.is_decimal(type_):
        return _json_bound(getattr(found, end))
    if is_.is_floating(type_) and not is_.is_float16(type_):
        return _json_bound(getattr(found, end))
    if is_.is_timestamp(type_) or is_.is_time(type_):
        # Parquet has no seconds: they are kept as milliseconds.
        return getattr(found, f"{end}_raw") // (1_000 if type_.unit == "s" else 1)
    if is_.is_date(type_):
        return getattr(found, f"{end}_raw") * (86_400_000 if is_.is_date64(type_) else 1)
    return None


def _bounds(column: pa.ChunkedArray, chunks: list[pq.ColumnChunkMetaData]) -> tuple[Any, Any]:
    type_ = column.type
    if pa.types.is_duration(type_):
        return None, None
    if pa.types.is_float16(type_) or pa.types.is_temporal(type_):
        return _arrow_bounds(column)
    found = [s for s in (chunk.statistics for chunk in chunks) if s is not None and s.has_min_max]
    full = [chunk for chunk in chunks if chunk.statistics is not None and chunk.statistics.num_values]
    if not found or len(found) < len(full):
        return None, None
    return min(s.min for s in found), max(s.max for s in found)


def _arrow_bounds(column: pa.ChunkedArray) -> tuple[Any, Any]:
    both = pc.min_max(column.cast(pa.float32()) if pa.types.is_float16(column.type) else column)
    low, high = both["min"], both["max"]
    if not pa.types.is_temporal(column.type):
        return low.as_py(), high.as_py()
    if getattr(column.type, "tz", None):
        in_utc = pa.timestamp(column.type.unit, "UTC")
        low, high = low.cast(in_utc), high.cast(in_utc)
    return low.cast(pa.string()).as_py(), high.cast(pa.string()).as_py()


def _json_bound(value: Any) -> Json:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bytes):
        return None
    text = str(value)
    return text if len(text) <= LONGEST_BOUND else None
