"""A chunk of items worked on by one task: each in turn, what is done handed back every now and then."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core import meter, output
from raypipe.core.errors import DataError, RaypipeError
from raypipe.core.form import Form
from raypipe.core.frame import is_end, trace
from raypipe.core.item import Item as Kept
from raypipe.core.meter import Cost
from raypipe.core.transient import is_transient
from raypipe.data.function.callee import Callee, Code, to_form
from raypipe.data.function.fault import raised
from raypipe.data.function.whole import Given
from raypipe.data.item.item import Item
from raypipe.data.item.result import Sheet, rows_of

if TYPE_CHECKING:
    from raypipe.core.store import Store

HAND_IN_S = 1.0
"""So long results are held back, so that a file has many small ones; what a kill can lose is hardly more than that and the item at work."""
HAND_IN_BYTES = 64 << 20
ERROR_CHARS = 600
"""Of an error's text."""


@dataclass(frozen=True)
class Failure:
    """An item whose function failed."""

    item: Item
    what: str
    """The error, with the place in the user's code."""
    transient: bool = False
    trace: str = ""


@dataclass(frozen=True)
class Done:
    """What a chunk has come to since it was heard of last."""

    kept: list[Kept] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    error: RaypipeError | None = None
    """What ended the chunk: no item's own fault."""
    cost: Cost = field(default_factory=Cost)
    printed: output.Lines = field(default_factory=output.Lines)


@dataclass(frozen=True)
class Mapped:
    """The function and what every item gets. It travels to tasks with the function's source."""

    code: Code
    gives: Form | None
    """What its return annotation names; None: what it returns says it."""
    types: Mapping[str, str] | None
    """The columns that it is to return, where they are declared."""
    inputs: Mapping[str, Given]
    store: Store
    path: str

    def here(self, items: list[Item]) -> Iterator[Done]:
        """In this process, which measures and hears itself."""
        chunk = _Chunk(self, deque(items))
        while chunk.left:
            yield chunk.some()

    def away(self, items: list[Item], num_gpus: float) -> Iterator[Done]:
        """In a task that has so many GPUs."""
        chunk = _Chunk(self, deque(items))
        while chunk.left:
            printed, began = output.Lines(), time.monotonic()
            with meter.task() as spent, output.heard(printed, alone=True):
                done = chunk.some()
            cost = replace(spent.cost, gpu_s=(time.monotonic() - began) * num_gpus)
            yield Done(done.kept, done.failures, done.error, cost, printed)


@dataclass
class _Chunk:
    mapped: Mapped
    left: deque[Item]
    """Emptied as its items are done, or when nothing can be done any more."""

    def some(self) -> Done:
        """The next items, as many as fit into the time until results are handed in."""
        try:
            return self._some()
        except RaypipeError as error:
            error.trace = trace(error)
            self.left.clear()
            return Done(error=error)

    def _some(self) -> Done:
        sheet, failures, until = Sheet(), [], time.monotonic() + HAND_IN_S
        num_bytes = 0
        while self.left and time.monotonic() < until and num_bytes < HAND_IN_BYTES:
            item = self.left[0]
            made = self._called.one(item)
            if isinstance(made, Failure):
                failures.append(made)
            else:
                sheet.tables.append((item.key, made))
                num_bytes += made.nbytes if made is not None else 0
            self.left.popleft()
        return Done(sheet.write(self.mapped.store, self.mapped.path), failures)

    @cached_property
    def _called(self) -> _Called:
        """Code and tables are read once a chunk."""
        from raypipe.data.fragment.together import read_fragments

        callee = self.mapped.code.load()
        given = []
        for name, table in self.mapped.inputs.items():
            rows = read_fragments(self.mapped.store, table.fragments, table.schema)
            given.append(_Table(name, table.form, rows, callee.title))
        return _Called(self.mapped, callee, given)


@dataclass(frozen=True)
class _Table:
    """A whole table as each item is handed it: what a function does to it, the next item does not see."""

    name: str
    form: Form
    rows: pa.Table
    title: str

    @cached_property
    def once(self) -> Any:
        try:
            return to_form(self.form, self.rows)
        except DataError as error:
            raise DataError(f"{self.title} takes {self.name} as {self.form}: {error}") from error

    @property
    def fresh(self) -> Any:
        again: Mapping[str, Callable[[], Any]] = {
            "numpy": lambda: dict(self.once),
            "pandas": lambda: to_form(self.form, self.rows),
            "polars": lambda: self.once.clone(),
        }
        return again.get(self.form.kind, lambda: self.once)()


@dataclass(frozen=True)
class _Called:
    mapped: Mapped
    callee: Callee
    tables: list[_Table]

    def one(self, item: Item) -> pa.Table | Failure | None:
        """The item's rows, or what went wrong with it. RaypipeError where that is no item's fault."""
        given = {table.name: table.fresh for table in self.tables}
        title = self.callee.title
        try:
            made = self.callee.function(**item.arguments, **given, **self.callee.settings)
        except (Exception, SystemExit) as error:
            if is_end(error):
                raise
            return Failure(item, _cut(raised(title, error)), is_transient(error), traceback.format_exc())
        origins = [(table.form, given[table.name], table.rows) for table in self.tables]
        try:
            return rows_of(made, self.mapped.gives, origins, item.arguments, self.mapped.types)
        except DataError as error:
            return Failure(item, _cut(f"{title} {error}"))


def _cut(text: str) -> str:
    return text if len(text) <= ERROR_CHARS else f"{text[:ERROR_CHARS]}…"
