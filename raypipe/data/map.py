"""The one executor: a kernel mapped over descriptors (fragments, files) by tasks of Ray's, by Ray Data's actors, or in a plain loop.

Rows never pass through it: a task gets descriptors, reads and writes files by itself, and hands back descriptors. What Ray Data does for
rows between stages (blocks, backpressure, a plan) has nothing to do here, and costs: see benchmarks/data.py and ARCHITECTURE.md.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar, cast

from raypipe.core import meter, output
from raypipe.core.errors import DataError, RaypipeError
from raypipe.core.frame import is_end, trace, users_frame
from raypipe.core.meter import Cost
from raypipe.core.placement import ENDED, TRIES, num_at_once, num_nodes, ray_options
from raypipe.core.transient import is_transient

T = TypeVar("T")
R = TypeVar("R")

TASK_BYTES = 8 << 20
"""Small items share a task up to this many bytes: one costs 2.4 ms of the driver's CPU, and a fragment of 10 kB 0.05."""
HEARS_S = 0.5
"""How long the driver waits for a task before it listens to whether it is to end."""
CANCEL_S = 3.0
"""How long a task that is cancelled is waited for."""
TASKS_PER_CPU = 4
"""As many tasks are left at least, so that all CPUs end at about the same time."""


@dataclass(frozen=True)
class Workers:
    """What of the cluster each task has, where it is not one CPU."""

    num_cpus: float = 1
    num_gpus: float = 0
    concurrency: int | None = None
    """How many at once, at most; None: as many as there is room for."""
    stay: bool = False
    """Processes that stay for the whole work (actors), each with a kernel of its own: for one that is costly to build."""
    waits: bool = False
    """Whether a task waits for others (a server, a network) more than it computes. Of tasks that compute no more run than the machine has
    cores, where Ray is told of more (`Local` tells of four at least): on two cores four at once took 1.7 times as long as two for a
    group-by of 10 million rows, 1.4 times for a sort, and as much more CPU time."""


def map_fragments(kernel: Callable[[T], R], items: Sequence[T], *, inline: bool, on: Workers = Workers()) -> list[R]:
    """`kernel` of each item, in the order of the items; a task an item, where items (by their `size` in bytes) are not tiny and many.

    What the kernel raises arrives as itself where it is raypipe's own, and otherwise as DataError with the item's path, the function and
    the line. Then no further task is started. `inline` runs them here, one after another. Results are small: descriptors, never rows.
    """
    piece = _Attempt(kernel)
    if inline or not items:
        return [_value(outcome) for item in items for outcome in piece([item])]
    results: list[Any] = [None] * len(items)
    with contextlib.closing((_by_actors if on.stay else _by_tasks)(piece, items, on)) as finished:
        for done in finished:
            for index, outcome in enumerate(done.outcomes, done.first):
                results[index] = _value(outcome)
    return results


@dataclass(frozen=True)
class _Piece:
    """What one task gets. Classes of our own, so that Ray hands them on as they are: it would make Arrow structs of dicts."""

    first: int
    items: list[Any]


@dataclass(frozen=True)
class _Outcome:
    value: Any = None
    error: RaypipeError | None = None


@dataclass(frozen=True)
class _Done:
    first: int
    outcomes: list[_Outcome]
    cost: Cost
    printed: output.Lines


@dataclass(frozen=True)
class _Attempt:
    """Runs the kernel up to the first error, which it returns as a value: Ray would wrap and log what is raised."""

    kernel: Callable[[Any], Any]

    def __call__(self, items: Sequence[Any]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        for item in items:
            outcomes.append(self._one(item))
            if outcomes[-1].error:
                break
        return outcomes

    def _one(self, item: Any) -> _Outcome:
        try:
            return _Outcome(self.kernel(item))
        except RaypipeError as error:
            # What it was raised from does not travel.
            error.transient, error.trace = is_transient(error), trace(error)
            return _Outcome(error=error)
        except (Exception, SystemExit) as error:
            if is_end(error):
                raise
            told = DataError(f"{_name(item)}: {_told(error)}")
            told.__cause__, told.transient, told.trace = error, is_transient(error), traceback.format_exc()
            return _Outcome(error=told)


def _value(outcome: _Outcome) -> Any:
    if outcome.error:
        raise outcome.error
    return outcome.value


def _name(item: Any) -> str:
    return str(getattr(item, "path", item))


def _told(error: BaseException) -> str:
    last = users_frame(error)
    what = traceback.format_exception_only(error)[-1].strip()
    return f"{last.name} raised {what}\n  {last.filename}, line {last.lineno}: {last.line}"


def _by_tasks(attempt: _Attempt, items: Sequence[Any], on: Workers) -> Generator[_Done]:
    """As many at once as there is room for, and the next one where one ends."""
    import ray

    pieces = _pieces(items, _at_once(on))
    kernel: Any = ray.put(attempt) if len(pieces) > 1 else attempt
    task = _task().options(**{**_share(on), "max_retries": TRIES, **ray_options()})
    begun = (task.remote(kernel, piece, on.num_gpus) for piece in pieces)
    running: list[Any] = []
    try:
        while True:
            running += itertools.islice(begun, max(0, _room(on) - len(running)))
            if not running:
                break
            # A pause in which Python's own code runs: what is raised in this thread from another one is heard there alone.
            ready, running = ray.wait(running, timeout=HEARS_S)
            for done in ray.get(ready):
                _told_of(done, items)
                yield done
    finally:
        for left in running:
            ray.cancel(left, force=True)
        if running:
            ray.wait(running, num_returns=len(running), timeout=CANCEL_S, fetch_local=False)


@lru_cache(maxsize=1)
def _task() -> Any:
    import ray

    return ray.remote(_done)


def _by_actors(attempt: _Attempt, items: Sequence[Any], on: Workers) -> Generator[_Done]:
    """Ray Data's pool of actors, which grows with the work."""
    import ray.data
    import ray.exceptions

    most = _at_once(on)
    pieces = _pieces(items, most)

    class Staying:
        def __call__(self, row: dict[str, _Piece]) -> dict[str, _Done]:
            return {"item": _done(attempt, row["item"], on.num_gpus)}

    # A block a task: more rows in one would run one after another.
    dataset = ray.data.from_items(pieces, override_num_blocks=len(pieces))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=min(most, len(pieces)))
    # By itself Ray Data starts an actor that dies anew for ever, and these arguments, deprecated in 2.60, are all there is against it.
    tries = {"max_restarts": TRIES - 1, "max_task_retries": TRIES - 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        dataset = dataset.map(cast(Any, Staying), compute=pool, **{**_share(on), **tries, **ray_options()})
    missing = {piece.first: piece for piece in pieces}
    try:
        with _ended(dataset):
            for row in dataset.iter_rows():
                _told_of(row["item"], items)
                del missing[row["item"].first]
                yield row["item"]
    except ray.exceptions.RayActorError as error:
        raise _lost([item for piece in missing.values() for item in piece.items], "one of ") from error


def _done(attempt: _Attempt, piece: _Piece, num_gpus: float) -> _Done:
    """In the task: what became of its items, what that cost and what was printed."""
    began, printed = time.monotonic(), output.Lines()
    with meter.task() as spent, output.heard(printed, alone=True):
        lost = _lost_worker(piece.items)
        outcomes = [lost] if lost else attempt(piece.items)
    # The GPUs that the task had count for as long as it had them.
    return _Done(piece.first, outcomes, replace(spent.cost, gpu_s=(time.monotonic() - began) * num_gpus), printed)


def _told_of(done: _Done, items: Sequence[Any]) -> None:
    meter.add(done.cost)
    output.hand_on(done.printed, _name(items[done.first]).rpartition("/")[2])


@contextlib.contextmanager
def _ended(dataset: Any) -> Iterator[None]:
    """Where the block is left early, the tasks at work are ended, and their CPUs are free when it is left.

    By itself Ray Data raises KeyboardInterrupt in them, which compiled code does not hear, and `except BaseException` catches.
    """
    create, executors = getattr(dataset, "_create_executor", None), []

    def created() -> Any:
        assert create is not None
        executor = create()
        shutdown = executor.shutdown
        executor.shutdown = lambda force=True, exception=None: shutdown(force=True, exception=exception)
        executors.append(executor)
        return executor

    if create is not None:  # no public name of Ray's: without it tasks end when they end
        dataset._create_executor = created
    try:
        yield
    finally:
        for executor in executors:
            executor.shutdown()
            del executor.shutdown  # it holds the executor, and so the results


def _at_once(on: Workers) -> int:
    """How many tasks run at once. ClusterError where not one does."""
    return _there(on) if on.waits or on.concurrency else min(_there(on), _cores(on))


def _room(on: Workers) -> int:
    """How many tasks are begun at once; asked anew for each, for a cluster may have grown.

    Where the cluster is what bounds them as many again wait for a place: so an autoscaler hears that there is more to do, and the next one
    begins without a word from here.
    """
    most = _at_once(on)
    return most if on.concurrency or most < _there(on) else 2 * most


def _there(on: Workers) -> int:
    return max(1, num_at_once({"CPU": on.num_cpus, "GPU": on.num_gpus}, on.concurrency))


def _cores(on: Workers) -> int:
    """How many tasks one machine has cores for; on several nodes Ray knows better."""
    return max(1, int((os.cpu_count() or 1) / (on.num_cpus or 1))) if num_nodes() == 1 else sys.maxsize


def _share(on: Workers) -> dict[str, Any]:
    return {"num_cpus": on.num_cpus} | ({"num_gpus": on.num_gpus} if on.num_gpus else {})


def _lost_worker(items: Sequence[Any]) -> _Outcome | None:
    """Ray Data tries for ever what kills its worker, and says nothing."""
    import ray

    if ray.get_runtime_context().worker.core_worker.get_current_task_attempt_number() < TRIES:
        return None
    return _Outcome(error=_lost(items))


def _lost(items: Sequence[Any], which: str = "") -> DataError:
    names = _name(items[0]) if len(items) == 1 else f"{which}{_name(items[0])} to {_name(items[-1])}"
    return DataError(f"{names}: {ENDED}")


def _pieces(items: Sequence[Any], num_cpus: int) -> list[_Piece]:
    """Runs of neighbours of at most so many bytes, and of so few items that every CPU gets several pieces."""
    longest = max(1, len(items) // (TASKS_PER_CPU * num_cpus))
    pieces: list[_Piece] = []
    filled = 0
    for index, item in enumerate(items):
        size = getattr(item, "size", TASK_BYTES)
        if not pieces or len(pieces[-1].items) >= longest or filled + size > TASK_BYTES:
            pieces.append(_Piece(index, []))
            filled = 0
        pieces[-1].items.append(item)
        filled += size
    return pieces
