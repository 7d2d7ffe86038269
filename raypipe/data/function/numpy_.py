"""A table as a dict of NumPy arrays, and back.

The dtype of an array is told by the column's type alone, so that a row alone and a batch look alike to the function:

- numbers and bool keep their type; a null in a float is NaN, and a null in an integer or a bool is refused, for NumPy has none;
- dates, times of day with a date, and durations are datetime64 and timedelta64, null is NaT; instants of a zone are in UTC;
- lists of a fixed size and tensors of numbers have one axis more: [rows, size];
- everything else (text, bytes, decimals, lists, structs, dictionaries as their values) is an array of Python's objects, null is None.

What the function hands back untouched (the very array) keeps its column; what it hands back under the name and with the dtype of what it
got keeps the column's type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.wording import first_line
from raypipe.data.types import is_number, type_name, value_type


def to_numpy(table: pa.Table) -> dict[str, np.ndarray]:
    """Read-only arrays by name. DataError for a column that NumPy cannot hold as it is."""
    return {name: _read_only(_array(name, table.column(name))) for name in table.column_names}


def from_numpy(made: Any, origins: Sequence[tuple[Mapping[str, np.ndarray], pa.Table]]) -> pa.Table:
    """What a function made of `origins`, what it was given beside the tables that it came from. DataError about a column that is none."""
    if not isinstance(made, Mapping):
        raise DataError(f"returned {type(made).__name__}, expected dict[str, np.ndarray]")
    columns = {name: _column(name, values, origins) for name, values in made.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"returned arrays of unlike lengths: {', '.join(f'{name} {length:,}' for name, length in lengths.items())}")
    return pa.table(columns)


def _array(name: str, column: pa.ChunkedArray) -> np.ndarray:
    type_ = column.type
    if isinstance(type_, pa.FixedShapeTensorType):
        return _stacked(name, column, type_.shape)
    if pa.types.is_fixed_size_list(type_) and is_number(type_.value_type):
        return _stacked(name, column, [type_.list_size])
    if pa.types.is_dictionary(type_):
        return _array(name, column.cast(type_.value_type))
    if column.null_count and (pa.types.is_integer(type_) or pa.types.is_boolean(type_)):
        raise DataError(
            f"column '{name}' is {type_name(type_)} with {column.null_count:,} nulls, and a NumPy array of that type has none: impute them "
            "before, or take pa.Table, pd.DataFrame or pl.DataFrame"
        )
    plain = is_number(type_) or pa.types.is_date(type_) or pa.types.is_timestamp(type_) or pa.types.is_duration(type_)
    try:
        array = column.to_numpy()
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"column '{name}' is {type_name(type_)}, which NumPy cannot hold: {error}") from None
    return array if plain else array.astype(object)


def _stacked(name: str, column: pa.ChunkedArray, shape: Any) -> np.ndarray:
    if column.null_count:
        raise DataError(f"column '{name}' is {type_name(column.type)} with {column.null_count:,} nulls, and a NumPy array of rows has none")
    array: Any = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    storage = array.storage if isinstance(array, pa.ExtensionArray) else array
    inner = storage.flatten()
    if inner.null_count:
        raise DataError(f"column '{name}' is {type_name(column.type)} with nulls in its lists, and a NumPy array of numbers has none")
    return inner.to_numpy(zero_copy_only=False).reshape(-1, *shape)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _column(name: Any, values: Any, origins: Sequence[tuple[Mapping[str, np.ndarray], pa.Table]]) -> Any:
    if not isinstance(name, str):
        raise DataError(f"returned a column named {name!r}; names are text")
    if not isinstance(values, np.ndarray) or values.ndim == 0:
        found = "a single number" if isinstance(values, np.ndarray) else type(values).__name__
        raise DataError(f"returned column '{name}' as {found}, expected a numpy.ndarray with a value a row")
    for given, table in origins:
        if name in given and values is given[name]:
            return table.column(name)
    for given, table in origins:
        if name in given and _is_alike(values, given[name]):
            return _as_before(name, values, table.schema.field(name).type)
    return _inferred(name, values)


def _is_alike(made: np.ndarray, given: np.ndarray) -> bool:
    return made.dtype == given.dtype and made.shape[1:] == given.shape[1:]


def _as_before(name: str, values: np.ndarray, type_: pa.DataType) -> Any:
    """With the column's own type; objects that are of another are a new column."""
    if values.ndim > 1:
        return _nested(values, type_)
    if pa.types.is_dictionary(type_):
        return _as_before(name, values, type_.value_type) if values.dtype != object else _objects(name, values, type_)
    return _objects(name, values, type_) if values.dtype == object else pa.array(values, type_, from_pandas=False)


def _objects(name: str, values: np.ndarray, type_: pa.DataType) -> Any:
    try:
        made: Any = pa.array(values, value_type(type_))
        return made.dictionary_encode().cast(type_) if pa.types.is_dictionary(type_) else made
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _inferred(name, values)


def _inferred(name: str, values: np.ndarray) -> Any:
    if values.ndim > 1:
        return _nested(values, None)
    mask = None
    if isinstance(values, np.ma.MaskedArray):
        mask, values = np.ma.getmaskarray(values), values.data
    try:
        return pa.array(values, mask=mask, from_pandas=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"returned column '{name}' with {mixed(values)}: {first_line(error)}") from None


def _nested(values: np.ndarray, type_: pa.DataType | None) -> Any:
    """[rows, size] as lists of that size, more axes as tensors."""
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    if values.ndim == 2 and not isinstance(type_, pa.FixedShapeTensorType):
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    storage = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))
    tensor = type_ if isinstance(type_, pa.FixedShapeTensorType) else pa.fixed_shape_tensor(flat.type, list(values.shape[1:]))
    return pa.ExtensionArray.from_storage(tensor, storage)


def mixed(values: Any) -> str:
    """What a column of objects holds, with the first place of each type: `int (first in row 1) and str (first in row 4)`."""
    first: dict[str, int] = {}
    for row, value in enumerate(values, 1):
        if value is not None:
            first.setdefault(type(value).__name__, row)
    return " and ".join(f"{name} (first in row {row:,})" for name, row in first.items()) or "no values"
