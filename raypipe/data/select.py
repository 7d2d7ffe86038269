"""A SELECT over rows alone, taken apart: which columns it keeps, which it computes, which rows it is about. Nothing is run for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from raypipe.core.errors import DataError

TABLE = "rows"
"""The one table that such a SELECT is from."""


@dataclass(frozen=True)
class Selected:
    """What stands in a SELECT."""

    keeps: tuple[str, ...] | None = None
    """The columns that go on, in order; None: all but `without`, and what is computed behind them."""
    without: tuple[str, ...] = ()
    """After a star: columns that do not go on."""
    computes: dict[str, str] = field(default_factory=dict)
    """Name -> expression."""
    where: str | None = None


def selected(sql: str) -> Selected:
    """DataError with what in it is not row by row, or not to be understood.

    >>> selected("select * exclude (b), a / b as ratio from rows where b > 0")
    Selected(keeps=None, without=('b',), computes={'ratio': 'a / b'}, where='b > 0')
    """
    text = _Text(sql)
    if text.word(0) == "with" or any(t.word == "select" for t in text.tokens[1:]):
        raise DataError(f"a SELECT inside of another looks at more than a row: expected one `select ... from {TABLE}`")
    if text.word(0) != "select":
        raise DataError(f"found {sql[:30]!r}, expected `select ... from {TABLE}`")
    start = next((i for i in text.at_top("from") if text.word(i - 1) != "distinct" or i == 2), None)
    if start is None:
        raise DataError(f"expected `from {TABLE}`: {TABLE} is the name of what comes into the entry")
    end = next(iter(i for i in text.at_top("where") if i > start), None)
    last = len(text.tokens)
    _refuse(text, start + 1, last)
    _refuse_other_table(text, start + 1, last if end is None else end)
    where = None if end is None else text.between(end + 1, last)
    if where == "":
        raise DataError("nothing stands behind `where`, expected a condition")
    return _listed(text, start, where)


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int
    depth: int
    """How many brackets are open around it."""

    @property
    def word(self) -> str:
        """In small letters; of what is quoted nothing, since it is no word of SQL's."""
        return self.text.lower() if self.text[0].isalpha() or self.text[0] == "_" else ""

    @property
    def name(self) -> str | None:
        """Of a column, where it may be one."""
        if self.text[0] in '"`':
            return self.text[1:-1].replace(self.text[0] * 2, self.text[0])
        return self.text if self.word else None


_TOKEN = re.compile(r"""\s+|--[^\n]*|/\*.*?\*/|('(?:[^']|'')*'|"(?:[^"]|"")+"|`[^`]+`|[^\W\d]\w*|[\d.]+\w*|.)""", re.DOTALL)
OPENING, CLOSING = "([{", ")]}"


class _Text:
    """The words of a text, and what stands between two of them."""

    def __init__(self, sql: str):
        self.sql = sql.rstrip().removesuffix(";")
        self.tokens = list(self._read())

    def _read(self) -> Iterator[_Token]:
        depth = 0
        for match in _TOKEN.finditer(self.sql):
            if match[1] is None:
                continue
            depth -= match[1] in CLOSING
            yield _Token(match[1], match.start(1), match.end(1), depth)
            depth += match[1] in OPENING

    def word(self, place: int) -> str:
        return self.tokens[place].word if 0 <= place < len(self.tokens) else ""

    def at_top(self, word: str) -> list[int]:
        return [i for i, token in enumerate(self.tokens) if token.depth == 0 and token.word == word]

    def between(self, start: int, end: int) -> str:
        """As it is written, from one word to before another."""
        return self.sql[self.tokens[start].start : self.tokens[end - 1].end] if start < end else ""


_JOIN = "a join is a step of its own, raypipe.Join"
_SET = "it puts tables together, and there is one"
_PLACE = "which rows they are hangs on the others"
_GROUP = "groups are of many rows: that is a step of its own, raypipe.Aggregate"
REASONS = {
    "group": _GROUP,
    "having": _GROUP,
    "order": "rows keep their order here: that is a step of its own, raypipe.Sort",
    "limit": _PLACE,
    "offset": _PLACE,
    "fetch": _PLACE,
    "sample": _PLACE,
    "tablesample": _PLACE,
    "union": _SET,
    "intersect": _SET,
    "except": _SET,
    "window": "windows look at other rows: that is a step of its own, raypipe.Window",
    "qualify": "windows look at other rows: that is a step of its own, raypipe.Window",
    "join": _JOIN,
}
_DISTINCT = "`distinct` is not row by row: it compares rows, which is a step of its own, raypipe.Distinct"


def _refuse(text: _Text, start: int, end: int) -> None:
    for token in text.tokens[start:end]:
        if token.depth == 0 and token.word in REASONS:
            hint = f'a column of that name is written "{token.text}"'
            raise DataError(f"`{token.text}` is not row by row: {REASONS[token.word]} ({hint})")


def _refuse_other_table(text: _Text, start: int, end: int) -> None:
    found = text.between(start, end)
    if len(text.tokens[start:end]) == 1 and text.tokens[start].name == TABLE:
        return
    if "," in (t.text for t in text.tokens[start:end] if t.depth == 0):
        raise DataError(f"`from {found}` is not row by row: {_JOIN}")
    raise DataError(f"`from {found}`: a SELECT here reads {TABLE}, what comes into the entry, and nothing else: expected `from {TABLE}`")


def _listed(text: _Text, end: int, where: str | None) -> Selected:
    """What stands between `select` and `from`."""
    keeps: list[str] = []
    computes: dict[str, str] = {}
    without: tuple[str, ...] | None = None
    for number, (start, stop) in enumerate(_items(text, 1, end)):
        if text.word(start) == "distinct" and number == 0:
            raise DataError(_DISTINCT)
        if text.tokens[start].text == "*":
            if number:
                raise DataError("a star stands first, and once")
            without, replaced = _star(text, start + 1, stop)
            computes |= replaced
            continue
        name, sql = _item(text, start, stop)
        if name in keeps or (without is not None and sql is None):
            raise DataError(f"column '{name}' would be there twice")
        keeps.append(name)
        computes |= {} if sql is None else {name: sql}
    if without is None:
        return Selected(tuple(keeps), (), computes, where)
    return Selected(None, tuple(name for name in without if name not in computes), computes, where)


def _items(text: _Text, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where what commas part begins and ends."""
    for i in range(start, end + 1):
        if i == end or (text.tokens[i].text == "," and text.tokens[i].depth == 0):
            if i == start:
                raise DataError("a column or an expression is missing between `select` and `from`")
            yield start, i
            start = i + 1


def _item(text: _Text, start: int, end: int) -> tuple[str, str | None]:
    """The name of a column, and the expression that makes it, if it is not as it was."""
    tokens, found = text.tokens[start:end], text.between(start, end)
    first, last = tokens[0].name, tokens[-1].name
    if len(tokens) == 1 and first is not None:
        return first, None
    if len(tokens) > 2 and text.word(end - 2) == "as" and tokens[-1].depth == 0 and last is not None:
        return last, (text.between(start, end - 2) if len(tokens) > 3 or first != last else None)
    raise DataError(f"`{found}` has no name: write `{found} as NAME`")


def _star(text: _Text, start: int, end: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """What `* exclude (a, b) replace (c / 2 as c)` leaves out and makes anew."""
    without, replaced = [], {}
    while start < end:
        word = text.word(start)
        close = next((i for i in range(start + 1, end) if text.tokens[i].text == ")" and text.tokens[i].depth == 0), None)
        if word not in ("exclude", "except", "replace") or close is None or text.tokens[start + 1].text != "(":
            found = text.between(start, end)
            raise DataError(f"`* {found}`: expected `* exclude (a, b)` or `* replace (a / 2 as a)`")
        inner = _Text(text.between(start + 2, close))
        named = [_item(inner, *span) for span in _items(inner, 0, len(inner.tokens))]
        if word == "replace":
            replaced |= {name: sql for name, sql in named if sql is not None}
        elif wrong := [sql for _, sql in named if sql is not None]:
            raise DataError(f"`* {word} ({wrong[0]} ...)`: expected names of columns")
        else:
            without += [name for name, _ in named]
        start = close + 1
    return tuple(without), replaced
