"""Rows dealt to buckets: each task writes one file with its rows in the order of their buckets, and others read their own from all files.

Why not Ray Data's shuffles (2.60): over ten million rows they took 4.1 to 6 times the CPU seconds of this (group-by, join, sort; one
round of benchmarks/shuffle.py on two cores). And here the order in which rows meet is ours to fix: their fragments'.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import StoreError
from raypipe.data.fragment.conform import stacked, taken
from raypipe.data.fragment.fragment import Fragment, read_fragment, read_row_groups

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store

PIECE_ROWS = 500_000
"""Rows that a task holds at once of a fragment, however large it is."""
BUCKET_BYTES = 8 << 20
"""What a bucket should hold, as estimated before: several are worked on together."""
PARTITION_BYTES = 64 << 20
"""Buckets are worked on together up to so many bytes: their kernel takes a few times that."""
SMALL_BYTES = 64 << 20
"""Inputs below are worked on by one task: nothing is dealt."""
MAX_BUCKETS = 4096


@dataclass(frozen=True)
class Dealt:
    """A file of rows in the order of their buckets, a run for each piece that was dealt. It travels instead of the rows."""

    path: str
    offsets: np.ndarray
    """int64 [pieces, buckets + 1]: where a bucket's bytes begin in the file, and end."""
    num_rows: np.ndarray
    """int64 [pieces, buckets]."""
    checksums: np.ndarray
    """uint32 [pieces, buckets]: the zlib.crc32 of the bytes."""

    @property
    def sizes(self) -> np.ndarray:
        """Bytes by bucket, int64 [buckets]."""
        import numpy as np

        return np.diff(self.offsets, axis=1).sum(axis=0)

    def of(self, first: int, last: int) -> Dealt:
        """What a reader of the buckets from `first` to before `last` needs to know."""
        return Dealt(self.path, self.offsets[:, first : last + 1], self.num_rows[:, first:last], self.checksums[:, first:last])


def deal(store: Store, path: str, num_buckets: int, pieces: Iterable[tuple[pa.Table, np.ndarray]]) -> Dealt:
    """Writes rows with the bucket of each. Rows of a bucket stay in their order. Nothing is synced: the file is of no use after a crash."""
    import numpy as np

    offsets, num_rows, checksums = [], [], []
    with _created(store, path) as sink:
        for rows, buckets in pieces:
            ordered, ends = _in_order(rows, buckets, num_buckets)
            starts, sums = [sink.tell()], []
            for first, last in itertools.pairwise(ends.tolist()):
                data = _encoded(ordered.slice(first, last - first)) if last > first else b""
                sink.write(data)
                sums.append(zlib.crc32(data))
                starts.append(sink.tell())
            offsets.append(starts)
            num_rows.append(np.diff(ends))
            checksums.append(sums)
    num = len(offsets)
    found = (np.array(offsets, np.int64).reshape(num, num_buckets + 1), np.array(num_rows, np.int64).reshape(num, num_buckets))
    return Dealt(path, *found, np.array(checksums, np.uint32).reshape(num, num_buckets))


def _in_order(rows: pa.Table, buckets: np.ndarray, num_buckets: int) -> tuple[pa.Table, np.ndarray]:
    """The rows by bucket, and where each bucket begins and the last one ends."""
    import numpy as np

    if not (buckets[1:] >= buckets[:-1]).all():
        order = np.argsort(buckets, kind="stable")
        rows, buckets = taken(rows.combine_chunks(), pa.array(order)), buckets[order]
    return rows, np.searchsorted(buckets, np.arange(num_buckets + 1))


def collect(store: Store, dealt: Sequence[Dealt]) -> pa.Table | None:
    """The rows of these buckets, a file and a piece after another; None where there are none. StoreError where bytes are others."""
    found = [rows for part in dealt for rows in runs(store, part)]
    return stacked(found) if found else None


def runs(store: Store, dealt: Dealt) -> Iterator[pa.Table]:
    """The rows of its buckets, a piece's bucket after another."""
    if not dealt.num_rows.any():
        return
    filesystem, path = store.filesystem(dealt.path)
    try:
        with filesystem.open_input_file(path) as source:
            for starts, sums in zip(dealt.offsets, dealt.checksums, strict=True):
                # One read for all buckets of a piece, which lie side by side.
                whole = source.read_at(int(starts[-1] - starts[0]), int(starts[0])) if starts[-1] > starts[0] else b""
                for first, last, checksum in zip(starts[:-1] - starts[0], starts[1:] - starts[0], sums, strict=True):
                    if last > first:
                        yield _decoded(dealt.path, memoryview(whole)[first:last], last - first, checksum)
    except OSError as error:
        raise StoreError(f"{dealt.path}: rows in exchange cannot be read back: {error}") from error


def clear(store: Store, dealt: Iterable[Dealt]) -> None:
    """Deletes the files: no record ever named them. What a crash leaves is left to `raypipe gc`."""
    for part in dealt:
        store.remove(part.path)


def pieces(store: Store, fragment: Fragment, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Its rows in pieces of PIECE_ROWS, the last one shorter; a fragment of no rows is one empty piece."""
    if fragment.num_live <= PIECE_ROWS:
        yield read_fragment(store, fragment, columns)
        return
    held: list[pa.Table] = []
    for group in read_row_groups(store, fragment, columns):
        held.append(group)
        while sum(rows.num_rows for rows in held) >= PIECE_ROWS:
            whole = stacked(held)
            yield whole.slice(0, PIECE_ROWS)
            held = [whole.slice(PIECE_ROWS)] if whole.num_rows > PIECE_ROWS else []
    if held:
        yield stacked(held)


def num_pieces(fragment: Fragment) -> int:
    return max(1, -(-fragment.num_live // PIECE_ROWS))


def num_buckets(estimated_bytes: int) -> int:
    return max(1, min(MAX_BUCKETS, -(-estimated_bytes // BUCKET_BYTES)))


def partitions(sizes: np.ndarray) -> list[tuple[int, int]]:
    """Neighbouring buckets that are worked on together: from which one to before which, by the bytes of each alone."""
    made: list[tuple[int, int]] = []
    first, filled = 0, 0
    for bucket, size in enumerate(sizes.tolist()):
        if size and bucket > first and filled + size > PARTITION_BYTES:
            made.append((first, bucket))
            first, filled = bucket, 0
        filled += size
    return [*made, (first, len(sizes))]


def by_bytes(dealt: Sequence[Dealt]) -> list[tuple[Dealt, ...]]:
    """Files in their order, put together up to PARTITION_BYTES."""
    made: list[tuple[Dealt, ...]] = []
    filled = 0
    for part in dealt:
        size = int(part.sizes.sum())
        if not made or filled + size > PARTITION_BYTES:
            made.append(())
            filled = 0
        made[-1] = (*made[-1], part)
        filled += size
    return made or [()]


def estimated_bytes(fragments: Sequence[Fragment], schema: pa.Schema) -> int:
    """What rows of these columns take in memory, about: text and lists are taken for 32 bytes a value."""
    width = sum(type_.bit_width / 8 if _has_width(type_) else 32 for type_ in schema.types)
    return int(width * sum(fragment.num_live for fragment in fragments))


def _has_width(type_: Any) -> bool:
    try:
        return type_.bit_width > 0
    except ValueError:
        return False


def _created(store: Store, path: str) -> Any:
    filesystem, full = store.filesystem(path)
    filesystem.create_dir(full.rpartition("/")[0], recursive=True)
    return filesystem.open_output_stream(full)


def _encoded(rows: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return memoryview(sink.getvalue())


def _decoded(path: str, data: memoryview, size: int, checksum: int) -> pa.Table:
    if len(data) != size or zlib.crc32(data) != checksum:
        raise StoreError(f"{path}: rows in exchange are not those that were written; run again: they are made anew")
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        return reader.read_all()
