"""What is known of the values of a file, or of one of its row groups: nulls, NaN, minima and maxima of each column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from raypipe.core.artifact import Json
from raypipe.data.nans import has_nans, num_nans

pc: Any = pyarrow.compute
LONGEST_BOUND = 256
"""Characters of a string that may stand as a minimum or maximum; a longer one is left out, and None means not known."""

Stats = dict[str, dict[str, Json]]
"""By column: `nulls`, `nans`, `min`, `max`. Bounds are numbers, booleans or text (dates and times as ISO, decimals as digits), and None
where they are not known: nested and binary columns, durations, all-null ones, infinities. Moments are in UTC and end with Z."""


class Seen:
    """What is to be known of the rows of a file, gathered as they are written: all at once, or piece by piece."""

    def __init__(self, schema: pa.Schema):
        self.schema = schema
        self.num_rows = 0
        self.may_have_nans = {field.name for field in schema if pa.types.is_floating(field.type)}
        """Columns of floats: Parquet's statistics of these are not written, and not trusted."""
        self._nulls = dict.fromkeys(schema.names, 0)
        self._nans = dict.fromkeys(schema.names, 0)
        self._ends: dict[str, list[Any]] = {name: [] for name in schema.names}

    @classmethod
    def of_whole(cls, table: pa.Table) -> Seen:
        """For a table that is written at once: where no NaN is, Parquet's own statistics do."""
        seen = cls(table.schema)
        seen.may_have_nans = {name for name in seen.may_have_nans if has_nans(table.column(name))}
        return seen

    def add(self, rows: pa.Table) -> None:
        self.num_rows += rows.num_rows
        for name in self.schema.names:
            column = rows.column(name)
            self._nulls[name] += column.null_count
            if name in self.may_have_nans:
                self._nans[name] += num_nans(column)
            # The footer's bounds of times need pandas, and it has none of halves.
            if name in self.may_have_nans or _is_moment(column.type) or pa.types.is_float16(column.type):
                self._ends[name].append(_ends(column))

    def statistics(self, footer: pq.FileMetaData) -> Stats:
        """Bounds come from the footer, which the writer has computed anyway, or else from Arrow."""
        places = {footer.schema.column(i).path: i for i in range(footer.num_columns)}
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        made = {}
        for name, type_ in zip(self.schema.names, self.schema.types, strict=True):
            chunks = [group.column(places[name]) for group in groups] if name in places else []
            low, high = _merged(self._ends[name], type_) if self._ends[name] else _bounds(type_, chunks)
            made[name] = {"nulls": self._nulls[name], "nans": self._nans[name], "min": _json_bound(low), "max": _json_bound(high)}
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


def _is_moment(type_: pa.DataType) -> bool:
    return pa.types.is_temporal(type_) and not pa.types.is_duration(type_)


def _bounds(type_: pa.DataType, chunks: list[pq.ColumnChunkMetaData]) -> tuple[Any, Any]:
    if pa.types.is_duration(type_):
        return None, None
    found = [s for s in (chunk.statistics for chunk in chunks) if s is not None and s.has_min_max]
    full = [chunk for chunk in chunks if chunk.statistics is not None and chunk.statistics.num_values]
    if not found or len(found) < len(full):
        return None, None
    return min(s.min for s in found), max(s.max for s in found)


def _ends(column: pa.ChunkedArray) -> pa.Array:
    """The least and the greatest value, NaN left out."""
    both = pc.min_max(column.cast(pa.float32()) if pa.types.is_float16(column.type) else column)
    return pa.concat_arrays([pa.repeat(both[end], 1) for end in ("min", "max")])


def _merged(ends: list[Any], type_: Any) -> tuple[Any, Any]:
    both = pc.min_max(pa.concat_arrays(ends))
    low, high = both["min"], both["max"]
    if not _is_moment(type_):
        return low.as_py(), high.as_py()
    if getattr(type_, "tz", None):
        in_utc = pa.timestamp(type_.unit, "UTC")
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
