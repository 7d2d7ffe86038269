"""By what rows are ordered: `at`, `at desc`, `at desc nulls first`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raypipe.core.errors import nearest


@dataclass(frozen=True)
class Order:
    """One column to order by. Missing values come last unless `nulls first` is said; NaN is greater than any number."""

    column: str
    descending: bool = False
    nulls_first: bool = False

    def sql(self, name: str, backwards: bool = False) -> str:
        direction = "desc" if self.descending != backwards else "asc"
        return f"{name} {direction} nulls {'first' if self.nulls_first != backwards else 'last'}"


def order(text: str) -> Order:
    """The setting's text as an Order; a name may hold spaces.

    >>> order("at desc"), order("dep delay nulls first")
    (Order(column='at', descending=True, nulls_first=False), Order(column='dep delay', descending=False, nulls_first=True))
    """
    match = re.fullmatch(r"(.+?)(?:\s+(asc|desc))?(?:\s+nulls\s+(first|last))?", text.strip(), re.IGNORECASE | re.DOTALL)
    assert match is not None, "problems() was asked before"
    name, direction, nulls = match.groups()
    return Order(name, (direction or "").lower() == "desc", (nulls or "").lower() == "first")


def problems(orders: Any, key: str, names: Sequence[str] | None) -> list[str]:
    """What is wrong with a setting that should be a list of such texts."""
    if isinstance(orders, str):
        return [f"{key} is the text '{orders}', expected a list: {key}: [{orders}]"]
    if not isinstance(orders, list | tuple) or not all(isinstance(text, str) and text.strip() for text in orders):
        return [f"{key} is {orders!r}, expected a list such as [at, 'distance desc']"]
    columns = [order(text).column for text in orders]
    wrong = [f"{key} names '{name}' twice" for name in sorted({n for n in columns if columns.count(n) > 1})]
    return wrong + [f"{key}: there is no column '{n}'.{nearest(n, names)}" for n in columns if names is not None and n not in names]
