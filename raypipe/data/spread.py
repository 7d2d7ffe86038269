"""An expression whose bits hang on its own row alone, whatever the other rows of a batch are."""

from __future__ import annotations

import io
import json
from typing import Any

from raypipe.core.artifact import Json

MARK = "raypipe.spread"
"""A column that is true in the rows that are asked about, and false in one more behind them."""


def spread(expression: Any) -> Any:
    """The expression with each part that Polars may compute as one value for all rows spread over them: then it reads `MARK` too.

    Where all rows of a batch take one branch, `x / (case when k then 3 else 7 end)` is `x / 3` to Polars, which multiplies by a
    reciprocal, and `coalesce(a, 0) - x` is `-x`, the sign of whose zero is another; `coalesce(7, n)` is one row. A condition that is true
    of some rows and false of others (the one more) makes a column of such a part.
    """
    import polars as pl

    node = json.loads(expression.meta.serialize(format="json"))
    made = _long(node)
    return expression if made == node else pl.Expr.deserialize(io.BytesIO(json.dumps(made).encode()), format="json")


def _long(node: Json) -> Json:
    """With a value for each row, be they held as one."""
    made = _inside(node)
    return _spread(made) if _reads(node) and not _is_long(node) else made


def _column(node: Json) -> Json:
    """With a column of values, never held as one."""
    made = _inside(node)
    return _spread(made) if _reads(node) and not _is_column(node) else made


def _inside(node: Json) -> Json:
    """The node with its parts as it must find them."""
    ((what, about),) = node.items()
    if what == "Cast":
        return {what: about | {"expr": _inside(about["expr"])}}
    if what == "Ternary":
        return {what: {name: _long(part) if name == "predicate" else _inside(part) for name, part in about.items()}}
    if what == "BinaryExpr":
        sides = (about["left"], about["right"])
        how = _inside if about["op"] in _SAME and any(map(_is_column, sides)) else _column
        return {what: about | {"left": how(sides[0]), "right": how(sides[1])}}
    if what == "Function":
        how = _inside if about["function"] in _CHOICES else _column
        return {what: about | {"input": [how(part) for part in about["input"]]}}
    return node


def _is_column(node: Json) -> bool:
    """Whether it is never one value to Polars, its parts being as `_inside` has them."""
    ((what, about),) = node.items()
    if what == "Cast":
        return _is_column(about["expr"])
    if what == "BinaryExpr":
        return _reads(node)
    if what == "Function" and about["function"] not in _CHOICES:
        return _reads(node)
    return what == "Column"


def _is_long(node: Json) -> bool:
    """Whether there is a value for each row."""
    ((what, about),) = node.items()
    if what == "Cast":
        return _is_long(about["expr"])
    if what == "Ternary":
        return _reads(about["predicate"])
    if what == "Function" and about["function"] in _CHOICES:
        return _is_long(about["input"][0])
    return _is_column(node)


def _spread(node: Json) -> Json:
    return {"Ternary": {"predicate": {"Column": MARK}, "truthy": node, "falsy": {"Literal": {"Scalar": {"Null": "Null"}}}}}


def _reads(node: Any) -> bool:
    """Whether it reads a column."""
    if isinstance(node, list):
        return any(map(_reads, node))
    return isinstance(node, dict) and "Literal" not in node and ("Column" in node or any(map(_reads, node.values())))


_CHOICES = ("Coalesce", "FillNull")
"""Functions that hand on one of their inputs as it is."""
_SAME = {"Eq", "NotEq", "EqValidity", "NotEqValidity", "Lt", "LtEq", "Gt", "GtEq", "And", "Or", "Xor", "LogicalAnd", "LogicalOr"}
"""Operators whose result is the same for one value as for a column of it."""
