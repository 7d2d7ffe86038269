"""The one pass of a transform over a fragment: read, leave rows out, transform, judge, describe and write, each once."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.contract.against import NOTHING, Against
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.examine import NUM_REFUSED, Examined, examine
from raypipe.data.contract.findings import merge
from raypipe.data.contract.reasons import Place
from raypipe.data.fragment.conform import numbered
from raypipe.data.fragment.fragment import Fragment, write_fragment, write_pieces
from raypipe.data.fragment.spans import Span, read_spans
from raypipe.data.function.fault import placed
from raypipe.data.reconcile import reconciled
from raypipe.data.rows import Item, fragment_path
from raypipe.data.statistics.kept import write_profile
from raypipe.data.statistics.profile import Profile
from raypipe.data.statistics.profile import merge as merged
from raypipe.data.transform.around import Around, as_text, fitted_to
from raypipe.data.transform.where import Where

if TYPE_CHECKING:
    from raypipe.core.store import Store
    from raypipe.data.transform.chain import FittedChain

LARGE_ROWS = 1_000_000
LARGE_BYTES = 256 << 20
"""A fragment of more rows or bytes is worked on a row group at a time: what a task needs of memory does not grow with the file."""


WAITING_BYTES = 64 << 20
"""Of rows that a contract keeps out: when there are more they are written."""


class Chained(Protocol):
    """A fitted chain on its way to a task: as data, with the source of its functions."""

    def to_json(self) -> Json: ...

    def load(self) -> FittedChain: ...


@dataclass(frozen=True)
class Done:
    """What became of a fragment."""

    fragment: Fragment
    schema: pa.Schema
    note: Json
    """`rows` that were read or left out unread, `left_out` by `where`, `dropped` and `quarantined` by the contract, its `findings`."""
    breaches: tuple[Fragment, ...] = ()
    """Rows that the contract keeps out, with their reasons."""
    refused: Fragment | None = None
    """The first rows that the contract refuses, to look at."""


def spans(
    store: Store,
    fragment: Fragment,
    columns: Sequence[str] | None,
    where: Where | None,
    part: Where | None = None,
    coded: Collection[str] = (),
) -> Iterator[Span]:
    """The rows that meet `where`: of a large fragment a row group at a time.

    Row groups that cannot hold a row of `part` are not read either; which rows are of it is left to the caller. `coded`: columns of text
    that may come as dictionaries.
    """
    tests = [w.may_hold for w in (where, part) if w is not None]
    may_hold = (lambda stats, num_rows: all(test(stats, num_rows) for test in tests)) if tests else None
    wanted = columns if columns is None or where is None else list(dict.fromkeys([*columns, *where.columns]))
    for span in read_spans(store, fragment, wanted, may_hold, by_group=is_large(fragment), coded=coded):
        yield span if where is None else where.of(span, columns)


def is_large(fragment: Fragment) -> bool:
    return fragment.num_rows > LARGE_ROWS or fragment.size > LARGE_BYTES


@dataclass(frozen=True)
class Apply:
    """A kernel: a fragment -> the fragment that it becomes. It travels to a task."""

    store: Store
    path: str
    """The folder of the attempt, relative to the store's root."""
    columns: pa.Schema
    """Of the table."""
    chained: Chained
    split: Json = None
    """The rule by which the rows are split: the chain may not change its columns."""
    where: Where | None = None
    contract: Contract | None = None
    against: Against = NOTHING
    """What the contract compares with."""
    profile: bool = False
    """Whether the rows are described as they are written."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "chain"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @cached_property
    def chain(self) -> Around:
        return Around.of(self.chained.load())

    def __call__(self, item: Item) -> Done:
        path = fragment_path(self.path, item.number)
        coded = self.chain.passes(self.columns)
        count = _Count(item.fragment, _KeptOut(self.store, path.removesuffix(".parquet"), coded), coded)
        rows = self._made(item.fragment, count)
        first = next(rows)
        schema = numbered(count.schema)
        if is_large(item.fragment):
            fragment = write_pieces(self.store, path, itertools.chain([first], rows), schema)
        else:
            fragment = write_fragment(self.store, path, first, schema)
        if self.profile:
            write_profile(self.store, fragment, merged(count.profiles), schema)
        if self.where is None:
            reconciled(item.path, item.fragment.num_live, item.fragment.num_live - count.left_out)
        return Done(fragment, count.schema, count.note(fragment.num_rows), count.kept_out.end(), count.kept_out.refused())

    def _made(self, fragment: Fragment, count: _Count) -> Iterator[pa.Table]:
        for span in spans(self.store, fragment, None, self.where, coded=count.coded):
            with placed(fragment.path, span.count):
                rows = self._transformed(span.rows)
            count.left_out -= span.rows.num_rows
            if self.contract is not None:
                fitted = fitted_to(self.contract, rows, count.coded)
                rows = count.judged(self.contract, fitted, Place(fragment.path, span.numbers), self.against)
            count.schema = as_text(rows.schema, count.coded)
            if self.profile:
                count.profiles.append(Profile.of(rows.cast(count.schema)))
            yield rows

    def _transformed(self, rows: pa.Table) -> pa.Table:
        return self.chain.apply(rows, self.split)


@dataclass
class _Count:
    """What becomes of the rows of a fragment, span after span."""

    fragment: Fragment
    kept_out: _KeptOut
    coded: Collection[str] = ()
    """Columns of text that may come as dictionaries."""
    left_out: int = field(init=False)
    quarantined: int = 0
    dropped: int = 0
    findings: list[list[Json]] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))

    def __post_init__(self) -> None:
        self.left_out = self.fragment.num_live

    def judged(self, contract: Contract, rows: pa.Table, place: Place, others: Against) -> pa.Table:
        """The rows that stay."""
        found = examine(contract, rows, place, others)
        self.findings.append(found.findings)
        self.quarantined += found.num_quarantined
        self.dropped += rows.num_rows - found.kept.num_rows - found.num_quarantined
        self.kept_out.add(found)
        return found.kept

    def note(self, num_kept: int) -> Json:
        """DataError where rows were lost on the way."""
        counts = {"rows": self.fragment.num_live, "left_out": self.left_out, "dropped": self.dropped, "quarantined": self.quarantined}
        out = {what: counts[what] for what in ("left_out", "dropped", "quarantined")}
        reconciled(self.fragment.path, self.fragment.num_live, num_kept, **out)
        return counts | {"findings": merge(self.findings)}


class _KeptOut:
    """Rows of a fragment that a contract keeps out, written as they come, and the first of those that it refuses: memory is bounded."""

    def __init__(self, store: Store, stem: str, coded: Collection[str]):
        self._store, self._stem, self._coded = store, stem, coded
        self._waiting: list[pa.Table] = []
        self._refused: list[pa.Table] = []
        self._written: list[Fragment] = []

    def add(self, found: Examined) -> None:
        self._waiting += [found.quarantined] if found.quarantined is not None else []
        if found.refused is not None and sum(rows.num_rows for rows in self._refused) < NUM_REFUSED:
            self._refused.append(found.refused)
        if sum(rows.nbytes for rows in self._waiting) >= WAITING_BYTES:
            self._write()

    def end(self) -> tuple[Fragment, ...]:
        if self._waiting:
            self._write()
        return tuple(self._written)

    def refused(self) -> Fragment | None:
        if not self._refused:
            return None
        return self._file("refused", pa.concat_tables(self._refused).slice(0, NUM_REFUSED))

    def _write(self) -> None:
        number = f"-{len(self._written):03d}" if self._written else ""
        self._written.append(self._file(f"breaches{number}", pa.concat_tables(self._waiting)))
        self._waiting = []

    def _file(self, name: str, rows: pa.Table) -> Fragment:
        return write_fragment(self._store, f"{self._stem}-{name}.parquet", rows, numbered(as_text(rows.schema, self._coded)))
