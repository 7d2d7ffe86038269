"""Columns of a database in Arrow's exact types, and its values as arrays of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.types import is_text, type_name, value_type

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

INTERVAL, NUMERIC, JSONS = 1186, 1700, (114, 3802)
_OIDS: dict[int, pa.DataType] = {
    16: pa.bool_(),
    17: pa.binary(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    26: pa.uint32(),
    25: pa.string(),
    18: pa.string(),
    19: pa.string(),
    1042: pa.string(),
    1043: pa.string(),
    2950: pa.string(),
    114: pa.string(),
    3802: pa.string(),
    700: pa.float32(),
    701: pa.float64(),
    1082: pa.date32(),
    1083: pa.time64("us"),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
    1000: pa.list_(pa.bool_()),
    1005: pa.list_(pa.int16()),
    1007: pa.list_(pa.int32()),
    1016: pa.list_(pa.int64()),
    1021: pa.list_(pa.float32()),
    1022: pa.list_(pa.float64()),
    1009: pa.list_(pa.string()),
    1015: pa.list_(pa.string()),
    1115: pa.list_(pa.timestamp("us")),
    1185: pa.list_(pa.timestamp("us", "UTC")),
}
"""PostgreSQL's types by the number that a result names."""


def postgres_types(description: Sequence[Any]) -> dict[str, pa.DataType | None]:
    """Of the columns of a result; None for one that has no exact type in Arrow."""
    return {column.name: _of_number(column) for column in description}


def _of_number(column: Any) -> pa.DataType | None:
    if column.type_code == NUMERIC:
        return pa.decimal128(column.precision, column.scale) if column.precision and column.precision <= 38 else None
    return _OIDS.get(column.type_code)


def declared_types(connection: Connection, table: str, schema: str | None) -> dict[str, pa.DataType | None]:
    """Of the columns of a table, as the database declares them; None where that says no exact type."""
    from sqlalchemy import inspect

    sqlite = connection.dialect.name == "sqlite"
    return {column["name"]: _of_declared(column["type"], sqlite) for column in inspect(connection).get_columns(table, schema)}


def _of_declared(type: TypeEngine, sqlite: bool) -> pa.DataType | None:
    from sqlalchemy import types as sql

    if isinstance(type, sql.Integer) and not sqlite:
        return pa.int16() if isinstance(type, sql.SmallInteger) else pa.int64() if isinstance(type, sql.BigInteger) else pa.int32()
    if isinstance(type, sql.Numeric) and not isinstance(type, sql.Float):
        return pa.decimal128(type.precision, type.scale or 0) if type.precision and type.precision <= 38 else None
    if isinstance(type, sql.DateTime):
        return pa.timestamp("us", "UTC" if type.timezone else None)
    for kind, arrow in _DECLARED.items():
        if isinstance(type, getattr(sql, kind)):
            return arrow
    return None


_DECLARED = {
    "Boolean": pa.bool_(),
    "Integer": pa.int64(),
    "Float": pa.float64(),
    "Date": pa.date32(),
    "Time": pa.time64("us"),
    "LargeBinary": pa.binary(),
    "JSON": pa.string(),
    "Uuid": pa.string(),
    "String": pa.string(),
}


def inferred(name: str, values: Sequence[Any]) -> pa.DataType:
    """The type of a column that nothing states, by its first value. DataError where there is none."""
    first = next((value for value in values if value is not None), None)
    for python, arrow in ((bool, pa.bool_()), (int, pa.int64()), (float, pa.float64()), (str, pa.string()), (bytes, pa.binary())):
        if isinstance(first, python):
            return arrow
    found = "the first rows have no value in it" if first is None else f"a {type(first).__name__} has no exact type in Arrow by itself"
    raise DataError(f"column '{name}': the database does not state its type, and {found}. State it: types: {{{name}: decimal128(18, 6)}}")


def array(name: str, values: Sequence[Any], type: pa.DataType) -> pa.Array:
    """The values as that type, nothing rounded or cut. DataError with the first that is not of it."""
    try:
        return _array(values, type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, InvalidOperation):
        for value in values:
            try:
                _array([value], type)
            except (pa.ArrowException, ValueError, TypeError, OverflowError, InvalidOperation):
                raise DataError(f"column '{name}': {str(value)[:80]!r} is no {type_name(type)}") from None
        raise


def _array(values: Sequence[Any], type: pa.DataType) -> pa.Array:
    inner = value_type(type)
    first = next((value for value in values if value is not None), None)
    if isinstance(first, str) and pa.types.is_temporal(inner):
        return pa.array(values, pa.string()).cast(inner)
    for is_it, convert in _CONVERTED:
        if is_it(inner):
            made = pa.array([None if value is None else convert(value) for value in values], inner)
            return made if inner == type else made.cast(type)
    if pa.types.is_timestamp(inner) and inner.unit != "us":
        return pa.array(values, pa.timestamp("us", inner.tz)).cast(inner)  # pa.array alone would cut what the unit cannot hold
    return pa.array(values, type)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise TypeError
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool | int | float | bytes | memoryview):
        raise TypeError
    return str(value)


def _bool(value: Any) -> bool:
    if value not in (0, 1):
        raise TypeError
    return bool(value)


def _integer(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _float(value: Any) -> float:
    if not isinstance(value, int | float) or (isinstance(value, int) and int(float(value)) != value):
        raise TypeError
    return float(value)


_CONVERTED: list[tuple[Callable[[pa.DataType], bool], Callable[[Any], Any]]] = [
    (pa.types.is_boolean, _bool),
    (pa.types.is_integer, _integer),
    (pa.types.is_floating, _float),
    (pa.types.is_decimal, _decimal),
    (is_text, _text),
    (lambda type: pa.types.is_binary(type) or pa.types.is_large_binary(type), bytes),
]


def unknown(types: Mapping[str, pa.DataType | None], stated: Mapping[str, pa.DataType]) -> list[str]:
    """The columns for which neither the database nor anybody else says a type."""
    return [name for name, type in types.items() if type is None and name not in stated]
