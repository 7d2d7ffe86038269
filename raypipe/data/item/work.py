"""Items brought about: chunk by chunk in Ray's tasks, or here, each recorded as its chunk hands it in."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core import items as ledger_items
from raypipe.core import meter, output
from raypipe.core.item import Item as Kept
from raypipe.core.placement import ENDED, TRIES, num_at_once, ray_options
from raypipe.data.item.chunk import Done, Failure, Mapped
from raypipe.data.item.item import Item

if TYPE_CHECKING:
    from raypipe.core.step import Work

CHUNKS_PER_TASK = 4
"""So many chunks for each task that runs at once: all end at about the same time."""
LOOK_S = 0.2
"""Between two looks whether the step is to end."""
TELL_S = 10.0


@dataclass(frozen=True)
class Share:
    """How the items are dealt to tasks."""

    chunk_items: int | None = None
    """Items of a chunk; None: as many as leave every task a few."""
    concurrency: int | None = None
    """Tasks at once, at most; None: as many as the cluster has room for."""


@dataclass
class Outcome:
    """What became of them."""

    kept: dict[str, Kept] = field(default_factory=dict)
    """By key."""
    failures: list[Failure] = field(default_factory=list)

    @property
    def num_done(self) -> int:
        return len(self.kept) + len(self.failures)


def run_items(work: Work, mapped: Mapped, items: Sequence[Item], share: Share) -> Outcome:
    """Each of them, recorded in the ledger as it is done. What one fails with is part of the outcome; what is no item's fault is raised."""
    outcome, told_at = Outcome(), time.monotonic()
    with_ray = not work.inline and bool(items)
    for done in _away(work, mapped, items, share) if with_ray else mapped.here(list(items)):
        if done.kept:
            kept = done.kept
            work.keep(lambda connection, kept=kept: ledger_items.keep(connection, work.project, work.fingerprint, work.run, kept))
        outcome.kept |= {one.key: one for one in done.kept}
        outcome.failures += done.failures
        if done.error:
            raise done.error
        work.alive()
        if time.monotonic() - told_at > TELL_S and outcome.num_done < len(items):
            told_at = time.monotonic()
            work.report(f"{outcome.num_done:,} of {len(items):,} items")
    outcome.failures.sort(key=lambda failure: failure.item.number)
    return outcome


@dataclass(frozen=True)
class _Chunk:
    items: list[Item]
    num_tries: int = 0

    def less(self, done: Done) -> _Chunk:
        """What is left of it."""
        keys = {one.key for one in done.kept} | {failure.item.key for failure in done.failures}
        return _Chunk([item for item in self.items if item.key not in keys], self.num_tries)


def _away(work: Work, mapped: Mapped, items: Sequence[Item], share: Share) -> Iterator[Done]:
    import ray

    options = ray_options()
    width = share.concurrency or num_at_once(_shares(options))
    run = ray.remote(num_returns="streaming", max_retries=0, **{"num_cpus": 1, **options})(_run)
    body = ray.put(mapped)
    waiting, running = deque(_chunks(items, share.chunk_items, width)), {}
    try:
        while waiting or running:
            while waiting and len(running) < width:
                chunk = waiting.popleft()
                running[run.remote(body, chunk.items, options.get("num_gpus", 0))] = chunk
            ready, _ = ray.wait(list(running), num_returns=1, timeout=LOOK_S)
            work.alive()
            for results in ready:
                yield from _next(results, running, waiting)
    finally:
        for results in running:
            ray.cancel(results, force=True)


def _run(mapped: Mapped, items: list[Item], num_gpus: float) -> Iterator[Done]:
    yield from mapped.away(items, num_gpus)


def _next(results: Any, running: dict[Any, _Chunk], waiting: deque[_Chunk]) -> Iterator[Done]:
    """What a chunk hands in next; of one whose worker is gone, what is left goes back, each item by itself."""
    import ray
    from ray.exceptions import RayError, RayTaskError, RuntimeEnvSetupError

    try:
        done: Any = ray.get(next(results))
    except StopIteration:
        del running[results]
        return
    except (RayTaskError, RuntimeEnvSetupError):
        del running[results]
        raise
    except RayError as error:
        chunk = running.pop(results)
        yield from _lost(chunk, waiting, error)
        return
    meter.add(done.cost)
    output.hand_on(done.printed, str(running[results].items[0]))
    running[results] = running[results].less(done)
    yield done


def _lost(chunk: _Chunk, waiting: deque[_Chunk], error: Exception) -> Iterator[Done]:
    if len(chunk.items) > 1:
        waiting.extend(_Chunk([item]) for item in chunk.items)
    elif chunk.items and chunk.num_tries + 1 < TRIES:
        waiting.append(_Chunk(chunk.items, chunk.num_tries + 1))
    elif chunk.items:
        yield Done(failures=[Failure(chunk.items[0], ENDED, transient=True, trace=str(error))])


def _chunks(items: Sequence[Item], chunk_items: int | None, width: int) -> Iterator[_Chunk]:
    size = chunk_items or max(1, -(-len(items) // (CHUNKS_PER_TASK * width)))
    return (_Chunk(list(items[start : start + size])) for start in range(0, len(items), size))


def _shares(options: Mapping[str, Any]) -> dict[str, float]:
    """What a task takes of the cluster, by Ray's names."""
    own = {"CPU": options.get("num_cpus", 1), "GPU": options.get("num_gpus", 0), "memory": options.get("memory", 0)}
    return own | options.get("resources", {})
