"""A whole SELECT as an entry of a chain: taken apart into columns that are made, columns that go on, and rows that are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from raypipe.core.errors import DataError, Problem, nearest
from raypipe.core.step import Columns
from raypipe.data.expression import Expression
from raypipe.data.select import Selected, selected
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.entry import Drop, Entry, Select
from raypipe.data.transform.flow import columns_after
from raypipe.data.transform.function import Function
from raypipe.data.transform.where import can_prune
from raypipe.data.transform.where import problems as condition_problems


@dataclass(frozen=True)
class Query:
    """A SELECT over the rows that come into the entry: `select * exclude (raw), raw / 2 as half from rows where raw > 0`.

    Row by row: columns, `*` with `exclude` and `replace`, expressions `as` a name, and `where`. Expressions are Derive's, with its engine
    and the same bits for a table and a request; a computed column takes the place of one of its name. Columns that are only named keep
    type and values. Rows that do not meet `where` are left out of the table and counted; a request is not asked. It reads nothing but rows.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("polars",)

    sql: str
    """The SELECT, from the table `rows`."""

    def problems(self) -> list[str]:
        if not isinstance(self.sql, str):
            return [f"sql: found {self.sql!r}, expected a SELECT as text"]
        try:
            found = selected(self.sql)
        except DataError as error:
            return [f"sql: {error}"]
        texts = [*found.computes.values(), *([found.where] if found.where is not None else [])]
        return [f"sql: {text}" for sql in texts for text in Expression(sql).problems()]

    def entries(self, name: str) -> dict[str, Entry]:
        """What it does to columns, as entries under its name. It has no problems."""
        found = selected(self.sql)
        made: dict[str, Entry] = {name: Derive(found.computes)} if found.computes else {}
        names = f"{name}: columns" if made else name
        if found.keeps is not None:
            made[names] = Select(list(found.keeps))
        elif found.without:
            made[names] = Drop(list(found.without))
        return made

    @property
    def where(self) -> str | None:
        return self._selected().where

    def _selected(self) -> Selected:
        return Selected() if self.problems() else selected(self.sql)


def without_queries(entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with those in the place of each Query that it consists of; one with problems stays, to be told."""
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        found |= entry.entries(name) if isinstance(entry, Query) and not entry.problems() else {name: entry}
    return found


def condition(where: str | None, entries: Mapping[str, Any]) -> str | None:
    """`where` of a step and of its queries, as one condition on the rows of its input; None where every row stays."""
    texts = [where] if where is not None else []
    texts += [entry.where for entry in entries.values() if isinstance(entry, Query) and entry.where is not None]
    if len(texts) < 2:
        return texts[0] if texts else None
    # Without brackets where they can be held against statistics.
    return " and ".join(texts if all(map(can_prune, texts)) else [f"({text})" for text in texts])


def problems(entries: Mapping[str, Any], columns: Columns, where: str) -> list[Problem]:
    """What is wrong with a `where` in a query: rows are left out before the chain, so that it may read what no entry in front has made, and
    only where none in front learns."""
    found = []
    for name, entry in entries.items():
        if isinstance(entry, Query) and entry.where is not None:
            before = dict(_until(entries, name))
            texts = _wrong(entry.where, before, columns) or condition_problems(entry.where, columns)
            found += [Problem(f"{where}.{name}", f"sql: where: {text}") for text in texts]
    return found


def _until(entries: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    for other, entry in entries.items():
        if other == name:
            return
        yield other, entry


def _wrong(where: str, before: Mapping[str, Any], columns: Columns) -> list[str]:
    plain = without_queries(before)
    advice = "Put the condition into the step's `where`, or the query in front"
    if learning := [name for name, entry in plain.items() if not isinstance(entry, Query) and entry.learns()]:
        return [f"rows are left out before '{learning[0]}', which stands in front and learns, sees any. {advice}"]
    reads = Expression(where).columns
    if moved := [name for name in reads if any(_writes(entry, name) for entry in plain.values())]:
        return [f"column '{moved[0]}' is made by an entry in front, and rows are left out before the chain. {advice}"]
    after = columns_after({n: e for n, e in plain.items() if not isinstance(e, Query)}, columns).names
    gone = [name for name in reads if after is not None and name not in after]
    return [f"no column '{name}'.{nearest(name, after or ())}" for name in gone]


def _writes(entry: Entry, name: str) -> bool:
    if isinstance(entry, Derive):
        return name in entry.columns
    if isinstance(entry, Select | Drop | Query):
        return False
    made: Sequence[str] = [n for names in entry.made().values() for n in names] if hasattr(entry, "made") else []  # type: ignore[attr-defined]
    return isinstance(entry, Function) or name in made or name in (entry.reads() or ())
