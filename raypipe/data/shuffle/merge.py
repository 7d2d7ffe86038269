"""Aggregates in two halves: what is computed of each piece of the rows, and how the pieces' results make the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from raypipe.data.names import quoted
from raypipe.data.shuffle.engine import connected
from raypipe.data.shuffle.expression import Node, is_aggregate, renamed, replaced, text, tree

NUM_ARGUMENTS = 1
_FIRST = "{function}({0} order by raypipe_row)"
_SQUARES = "sum({0} * {1} + {0} * ({2} - {mean}) * ({2} - {mean}))"
_VARIANCE = ("count", "var_pop", "avg")
_HALVES: dict[str, tuple[tuple[str, ...], str]] = {
    "count_star": (("count_star",), "coalesce(sum({0}), 0)"),
    "count": (("count",), "coalesce(sum({0}), 0)"),
    "count_if": (("count_if",), "coalesce(sum({0}), 0)"),
    "countif": (("count_if",), "coalesce(sum({0}), 0)"),
    "sum": (("sum",), "sum({0})"),
    "fsum": (("fsum",), "fsum({0})"),
    "kahan_sum": (("fsum",), "fsum({0})"),
    "avg": (("sum", "count"), "cast(sum({0}) as double) / nullif(sum({1}), 0)"),
    "mean": (("sum", "count"), "cast(sum({0}) as double) / nullif(sum({1}), 0)"),
    "var_pop": (_VARIANCE, f"{_SQUARES} / nullif(sum({{0}}), 0)"),
    "var_samp": (_VARIANCE, f"{_SQUARES} / nullif(greatest(sum({{0}}) - 1, 0), 0)"),
    "stddev_pop": (_VARIANCE, f"sqrt({_SQUARES} / nullif(sum({{0}}), 0))"),
    "stddev_samp": (_VARIANCE, f"sqrt({_SQUARES} / nullif(greatest(sum({{0}}) - 1, 0), 0))"),
    **{name: ((name,), f"{name}({{0}})") for name in ("min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor")},
    **{name: ((name,), _FIRST.replace("{function}", name)) for name in ("first", "last", "any_value")},
}
_HALVES |= {"variance": _HALVES["var_samp"], "stddev": _HALVES["stddev_samp"]}
"""Aggregate -> the functions of a piece's half, and the whole in SQL of their columns. `mean` is the group's over all pieces.

Variances are joined as Chan, Golub and LeVeque do ("Updating formulae and a pairwise algorithm for computing sample variances", 1979), so
that nothing cancels where the mean is large.
"""


@dataclass(frozen=True)
class Halves:
    """SQL of both halves. It travels to a task."""

    partial: tuple[str, ...]
    """Of a piece's rows, the columns p0, p1, ..."""
    whole: tuple[str, ...]
    """Of the rows of all pieces' columns, one for each result."""
    means: Mapping[str, str]
    """Further columns that `whole` reads, each over the rows of a group."""


def halves(expressions: Sequence[str], columns: Mapping[str, str], empty: pa.Table) -> Halves | None:
    """None where an aggregate among them needs all rows of a group at once (a median, a count of distinct values).

    `columns` are the names that the expressions' columns have in `empty`, a table without rows.
    """
    made = _Making(columns, empty)
    try:
        whole = tuple(text(replaced(renamed(tree(sql), columns), made.half)) for sql in expressions)
    except _Apart:
        return None
    return Halves(tuple(made.partial), whole, made.means) if _binds(made.partial, empty) else None


class _Apart(Exception):
    """An aggregate that has no halves."""


class _Making:
    """The halves found so far."""

    def __init__(self, columns: Mapping[str, str], empty: pa.Table):
        self.columns, self.empty = columns, empty
        self.partial: list[str] = []
        self.means: dict[str, str] = {}

    def half(self, node: Node) -> Node | None:
        if not is_aggregate(node):
            return None
        known = _HALVES.get(node["function_name"].lower())
        if known is None or node["order_bys"]["orders"] or len(node["arguments"]) > NUM_ARGUMENTS or (node["distinct"] and _counts(node)):
            raise _Apart
        functions, whole = known
        names = [self._column({**node, "function_name": f, "qualified_name": {"path": [f]}}) for f in functions]
        mean = self._mean(*names) if functions == _VARIANCE else ""
        type_ = _type(text(node), self.empty)
        return tree(f"cast({whole.format(*names, mean=mean)} as {type_})")

    def _column(self, node: Node) -> str:
        sql = text(node)
        if sql not in self.partial:
            self.partial.append(sql)
        return f"p{self.partial.index(sql)}"

    def _mean(self, count: str, _: str, mean: str) -> str:
        name = f"m{mean}"
        self.means[name] = f"sum({count} * {mean}) over (partition by {{keys}}) / nullif(sum({count}) over (partition by {{keys}}), 0)"
        return name


def _counts(node: Node) -> bool:
    return node["function_name"].lower() not in ("min", "max", "bool_and", "bool_or", "bit_and", "bit_or")


def _type(sql: str, empty: pa.Table) -> str:
    with connected() as connection:
        connection.register("rows", empty)
        return str(connection.sql(f"select {sql} as {quoted('x')} from rows").types[0])


def _binds(partial: Sequence[str], empty: pa.Table) -> bool:
    """False for such as the average of times, whose sum there is not."""
    import duckdb

    with connected() as connection:
        connection.register("rows", empty)
        try:
            connection.sql(f"select {', '.join(partial)} from rows")
        except duckdb.Error:
            return False
    return True
