"""The intake of one piece of a source: read, made to fit, sampled, checked by the contract and written as fragments, in one pass."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.contract.against import NOTHING, Against
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.examine import NUM_REFUSED, examine
from raypipe.data.contract.findings import merge
from raypipe.data.contract.fit import fit
from raypipe.data.contract.reasons import Place
from raypipe.data.fragment.conform import numbered
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.ingest.bad import COLUMNS, rows_of
from raypipe.data.lake.target import Target
from raypipe.data.reconcile import reconciled
from raypipe.data.rows import FRAGMENT_ROWS
from raypipe.data.source.files import FilePiece, is_whole
from raypipe.data.source.piece import Bad, Batch, Piece, Source

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store

FRAGMENT_BYTES = 256 << 20
"""In memory: of wide rows a fragment has fewer than FRAGMENT_ROWS, and a task never holds more of them."""
NUM_BAD = 30
"""Unreadable records of a piece that are told."""


@dataclass(frozen=True)
class Taken:
    """What became of one piece. With `problems` it has no fragments that count."""

    piece: Piece
    fragments: tuple[Fragment, ...] = ()
    num_read: int = 0
    num_sampled: int = 0
    num_dropped: int = 0
    """Rows that the contract drops."""
    findings: list[Json] = field(default_factory=list)
    problems: tuple[str, ...] = ()
    """What is wrong with the piece, a line each: told for all pieces at once."""
    bad: tuple[Bad, ...] = ()
    """Records that cannot be read: the first NUM_BAD."""
    num_bad: int = 0
    quarantined: tuple[Fragment, ...] = ()
    """All of those records, where they are kept."""
    breaches: tuple[Fragment, ...] = ()
    """Rows that the contract keeps out, with their reasons: for the table NAME~breaches."""
    refused: Fragment | None = None
    """The first rows that break a rule with `on_breach: fail`, with their reasons: to look at."""
    is_poison: bool = False
    """With `problems`: the piece itself cannot be read, however often it is tried."""
    marks: tuple[Json, ...] = ()
    """What the source wants to know again of its batches."""

    @property
    def num_kept(self) -> int:
        return sum(fragment.num_rows for fragment in self.fragments)

    @property
    def num_breaches(self) -> int:
        return sum(fragment.num_rows for fragment in self.breaches)


@dataclass(frozen=True)
class Numbered:
    """A piece with its place among those of its batch: what travels to a task."""

    number: int
    piece: Piece

    @property
    def size(self) -> int:
        return self.piece.size

    @property
    def path(self) -> str:
        return self.piece.name


@dataclass(frozen=True)
class Intake:
    """A kernel: a piece -> what became of it. It travels to a task."""

    store: Store
    path: str
    """The folder of the attempt, relative to the store's root."""
    source: Source
    target: Target
    """The columns of the table and how its files are laid out."""
    contract: Contract | None
    sample: float = 1.0
    """Share of the rows that are taken."""
    keeps_bad: bool = False
    """Whether records that cannot be read are written too, beside the others."""
    breaches: Target | None = None
    """The same of the table NAME~breaches, where the contract keeps rows out."""
    others: Against = NOTHING
    """The tables that the contract references."""

    def __call__(self, item: Numbered) -> Taken:
        try:
            return self._taken(item)
        except DataError as error:
            return Taken(item.piece, problems=tuple(str(error).splitlines()), is_poison=_is_poison(item.piece))

    def _taken(self, item: Numbered) -> Taken:
        piece, name = item.piece, _fragment_name(item.number, item.piece.name)
        writer, beside = self._writer(name, self.target), self._writer(f"{name}-bad", Target(numbered(COLUMNS)))
        judged = _Judged(self, name, piece.name)
        num_read, num_sampled, num_bad, bad, marks = 0, 0, 0, [], []
        for batch in self._batches(piece):
            num_read += batch.rows.num_rows
            num_bad += len(batch.bad)
            bad += batch.bad[: NUM_BAD - len(bad)]
            if batch.bad and self.keeps_bad:
                beside.add(rows_of(batch.bad))
            marks += [] if batch.mark is None else [batch.mark]
            rows, place = _sampled(batch.rows, Place(piece.name, batch.numbers), self.sample)
            num_sampled += rows.num_rows
            writer.add(judged.kept(rows, place))
        kept = writer.end()
        about = (piece, kept, num_read, num_sampled, judged.num_dropped, merge(judged.findings), (), tuple(bad), num_bad, beside.end())
        taken = Taken(*about, breaches=judged.breaches.end(), refused=judged.refused(), marks=tuple(marks))
        reconciled(piece.name, num_sampled, taken.num_kept, dropped=taken.num_dropped, quarantined=taken.num_breaches)
        return taken

    def _writer(self, name: str, target: Target) -> _Writer:
        return _Writer(self.store, self.path, name, target)

    def _batches(self, piece: Piece) -> Iterator[Batch]:
        """Rows in the table's columns and types, with their numbers in the piece."""
        import numpy as np

        last = 0
        for batch in self.source.batches(piece, self._types):
            batch = Batch(batch) if isinstance(batch, pa.Table) else batch
            try:
                fitted = self._fitted(batch.rows)
            except DataError as error:
                raise DataError("\n".join(f"{piece.name}: {line}" for line in str(error).splitlines())) from None
            numbers = np.arange(last + 1, last + 1 + fitted.num_rows) if batch.numbers is None else batch.numbers
            yield replace(batch, rows=fitted, numbers=numbers)
            last += fitted.num_rows

    def _fitted(self, rows: pa.Table) -> pa.Table:
        if self.contract is not None:
            rows = self.contract.fit(rows)
            if self.contract.exact:
                return rows
        return fit(self.target.prepared(rows), self._types, "the table")

    @cached_property
    def _types(self) -> dict[str, pa.DataType]:
        return {field.name: field.type for field in self.target.bare}


def _is_poison(piece: Piece) -> bool:
    """Whether it is the piece that is at fault: a file whose bytes are all there. An object store that is silent is no poison."""
    if not isinstance(piece, FilePiece):
        return False
    try:
        return is_whole(piece)
    except DataError:
        return False


def sample_mask(path: str, rows: np.ndarray, share: float) -> np.ndarray:
    """Which rows (numbers in the file) of a file a sample takes, bool [rows]: the same ones each time, on every machine.

    Row i is taken where mix(s + i * 0x9E3779B97F4A7C15 mod 2^64) < share * 2^64, s being the first 8 bytes, big-endian, of sha256(path) and
    mix the finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    import numpy as np

    seed = np.array([int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")], dtype=np.uint64)
    x = seed + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return (x ^ (x >> np.uint64(31))) < np.uint64(int(share * 2**64))


def _fragment_name(number: int, name: str) -> str:
    """Numbered in the order of the pieces, and told by the file's name where a later contract finds something in it."""
    return f"{number:05d}-{re.sub(r'[^A-Za-z0-9._-]', '-', PurePath(name).stem)[:60]}"


def _sampled(rows: pa.Table, place: Place, share: float) -> tuple[pa.Table, Place]:
    if share >= 1:
        return rows, place
    mask = sample_mask(place.file, place.rows, share)
    return rows.filter(pa.array(mask)), Place(place.file, place.rows[mask])


class _Judged:
    """What the contract finds in a piece, batch after batch; memory is bounded by one."""

    def __init__(self, intake: Intake, name: str, piece: str):
        self._intake, self._name = intake, name
        self.findings: list[list[Json]] = []
        self.num_dropped = 0
        self.breaches = _Writer(intake.store, intake.path, f"{name}-breaches", intake.breaches or intake.target)
        self._refused: list[pa.Table] = []

    def kept(self, rows: pa.Table, place: Place) -> pa.Table:
        """The rows that go into the table."""
        if self._intake.contract is None:
            return rows
        found = examine(self._intake.contract, rows, place, self._intake.others)
        self.findings = [merge([*self.findings, found.findings])]
        self.num_dropped += len(found.mask) - int(found.mask.sum()) - found.num_quarantined
        if found.quarantined is not None:
            self.breaches.add(found.quarantined)
        if found.refused is not None and sum(r.num_rows for r in self._refused) < NUM_REFUSED:
            self._refused.append(found.refused)
        return found.kept

    def refused(self) -> Fragment | None:
        if not self._refused:
            return None
        rows = pa.concat_tables(self._refused).slice(0, NUM_REFUSED)
        return write_fragment(self._intake.store, f"{self._intake.path}/{self._name}-refused.parquet", rows)


class _Writer:
    """Collects rows and writes a fragment when there are enough: memory is bounded by one. No rows make no fragment."""

    def __init__(self, store: Store, path: str, name: str, target: Target):
        self._store, self._path, self._name, self._target = store, path, name, target
        self._waiting: list[pa.Table] = []
        self._num_waiting = self._num_written = self._waiting_bytes = 0
        self._fragments: list[Fragment] = []

    def add(self, rows: pa.Table) -> None:
        if rows.num_rows:
            self._waiting.append(rows)
            self._num_waiting += rows.num_rows
            self._waiting_bytes += rows.nbytes
        if self._num_waiting >= FRAGMENT_ROWS or self._waiting_bytes >= FRAGMENT_BYTES:
            self._write()

    def end(self) -> tuple[Fragment, ...]:
        if self._waiting:
            self._write()
        return tuple(self._fragments)

    def _write(self) -> None:
        rows = pa.concat_tables(self._waiting)
        self._waiting, self._num_waiting, self._waiting_bytes = [], 0, 0
        name = f"{self._name}-{self._num_written:03d}" if self._num_written else self._name
        self._fragments += self._target.write(self._store, self._path, name, rows)
        self._num_written += 1
