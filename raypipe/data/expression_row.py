"""An expression over one row as a Python function: what Polars takes 150 us to compute for a request is done in a few."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.expression import Expression, parsed, polars
from raypipe.data.types import value_type

Value = Callable[[Mapping[str, Any]], Any]
"""From a row to a value; None is null, and never NaN behind a column."""
FLOAT, BOOL, TEXT, WHOLE, DECIMAL, NULL = "float", "bool", "text", "whole", "decimal", "null"
"""Of a part: 64-bit floats, booleans, texts; literals that take the type of what they meet. Integers are their number of bits."""


@dataclass(frozen=True)
class Part:
    """A part of an expression."""

    kind: str | int
    of: Value
    literal: Any = None


class _NotInPython(Exception):
    """A part that is left to Polars."""


def in_python(expression: Expression, schema: pa.Schema) -> Value | None:
    """Its value for a row of such a table, the same bits as `Expression.of` gives; None where a part has no equal here, or where it gives
    anything else for a row of edge cases."""
    try:
        node = json.loads(parsed(expression.sql).meta.serialize(format="json"))
        found = _part(node, schema)
    except _NotInPython:
        return None
    type_ = _TYPES.get(found.kind)
    value = partial(_plain, found.of) if found.kind == FLOAT else found.of
    return value if type_ is not None and _is_same(expression, schema, type_, value) else None


def _is_same(expression: Expression, schema: pa.Schema, type_: pa.DataType, value: Value) -> bool:
    types = {name: value_type(schema.field(name).type) for name in expression.columns}
    rows = pa.table({name: pa.array(_edges(type, number), type) for number, (name, type) in enumerate(types.items())})
    try:
        made = expression.of(rows)
    except DataError:
        return False
    return made.type == type_ and repr(made.to_pylist()) == repr([value(row) for row in rows.to_pylist()])


NUM_EDGES = 61


def _edges(type_: pa.DataType, number: int) -> list[Any]:
    """Values at which engines differ, so that those of several columns meet."""
    some: list[Any] = [None, True, False]
    if pa.types.is_floating(type_):
        some = [None, 0.0, 1.5, -0.0, math.nan, -3.7, 1e308, 5e-324, math.inf, -math.inf, 0.1, 7.3e10, 1 / 3]
    elif pa.types.is_integer(type_):
        end = 2 ** (type_.bit_width - 1)
        some = [None, 0, 1, -1, 7, 100, -end, end - 1, end // 3]
    elif not pa.types.is_boolean(type_):
        some = [None, "", "a", "A", "é", "zz"]
    return [some[(row * (number + 1) + row // len(some)) % len(some)] for row in range(NUM_EDGES)]


def _part(node: Json, schema: pa.Schema) -> Part:
    if not isinstance(node, dict) or len(node) != 1:
        raise _NotInPython
    ((what, about),) = node.items()
    make = {"Column": _column, "Literal": _literal, "BinaryExpr": _binary, "Ternary": _ternary, "Function": _function, "Cast": _cast}.get(
        what
    )
    if make is None:
        raise _NotInPython
    return make(about, schema)


def _column(name: str, schema: pa.Schema) -> Part:
    type_ = value_type(schema.field(name).type)
    kinds = {found: kind for kind, found in _TYPES.items()}
    if type_ not in kinds:
        raise _NotInPython
    read = operator.itemgetter(name)
    return Part(kinds[type_], partial(_plain, read) if type_ == pa.float64() else read)


_TYPES: dict[str | int, pa.DataType] = {
    FLOAT: pa.float64(),
    BOOL: pa.bool_(),
    TEXT: pa.string(),
    8: pa.int8(),
    16: pa.int16(),
    32: pa.int32(),
    64: pa.int64(),
}


def _plain(of: Value, row: Mapping[str, Any]) -> Any:
    value = of(row)
    return None if value != value else value


def _literal(about: Json, schema: pa.Schema) -> Part:
    ((what, value),) = about.items()
    if what == "Dyn" and set(value) == {"Int"}:
        return _always(WHOLE, value["Int"])
    kind, scalar = next(iter(value.items())) if what == "Scalar" and isinstance(value, dict) else ("", [])
    if kind == "Decimal":
        return _always(DECIMAL, scalar[0] / 10 ** scalar[2])
    if kind in ("String", "Boolean", "Null"):
        return _always({"String": TEXT, "Boolean": BOOL, "Null": NULL}[kind], None if kind == "Null" else scalar)
    raise _NotInPython


def _always(kind: str, value: Any) -> Part:
    return Part(kind, lambda row: value, value)


def _binary(about: Json, schema: pa.Schema) -> Part:
    return _joined(about["op"], _part(about["left"], schema), _part(about["right"], schema))


def _joined(op: str, one: Part, other: Part) -> Part:
    if op in ("And", "Or") and (one.kind, other.kind) == (BOOL, BOOL):
        return Part(BOOL, partial(_and if op == "And" else _or, one.of, other.of))
    if op in _ORDERS:
        return _compared(op, one, other)
    if op in ("Div", "TrueDivide"):
        return _divided(one, other)
    if op not in _SUMS:
        raise _NotInPython
    kind = _common(one, other)
    if kind == FLOAT and op == "Minus" and one.literal == 0:
        return Part(FLOAT, partial(_one, operator.neg, _float(other)))
    if kind == FLOAT:
        return Part(FLOAT, partial(_both, _SUMS[op], _float(one), _float(other)))
    if isinstance(kind, int):
        return Part(kind, partial(_wrapped, kind, partial(_both, _SUMS[op], one.of, other.of)))
    raise _NotInPython


def _common(*parts: Part) -> str | int:
    """The kind of values that are one of these, or are made of them."""
    kinds = {part.kind for part in parts if part.kind != NULL}
    if FLOAT in kinds and all(kind in (FLOAT, WHOLE, DECIMAL) or isinstance(kind, int) for kind in kinds):
        return FLOAT
    (plain, *others) = kinds - {WHOLE} or {32}
    if others or (WHOLE in kinds and not isinstance(plain, int)) or plain == DECIMAL:
        raise _NotInPython
    if isinstance(plain, int) and any(not -(2 ** (plain - 1)) <= part.literal < 2 ** (plain - 1) for part in parts if part.kind == WHOLE):
        raise _NotInPython
    return plain


def _float(part: Part) -> Value:
    if part.kind == FLOAT:
        return part.of
    if part.literal is not None:
        value = float(part.literal)
        return lambda row: value
    of = part.of
    return lambda row: None if (value := of(row)) is None else float(value)


def _divided(one: Part, other: Part) -> Part:
    kinds = {one.kind, other.kind}
    if one.literal is not None or (kinds & {BOOL, TEXT, NULL}) or (DECIMAL in kinds and FLOAT not in kinds):
        raise _NotInPython
    if other.literal is not None:
        # A chunk of several values is multiplied by the reciprocal.
        factor = _quotient(1.0, float(other.literal))
        return Part(FLOAT, partial(_both, operator.mul, _float(one), lambda row: factor))
    return Part(FLOAT, partial(_both, _quotient, _float(one), _float(other)))


def _compared(op: str, one: Part, other: Part) -> Part:
    kinds = {one.kind, other.kind}
    if kinds <= {TEXT} or kinds <= {BOOL}:
        if op not in ("Eq", "NotEq"):
            raise _NotInPython
        return Part(BOOL, partial(_both, _ORDERS[op][0], one.of, other.of))
    if FLOAT in kinds and _common(one, other) == FLOAT:
        return Part(BOOL, partial(_both, _ORDERS[op][1], _float(one), _float(other)))
    if all(isinstance(kind, int) or kind == WHOLE for kind in kinds):
        return Part(BOOL, partial(_both, _ORDERS[op][0], one.of, other.of))
    raise _NotInPython


def _ternary(about: Json, schema: pa.Schema) -> Part:
    asked, yes, no = (_part(about[name], schema) for name in ("predicate", "truthy", "falsy"))
    kind = _common(yes, no)
    if asked.kind != BOOL:
        raise _NotInPython
    first, second = (_as(part, kind) for part in (yes, no))
    condition = asked.of
    return Part(kind, lambda row: first(row) if condition(row) else second(row))


def _as(part: Part, kind: str | int) -> Value:
    return _float(part) if kind == FLOAT and part.kind != NULL else part.of


def _function(about: Json, schema: pa.Schema) -> Part:
    name, inputs = about["function"], about["input"]
    if name == {"Boolean": "IsNull"} or name == {"Boolean": "IsNotNull"}:
        of, wanted = _part(inputs[0], schema).of, name["Boolean"] == "IsNull"
        return Part(BOOL, lambda row: (of(row) is None) is wanted)
    if isinstance(name, dict) and isinstance(name.get("Sql"), dict) and "IsIn" in name["Sql"]:
        return _among(_part(inputs[0], schema), inputs[1])
    parts = [_part(one, schema) for one in inputs]
    if name == {"Boolean": "Not"} and parts[0].kind == BOOL:
        return Part(BOOL, partial(_one, operator.not_, parts[0].of))
    if name == "Coalesce":
        kind = _common(*parts)
        return Part(kind, partial(_first, tuple(_as(part, kind) for part in parts)))
    if name == "Abs" and parts[0].kind == FLOAT:
        return Part(FLOAT, partial(_one, abs, parts[0].of))
    if isinstance(name, dict) and isinstance(name.get("Sql"), dict) and "Binary" in name["Sql"]:
        return _joined(name["Sql"]["Binary"], *parts)
    raise _NotInPython


def _cast(about: Json, schema: pa.Schema) -> Part:
    part, to = _part(about["expr"], schema), about["dtype"].get("Literal") if isinstance(about["dtype"], dict) else None
    if to == "Boolean" and part.kind == BOOL:
        return part
    if to == "Float64" and (part.kind == FLOAT or isinstance(part.kind, int)):
        return Part(FLOAT, _float(part))
    raise _NotInPython


def _among(part: Part, listed: Json) -> Part:
    import io

    if part.kind != TEXT and not isinstance(part.kind, int):
        raise _NotInPython
    pl = polars()
    (found,) = pl.select(pl.Expr.deserialize(io.BytesIO(json.dumps(listed).encode()), format="json")).to_series().to_list()
    values = frozenset(found)
    if None in values:
        raise _NotInPython
    return Part(BOOL, partial(_one, values.__contains__, part.of))


def _one(function: Callable[[Any], Any], of: Value, row: Mapping[str, Any]) -> Any:
    value = of(row)
    return None if value is None else function(value)


def _both(function: Callable[[Any, Any], Any], one: Value, other: Value, row: Mapping[str, Any]) -> Any:
    first, second = one(row), other(row)
    return None if first is None or second is None else function(first, second)


def _first(parts: Sequence[Value], row: Mapping[str, Any]) -> Any:
    found: Iterator[Any] = (part(row) for part in parts)
    return next((value for value in found if value is not None), None)


def _and(one: Value, other: Value, row: Mapping[str, Any]) -> bool | None:
    first, second = one(row), other(row)
    return False if first is False or second is False else None if first is None or second is None else True


def _or(one: Value, other: Value, row: Mapping[str, Any]) -> bool | None:
    first, second = one(row), other(row)
    return True if first or second else None if first is None or second is None else False


def _wrapped(bits: int, of: Value, row: Mapping[str, Any]) -> int | None:
    value = of(row)
    return None if value is None else (value + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def _quotient(one: float, other: float) -> float:
    if other:
        return one / other
    return math.nan if not one or one != one else math.copysign(math.inf, one) * math.copysign(1.0, other)


def _rank(value: float) -> tuple[bool, float]:
    """NaN equals itself and is greater than any number."""
    return (True, 0.0) if value != value else (False, value)


def _ranked(compare: Callable[[Any, Any], bool], one: float, other: float) -> bool:
    return compare(_rank(one), _rank(other))


_SUMS = {
    "Plus": operator.add,
    "Minus": operator.sub,
    "Mul": operator.mul,
    "Multiply": operator.mul,
    "Sub": operator.sub,
    "Add": operator.add,
}
_COMPARED = {"Gt": operator.gt, "GtEq": operator.ge, "Lt": operator.lt, "LtEq": operator.le, "Eq": operator.eq, "NotEq": operator.ne}
_ORDERS = {op: (compare, partial(_ranked, compare)) for op, compare in _COMPARED.items()}
"""Each for values that have an order, and for floats."""
