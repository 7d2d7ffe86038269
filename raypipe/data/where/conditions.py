"""Conditions as text: `region = 'eu' and at >= '2026-01-01T00:00:00Z'`, the part of SQL that files can be chosen by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from raypipe.core.errors import DataError

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
OPERATORS = (*COMPARISONS, "in", "not in", "is null", "is not null")
SYNONYMS = {"==": "=", "<>": "!="}

Condition = tuple[str, str, Any]
"""Column, operator, value; the value of `in` is a list, that of `is null` None."""


def parsed(text: str) -> Iterator[Condition]:
    """The conditions, each of which must hold. DataError with what was found in the place of what.

    >>> list(parsed("a = 1 and \"b c\" in ('x', 'it''s') and d is not null"))
    [('a', '=', 1), ('b c', 'in', ['x', "it's"]), ('d', 'is not null', None)]
    """
    tokens = _Tokens(text)
    yield tokens.condition()
    while not tokens.at_end:
        tokens.word("and")
        yield tokens.condition()


_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")+")|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"""
    r"""|(?P<op><=|>=|<>|!=|==|=|<|>)|(?P<sign>[(),])|(?P<word>[^\W\d]\w*))""",
)


class _Tokens:
    """The words of a condition, one after another."""

    def __init__(self, text: str):
        self._text, self._place = text, 0

    @property
    def at_end(self) -> bool:
        return not self._text[self._place :].strip()

    def condition(self) -> Condition:
        kind, column = self._next("a column")
        if kind not in ("word", "quoted"):
            raise self._error(f"found {column!r}, expected a column")
        kind, op = self._next("an operator")
        if kind == "op":
            return str(column), SYNONYMS.get(str(op), str(op)), self._literal()
        word = str(op).lower()
        if word == "is":
            negated = self._take("not")
            self.word("null")
            return str(column), "is not null" if negated else "is null", None
        if word == "not":
            self.word("in")
            return str(column), "not in", self._list()
        if word == "in":
            return str(column), "in", self._list()
        raise self._error(f"found {op!r} after {column!r}, expected one of {', '.join(OPERATORS)}")

    def word(self, expected: str) -> None:
        kind, found = self._next(f"`{expected}`")
        if kind != "word" or str(found).lower() != expected:
            raise self._error(f"found {found!r}, expected `{expected}`")

    def _list(self) -> list[Any]:
        if self._next("`(`")[1] != "(":
            raise self._error("expected a list of values in brackets after `in`")
        values = [self._literal()]
        while (sign := self._next("`,` or `)`")[1]) == ",":
            values.append(self._literal())
        if sign != ")":
            raise self._error(f"found {sign!r}, expected `,` or `)`")
        return values

    def _literal(self) -> Any:
        kind, found = self._next("a value")
        if kind in ("text", "number"):
            return found
        word = str(found).lower()
        if kind == "word" and word in ("true", "false", "null"):
            return None if word == "null" else word == "true"
        raise self._error(f"found {found!r}, expected a number, true, false or text in single quotes")

    def _take(self, word: str) -> bool:
        place = self._place
        if not self.at_end and str(self._next("")[1]).lower() == word:
            return True
        self._place = place
        return False

    def _next(self, expected: str) -> tuple[str, Any]:
        match = _TOKEN.match(self._text, self._place)
        if not match:
            found = self._text[self._place :].strip()[:20]
            raise self._error(f"found {found!r}, expected {expected}" if found else f"it ends where {expected} should stand")
        self._place = match.end()
        kind, token = cast(str, match.lastgroup), match[cast(str, match.lastgroup)]
        if kind == "text":
            return kind, token[1:-1].replace("''", "'")
        if kind == "quoted":
            return kind, token[1:-1].replace('""', '"')
        return kind, _number(token) if kind == "number" else token

    def _error(self, what: str) -> DataError:
        form = "Conditions are `column op value` joined by `and`; for `or` and functions use raypipe tables sql"
        return DataError(f"where: {self._text!r}: {what}. {form}")


def _number(token: str) -> int | float:
    return int(token) if re.fullmatch(r"[-+]?\d+", token) else float(token)
