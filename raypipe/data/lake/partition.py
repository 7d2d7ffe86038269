"""Layout: by which columns a table's rows are parted into files, and sorted within them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute

from raypipe.core.errors import DataError, nearest
from raypipe.data.fragment.conform import children, taken
from raypipe.data.lake.murmur import bucket_problem, buckets
from raypipe.data.types import type_name, value_type
from raypipe.data.where.where import comparable

pc: Any = pyarrow.compute

MAX_PARTITIONS = 1_000
"""Partitions that the rows of one file may fall into: each is a file of its own, and open until the rows end."""
LONGEST_NAME = 200
"""Bytes of a folder's name; file systems take 255."""
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"

Transform = Literal["identity", "year", "month", "day", "hour", "bucket"]
Values = tuple[str | None, ...]
"""Of a partition, a text for each key, as DuckLake keeps them; None is null."""


@dataclass(frozen=True)
class Key:
    """What a partition has in common: a column's value, a part of its date, or its bucket."""

    column: str
    transform: Transform = "identity"
    num_buckets: int = 0

    def __str__(self) -> str:
        if self.transform == "bucket":
            return f"bucket({self.num_buckets}, {self.column})"
        return self.column if self.transform == "identity" else f"{self.transform}({self.column})"

    @property
    def stored(self) -> str:
        """DuckLake's word for it."""
        return f"bucket({self.num_buckets})" if self.transform == "bucket" else self.transform


@dataclass(frozen=True)
class Order:
    """A column that the rows of each file are sorted by; nulls come last."""

    column: str
    descending: bool = False

    def __str__(self) -> str:
        return f"{self.column} desc" if self.descending else self.column


@dataclass(frozen=True)
class Layout:
    """How the rows of a table lie in its files."""

    partition_by: tuple[Key, ...] = ()
    sort_by: tuple[Order, ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Layout:
        """The same with other names for columns."""
        keys = tuple(Key(names.get(k.column, k.column), k.transform, k.num_buckets) for k in self.partition_by)
        return Layout(keys, tuple(Order(names.get(o.column, o.column), o.descending) for o in self.sort_by))


def layout(partition_by: Sequence[str] = (), sort_by: Sequence[str] = ()) -> Layout:
    """Of settings as people write them. DataError for what cannot be read.

    >>> str(layout(["region", "year(at)", "bucket(16, user)"], ["at desc"]).partition_by[2])
    'bucket(16, user)'
    """
    return Layout(tuple(map(_key, partition_by)), tuple(map(_order, sort_by)))


def problems(wanted: Layout, schema: pa.Schema) -> list[str]:
    """What is wrong with a layout for a table of these columns, each by name."""
    told = [told for key in wanted.partition_by if (told := _key_problem(key, schema))]
    told += [told for order in wanted.sort_by if (told := _order_problem(order, schema))]
    twice = sorted({str(key) for key in wanted.partition_by if wanted.partition_by.count(key) > 1})
    return told + [f"partition_by names {key} twice" for key in twice]


def setting_problems(partition_by: Sequence[str], sort_by: Sequence[str], types: Mapping[str, pa.DataType] | None) -> list[tuple[str, str]]:
    """What is wrong with the settings of that name, each with its own; `types` are those of the columns where they are known."""
    found = []
    for key, texts_ in (("partition_by", partition_by), ("sort_by", sort_by)):
        try:
            wanted = layout(**{key: list(texts_)})
            told = problems(wanted, pa.schema(list(types.items()))) if types is not None else []
        except DataError as error:
            told = [str(error)]
        found += [(key, text.removeprefix(key).lstrip(": ")) for text in told]
    return found


def parts(rows: pa.Table, keys: Sequence[Key], max_partitions: int = MAX_PARTITIONS) -> Iterator[tuple[Values, pa.Table]]:
    """The rows by partition, in the order of its values; rows of a partition stay in theirs. No rows, no parts.

    DataError for more partitions than `max_partitions`.
    """
    import numpy as np

    if not keys:
        yield (), rows
        return
    codes, values = _codes([texts(rows.column(key.column), key) for key in keys], keys, max_partitions)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(values)), side="right")
    for number, value in enumerate(values):
        start = ends[number - 1] if number else 0
        yield value, taken(rows, pa.array(order[start : ends[number]])) if len(values) > 1 else rows


def texts(column: pa.ChunkedArray, key: Key) -> pa.ChunkedArray:
    """The value of a partition's key for each row, as text."""
    if key.transform == "bucket":
        return pa.chunked_array([buckets(column, key.num_buckets).cast(pa.string())])
    if key.transform != "identity":
        return getattr(pc, key.transform)(_in_utc(column)).cast(pa.string())
    decoded = column.cast(value_type(column.type)) if pa.types.is_dictionary(column.type) else column
    if pa.types.is_timestamp(decoded.type):
        return _moments(_in_utc(decoded), bool(cast(Any, column.type).tz))
    return decoded.cast(pa.date32()).cast(pa.string()) if pa.types.is_date(decoded.type) else decoded.cast(pa.string())


def folder(keys: Sequence[Key], values: Values) -> str:
    """`year=2026/region=a%2Fb`: hive's way of naming folders, with what is unsafe in a path percent-encoded; empty without keys.

    >>> folder([Key("region"), Key("at", "year")], ("../a=b", None))
    'region=..%2Fa%3Db/year=__HIVE_DEFAULT_PARTITION__'
    """
    made: list[str] = []
    names: set[str] = set()
    for key, value in zip(keys, values, strict=True):
        prefix = key.column if key.transform == "identity" else key.transform
        name = f"{prefix}_{key.column}" if prefix.lower() in names else prefix
        names.add(name.lower())
        made.append(f"{_safe(name)}={NO_VALUE if value is None else _safe(value)}")
    return "/".join(made)


def ordered(rows: pa.Table, sort_by: Sequence[Order]) -> pa.Table:
    """Sorted stably, nulls last; as they are where they are sorted already."""
    if not sort_by or rows.num_rows < 2:
        return rows
    columns = {str(i): comparable(rows.column(order.column)) for i, order in enumerate(sort_by)}
    keys = [(str(i), "descending" if order.descending else "ascending", "at_end") for i, order in enumerate(sort_by)]
    indices = pc.sort_indices(pa.table(columns), sort_keys=keys)
    return taken(rows, indices)


_PART = re.compile(r"\s*(year|month|day|hour)\s*\(\s*(.+?)\s*\)\s*", re.IGNORECASE)
_BUCKET = re.compile(r"\s*bucket\s*\(\s*(\d+)\s*,\s*(.+?)\s*\)\s*", re.IGNORECASE)
_FORMS = "a column, year(column), month(column), day(column), hour(column) or bucket(16, column)"


def _key(text: str) -> Key:
    if match := _BUCKET.fullmatch(text):
        if not 0 < int(match[1]) < 2**31:
            raise DataError(f"partition_by: {text}: a table has at least one bucket, and fewer than 2^31")
        return Key(match[2], "bucket", int(match[1]))
    if match := _PART.fullmatch(text):
        return Key(match[2], cast(Transform, match[1].lower()))
    if re.fullmatch(r"\s*\w+\s*\(.*\)\s*", text) or not text.strip():
        raise DataError(f"partition_by: {text!r} is none of what a table can be partitioned by: {_FORMS}")
    return Key(text.strip())


def _order(text: str) -> Order:
    match = re.fullmatch(r"\s*(.+?)(?:\s+(asc|desc))?\s*", text, re.IGNORECASE)
    if not match:
        raise DataError("sort_by: an empty text names no column; expected `column` or `column desc`")
    return Order(match[1], (match[2] or "").lower() == "desc")


def _key_problem(key: Key, schema: pa.Schema) -> str | None:
    if key.column not in schema.names:
        return f"partition_by {key}: the table has no column {key.column!r}.{nearest(key.column, schema.names)}"
    type_ = schema.field(key.column).type
    found = f"partition_by {key}: the column is {type_name(type_)}, "
    if key.transform == "bucket":
        told = bucket_problem(type_)
        return f"{found}and {told}" if told else None
    is_ = pa.types
    if key.transform == "identity":
        plain = value_type(type_)
        good = is_.is_integer(plain) or _is_text(plain) or is_.is_date(plain) or is_.is_timestamp(plain)
        good = good or is_.is_boolean(plain) or is_.is_decimal(plain)
        advice = "expected integers, text, bool, decimals, dates or timestamps; round it in a column of its own, or take bucket(16, ...)"
        return None if good else found + advice
    if is_.is_timestamp(type_) or (is_.is_date(type_) and key.transform != "hour"):
        return None
    return f"{found}expected a timestamp{'' if key.transform == 'hour' else ' or a date'}"


def _order_problem(order: Order, schema: pa.Schema) -> str | None:
    if order.column not in schema.names:
        return f"sort_by {order}: the table has no column {order.column!r}.{nearest(order.column, schema.names)}"
    type_ = schema.field(order.column).type
    if children(type_) or isinstance(type_, pa.BaseExtensionType) or pa.types.is_null(type_):
        return f"sort_by {order}: the column is {type_name(type_)}, and rows are sorted by numbers, text, bytes and times"
    return None


def _is_text(type_: pa.DataType) -> bool:
    is_ = pa.types
    return is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_)


def _codes(columns: Sequence[pa.ChunkedArray], keys: Sequence[Key], max_partitions: int) -> tuple[Any, list[Values]]:
    """The number of each row's partition, and what the partitions are, in the order of their values (null last)."""
    import numpy as np

    code, count = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        encoded = column.combine_chunks().dictionary_encode()
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        own = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy()
        code, count = _dense(code * (len(encoded.dictionary) + 1) + own)
    if count > max_partitions:
        raise _too_many(columns, keys, count, max_partitions)
    first = np.full(count, len(code), np.int64)
    np.minimum.at(first, code, np.arange(len(code)))
    found = [tuple(column[int(row)].as_py() for column in columns) for row in first]
    ranks = sorted(range(count), key=lambda i: [(value is None, value or "") for value in found[i]])
    place = np.empty(count, np.int64)
    place[ranks] = np.arange(count)
    return place[code], [found[i] for i in ranks]


def _dense(codes: Any) -> tuple[Any, int]:
    import numpy as np

    distinct, dense = np.unique(codes, return_inverse=True)
    return dense, len(distinct)


def _too_many(columns: Sequence[pa.ChunkedArray], keys: Sequence[Key], count: int, max_partitions: int) -> DataError:
    found = ", ".join(f"{key} has {len(column.unique()):,}" for key, column in zip(keys, columns, strict=True))
    return DataError(
        f"partition_by: the rows of one file fall into {count:,} partitions ({found} different values), each a file of its own; at most "
        f"{max_partitions:,} may be open at a time. Take a coarser key (month instead of day, bucket(16, {keys[-1].column}) instead of the "
        "column), or sort by that column instead: sort_by prunes too."
    )


def _in_utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    type_: Any = column.type
    return column.cast(pa.timestamp(type_.unit, "UTC")) if pa.types.is_timestamp(type_) and type_.tz else column


def _moments(column: pa.ChunkedArray, zoned: bool) -> pa.ChunkedArray:
    """As DuckDB writes them: no zeros at the end of the fraction, and +00 for a zone."""
    plain = column.cast(pa.timestamp(cast(Any, column.type).unit)).cast(pa.string())
    short = pc.replace_substring_regex(plain, r"(\.\d*?)0+$", r"\1")
    short = pc.replace_substring_regex(short, r"\.$", "")
    return pc.binary_join_element_wise(short, "+00", "") if zoned else short


def _safe(text: str) -> str:
    """Long ones are cut and told apart by a digest: what a folder is called means nothing, the values are in the catalog."""
    name = quote(text, safe="")
    if len(name) <= LONGEST_NAME:
        return name
    return re.sub(r"%.?$", "", name[: LONGEST_NAME - 17]) + "-" + hashlib.sha256(text.encode()).hexdigest()[:16]
