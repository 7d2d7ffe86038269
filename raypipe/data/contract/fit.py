"""Rows made to fit the columns that are stated: in their order and of their types, where that changes no value."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from raypipe.core.errors import DataError, nearest
from raypipe.data.types import is_text, type_name, value_type


def fit(table: pa.Table, types: Mapping[str, pa.DataType], who: str, exact: bool = True) -> pa.Table:
    """The columns in the order of `types` and of those types, further ones after them where `exact` is False.

    Only what changes no value is converted: text of another layout, dictionaries, a column of nothing but nulls, units of time that hold
    the values. DataError otherwise, with every column; `who` is who says so.
    """
    problems = [*_twice(table.schema), *_other_names(table.schema, types, who, exact), *_other_types(table.schema, types, who)]
    if problems:
        raise DataError("\n".join(problems))
    made = {name: _converted(name, table.column(name), type) for name, type in types.items()}
    made |= {name: table.column(name) for name in table.column_names if name not in types}
    return pa.table(made)


def misfits(types: Mapping[str, pa.DataType | None], stated: Mapping[str, pa.DataType], exact: bool, *, whole: bool) -> list[str]:
    """What of a table could not be made to fit a contract, as far as it is known: types may not be, nor, unless it is the `whole`, further
    columns, so that none is told as missing."""
    schema = pa.schema([(name, type or pa.null()) for name, type in types.items()])
    if not whole:
        return _other_types(schema, stated, "the contract")
    return [*_other_names(schema, stated, "the contract", exact), *_other_types(schema, stated, "the contract")]


def _twice(schema: pa.Schema) -> list[str]:
    return [f"column '{name}' is there twice" for name in dict.fromkeys(schema.names) if schema.names.count(name) > 1]


def _other_names(schema: pa.Schema, types: Mapping[str, pa.DataType], who: str, exact: bool) -> list[str]:
    """A misspelt column is told once, not as one too much and one too few."""
    missing = [name for name in types if name not in schema.names]
    told: list[str] = []
    problems = []
    for name in (name for name in schema.names if name not in types):
        hint = nearest(name, [m for m in missing if m not in told])
        if "Did you mean" in hint:
            told.append(hint.split("'")[1])
        elif not exact:
            continue
        problems.append(f"column '{name}' is not in {who}.{hint if 'Did you mean' in hint else ''}")
    return problems + [f"column '{name}' is missing" for name in missing if name not in told]


def _other_types(schema: pa.Schema, types: Mapping[str, pa.DataType], who: str) -> list[str]:
    found = {f.name: f.type for f in schema}
    wrong = [name for name, type in types.items() if name in found and not _is_same(found[name], type)]
    verb = "says" if who == "the contract" else "has"
    return [f"column '{name}' is {type_name(found[name])}, {who} {verb} {type_name(types[name])}" for name in wrong]


def _is_same(found: pa.DataType, stated: pa.DataType) -> bool:
    """Whether the one is the other, but for how it is laid out."""
    if found == stated or pa.types.is_null(found):
        return True
    found, stated = value_type(found), value_type(stated)
    if pa.types.is_timestamp(found) and pa.types.is_timestamp(stated):
        return (found.tz is None) == (stated.tz is None)
    texts = (is_text(found) or pa.types.is_string_view(found)) and is_text(stated)
    return found == stated or texts or (pa.types.is_date(found) and pa.types.is_date(stated))


def _converted(name: str, column: pa.ChunkedArray, type: pa.DataType) -> pa.ChunkedArray:
    if column.type == type:
        return column
    try:
        return column.cast(type)
    except pa.ArrowInvalid as error:
        raise DataError(f"column '{name}' is {type_name(column.type)} and does not go into {type_name(type)}: {error}") from None
