"""The feed of a training: shuffled batches in one order that the seed alone fixes, from any step of any epoch on."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from raypipe.bundle.matrix import Matrix
from raypipe.train.rows import Part

T = TypeVar("T")

Batch = tuple[Matrix, np.ndarray]
"""float32 features [rows, features] and labels [rows]."""

INTERLEAVED = 8
"""Row groups that are shuffled together at least, where there are so many."""

WINDOW_ROWS = 1 << 20
"""Rows that are shuffled together at most, as far as INTERLEAVED row groups allow."""

KEEP_BYTES = 1 << 30
"""Features up to this size stay in memory; beyond, each epoch reads them again."""

PREFETCH = 8
"""Batches that are ready before they are asked for."""


class Feed:
    """Epochs of batches over the training part.

    The order of an epoch: row groups dealt at random into pools of INTERLEAVED or more, the rows of each pool in random order. It depends
    on the seed, the epoch and the row groups, never on what is kept in memory, so a position is a number: step x `batch_rows`.
    """

    def __init__(self, part: Part, batch_rows: int, seed: int, keep_bytes: int = KEEP_BYTES):
        self.part, self.batch_rows, self.seed = part, batch_rows, seed
        self._counts = np.array([group.num_rows for group in part.groups])
        self._starts = np.cumsum(self._counts) - self._counts
        self._kept = part.load() if part.num_bytes <= keep_bytes else None

    @property
    def num_steps(self) -> int:
        """Steps of an epoch; the last batch may be smaller."""
        return -(-self.part.num_rows // self.batch_rows)

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from a step on, prepared by a thread. Closing the iterator ends the thread."""
        return prefetched(self._batches(epoch, first_step * self.batch_rows), PREFETCH)

    def _batches(self, epoch: int, skip: int) -> Iterator[Batch]:
        pieces: list[Batch] = []
        room = self.batch_rows
        for number, groups in enumerate(pools(self._counts, self.seed, epoch)):
            num_rows = int(self._counts[groups].sum())
            if skip >= num_rows:
                skip -= num_rows
                continue
            order = np.random.default_rng([self.seed, epoch, number]).permutation(num_rows)[skip:]
            skip, take = 0, self._pool(groups)
            while len(order):
                pieces.append(take(order[:room]))
                order, room = order[room:], room - len(order[:room])
                if not room:
                    yield _joined(pieces)
                    pieces, room = [], self.batch_rows
        if pieces:
            yield _joined(pieces)

    def _pool(self, groups: np.ndarray) -> Callable[[np.ndarray], Batch]:
        """A function from row numbers of these groups to their rows."""
        if self._kept is not None:
            features_BF, label_B = self._kept
            places = np.concatenate([np.arange(n) + start for n, start in zip(self._counts[groups], self._starts[groups], strict=True)])
            return lambda rows: (features_BF.take(places[rows], axis=0), label_B.take(places[rows]))
        features_BF, label_B = self.part.only(groups.tolist()).load()
        return lambda rows: (features_BF.take(rows, axis=0), label_B.take(rows))


def pools(counts: np.ndarray, seed: int, epoch: int) -> list[np.ndarray]:
    """The row groups of an epoch, dealt at random into pools that are shuffled as one; within a pool they stand in the table's order."""
    order = np.random.default_rng([seed, epoch]).permutation(len(counts))
    wanted = -(-int(counts.sum()) // WINDOW_ROWS)
    return [np.sort(pool) for pool in np.array_split(order, max(1, min(wanted, len(counts) // INTERLEAVED)))]


def prefetched(items: Iterable[T], depth: int) -> Iterator[T]:
    """`items`, made up to `depth` ahead by a thread; what it raises is raised here."""
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put((item, error), timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                put(item, None)
                if stopped.is_set():
                    return
            put(None, None)
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=work, name="raypipe-feed", daemon=True)
    thread.start()
    try:
        while (got := ready.get()) != (None, None):
            item, error = got
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


def _joined(pieces: list[Batch]) -> Batch:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate([x for x, _ in pieces]), np.concatenate([y for _, y in pieces])
