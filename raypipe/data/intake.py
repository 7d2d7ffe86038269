"""The intake of one file: read, made to fit, sampled, checked by the contract and written as fragments, in one pass."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.contract import Contract, fit
from raypipe.data.findings import Place, examine, merge
from raypipe.data.fragment import Fragment, write_fragment
from raypipe.data.rows import FRAGMENT_ROWS
from raypipe.data.source.files import Source, SourceFile, read_batches

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store


@dataclass(frozen=True)
class Taken:
    """What became of one file. With `problems` it has no fragments that count."""

    file: SourceFile
    fragments: tuple[Fragment, ...] = ()
    num_read: int = 0
    num_sampled: int = 0
    findings: list[Json] = field(default_factory=list)
    problems: tuple[str, ...] = ()
    """What is wrong with the file, a line each: told for all files at once."""

    @property
    def num_kept(self) -> int:
        return sum(fragment.num_rows for fragment in self.fragments)


@dataclass(frozen=True)
class Intake:
    """A kernel: the number of a file and the file -> what became of it. It travels to a task."""

    store: Store
    path: str
    """The folder of the attempt, relative to the store's root."""
    source: Source
    types: Mapping[str, pa.DataType]
    """The columns of the table, in order."""
    contract: Contract | None
    project_path: Path
    sample: float = 1.0
    """Share of the rows that are taken."""

    def __call__(self, item: tuple[int, SourceFile]) -> Taken:
        number, file = item
        try:
            return self._taken(number, file)
        except DataError as error:
            return Taken(file, problems=tuple(str(error).splitlines()))

    def _taken(self, number: int, file: SourceFile) -> Taken:
        writer = _Writer(self.store, f"{self.path}/{_fragment_name(number, file.path)}")
        num_read, num_sampled, found = 0, 0, []
        for rows, place in self._pieces(file):
            num_read += len(place.rows)
            rows, place = _sampled(rows, place, self.sample)
            num_sampled += rows.num_rows
            if self.contract is not None:
                rows, _, findings = examine(self.contract, rows, place)
                found.append(findings)
            writer.add(rows)
        return Taken(file, writer.end(), num_read, num_sampled, merge(found))

    def _pieces(self, file: SourceFile) -> Iterator[tuple[pa.Table, Place]]:
        """Rows in the table's columns and types, with their numbers in the file, counted from 1."""
        import numpy as np

        last = 0
        for rows in read_batches(self.source, self.project_path, file, self.types):
            try:
                fitted = self._fitted(rows)
            except DataError as error:
                raise DataError("\n".join(f"{file.path}: {line}" for line in str(error).splitlines())) from None
            yield fitted, Place(file.path, np.arange(last + 1, last + 1 + rows.num_rows))
            last += rows.num_rows

    def _fitted(self, rows: pa.Table) -> pa.Table:
        if self.contract is not None:
            rows = self.contract.fit(rows)
            if self.contract.exact:
                return rows
        return fit(rows, self.types, "the table")


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


def _fragment_name(number: int, path: str) -> str:
    """Numbered in the order of the files, and told by the file's name where a later contract finds something in it."""
    return f"{number:05d}-{re.sub(r'[^A-Za-z0-9._-]', '-', Path(path).stem)[:60]}"


def _sampled(rows: pa.Table, place: Place, share: float) -> tuple[pa.Table, Place]:
    if share >= 1:
        return rows, place
    mask = sample_mask(place.file, place.rows, share)
    return rows.filter(pa.array(mask)), Place(place.file, place.rows[mask])


class _Writer:
    """Collects rows and writes a fragment when there are enough: memory is bounded by one. No rows make no fragment."""

    def __init__(self, store: Store, path: str):
        self._store, self._path = store, path
        self._waiting: list[pa.Table] = []
        self._num_waiting = 0
        self._fragments: list[Fragment] = []

    def add(self, rows: pa.Table) -> None:
        if rows.num_rows:
            self._waiting.append(rows)
            self._num_waiting += rows.num_rows
        if self._num_waiting >= FRAGMENT_ROWS:
            self._write()

    def end(self) -> tuple[Fragment, ...]:
        if self._waiting:
            self._write()
        return tuple(self._fragments)

    def _write(self) -> None:
        table: Any = pa.concat_tables(self._waiting)
        self._waiting, self._num_waiting = [], 0
        self._fragments.append(write_fragment(self._store, f"{self._path}-{len(self._fragments):03d}.parquet", table))
