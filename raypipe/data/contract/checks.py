"""The checks that a column's values are held to: for each rule the places of the values that break it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.data.contract.column import Column, bound
from raypipe.data.nans import has_nans
from raypipe.data.types import is_text, value_type

if TYPE_CHECKING:
    import numpy as np

_compute: Any = pc
FEW = 16_384
"""Values of which a look at the first ones tells whether they come again and again."""


def checks(column: Column) -> Iterator[tuple[str, Json]]:
    """The rules that rows of that column can break by themselves, each with its bound, but for references."""
    if column.nulls is not True:
        yield "nulls", column.nulls
    for rule in ("min", "max", "allowed", "pattern", "min_length", "max_length"):
        if (limit := getattr(column, rule)) is not None:
            yield rule, limit


def broken(rule: str, limit: Any, values: pa.ChunkedArray) -> np.ndarray:
    """int64, ascending. A value that is missing breaks `nulls` only."""
    import numpy as np

    found = _of_dictionary(rule, limit, values) if pa.types.is_dictionary(values.type) else _BREAKS[rule](limit, comparable(values))
    # Most rules are broken by nothing, and that is known ten times sooner than which ones.
    if found is None or not _compute.any(found).as_py():
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(_compute.fill_null(found, False).to_numpy())


def _of_dictionary(rule: str, limit: Any, values: pa.ChunkedArray) -> Any:
    """Of a dictionary each value is looked at once."""
    if rule == "nulls":
        return missing(plain(values))
    coded: Any = values.combine_chunks()
    found = _BREAKS[rule](limit, comparable(pa.chunked_array([coded.dictionary])))
    return _compute.take(found, coded.indices) if found is not None and _compute.any(found).as_py() else None


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary as its values."""
    return values.cast(value_type(values.type)) if pa.types.is_dictionary(values.type) else values


def comparable(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Half floats and short decimals as the next wider type: Arrow compares none of them."""
    type_: Any = values.type
    if pa.types.is_float16(type_):
        return values.cast(pa.float32())
    is_short = pa.types.is_decimal32(type_) or pa.types.is_decimal64(type_)
    return values.cast(pa.decimal128(type_.precision, type_.scale)) if is_short else values


def missing(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Where there is no value; None where there is one everywhere."""
    if values.null_count or has_nans(values):
        return _compute.is_null(values, nan_is_null=True)
    return None


def _beyond(values: pa.ChunkedArray, limit: Any, compare: Any, whole: Any) -> Any:
    """A comparison with null is null, with NaN false: what is missing breaks `nulls` only."""
    if not pa.types.is_integer(values.type) or isinstance(limit, str):
        return compare(values, bound(limit, values.type))
    if not math.isfinite(limit):
        return None if (limit > 0) == (compare is _compute.greater) else missing_or(values, True)
    # Arrow compares integers with floats by way of float64, and refuses those above 2^53.
    try:
        return compare(values, pa.scalar(whole(limit), values.type))
    except (pa.ArrowInvalid, OverflowError):
        return None if (limit > 0) == (compare is _compute.greater) else missing_or(values, True)


def missing_or(values: pa.ChunkedArray, value: bool) -> Any:
    """`value` wherever there is one."""
    return _compute.if_else(_compute.is_valid(values), value, pa.scalar(None, pa.bool_()))


def _not_allowed(limits: Sequence[Any], values: pa.ChunkedArray) -> Any:
    if is_text(values.type) or pa.types.is_integer(values.type):
        allowed = pa.array([bound(limit, values.type).as_py() for limit in limits], values.type)
    else:
        allowed = pa.array([bound(limit, values.type).as_py() for limit in limits]).cast(values.type)
    outside = _compute.invert(_compute.is_in(values, value_set=allowed))
    gone = missing(values)
    return outside if gone is None else _compute.and_not(outside, gone)


def _not_matching(pattern: str, values: pa.ChunkedArray) -> Any:
    """Of text that comes again and again each one is matched once."""
    if not _is_repeated(values):
        return _compute.invert(_compute.match_substring_regex(values, whole(pattern)))
    coded: Any = values.combine_chunks().dictionary_encode()
    matches = _compute.match_substring_regex(coded.dictionary, whole(pattern))
    return None if _compute.all(matches).as_py() else _compute.take(_compute.invert(matches), coded.indices)


def _is_repeated(values: pa.ChunkedArray) -> bool:
    return len(values) > FEW and _compute.count_distinct(values.slice(0, FEW)).as_py() < FEW // 4


def whole(pattern: str) -> str:
    """The pattern of a text that matches from end to end."""
    return rf"\A(?:{pattern})\z"


_BREAKS: dict[str, Any] = {
    "nulls": lambda _, values: missing(values),
    "min": lambda limit, values: _beyond(values, limit, _compute.less, math.ceil),
    "max": lambda limit, values: _beyond(values, limit, _compute.greater, math.floor),
    "allowed": _not_allowed,
    "pattern": _not_matching,
    "min_length": lambda limit, values: _compute.less(_compute.utf8_length(values), limit),
    "max_length": lambda limit, values: _compute.greater(_compute.utf8_length(values), limit),
}
