"""The threads that make steps: as many at once as there is room for, watched for their time, ended from outside."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from raypipe.core.errors import Interrupted, RaypipeError, TimedOut
from raypipe.pipeline import interrupt
from raypipe.pipeline.making import Making
from raypipe.pipeline.plan import PlannedStep

HEARS_S = 1.0
"""How long a step may take to hear that it is to end, before it is raised in its thread."""
GRACE_S = 10.0
"""And how long it may take then. What runs on after it publishes nothing."""


@dataclass(frozen=True)
class Ended:
    """What one step's thread came to."""

    name: str
    planned: PlannedStep | None
    error: RaypipeError | None
    seconds: float
    recorded: bool = False
    """Whether the ledger has it already."""


class Crew:
    """`num_threads` 0: each step is made where it is started, one after another."""

    def __init__(self, num_threads: int, release: Callable[[Making], None]):
        self.num_threads = num_threads
        self.makings: dict[str, Making] = {}
        """Those at work, by step."""
        self._release = release
        self._ended: queue.SimpleQueue[tuple[Making, PlannedStep | BaseException]] = queue.SimpleQueue()
        self._asked_at: dict[str, float] = {}

    @property
    def room(self) -> int:
        return max(1, self.num_threads) - len(self.makings)

    def start(self, making: Making, upstream: Mapping[str, PlannedStep]) -> None:
        self.makings[making.name] = making
        seen = dict(upstream)
        if self.num_threads == 0:
            self._make(making, seen)
        else:
            # A daemon: an interpreter that ends does not wait for what was given up.
            threading.Thread(target=self._make, args=(making, seen), name=f"step {making.name}", daemon=True).start()

    def next(self) -> list[Ended]:
        """Waits for a step to end, and returns all that have by then. Raises what is no RaypipeError of a step's."""
        while True:
            found = self._arrived(block_s=self._pause())
            found += self._watch()
            if found:
                return found

    def end(self, reason: Interrupted) -> None:
        """Asks all that run to end."""
        now = time.monotonic()
        for name, making in self.makings.items():
            making.interrupt.ask(reason)
            self._asked_at.setdefault(name, now)

    def rest(self) -> Iterator[Ended]:
        """Those that were asked to end, as they do; after the grace the others are given up."""
        while self.makings:
            yield from self.next()

    def _make(self, making: Making, upstream: Mapping[str, PlannedStep]) -> None:
        try:
            outcome: PlannedStep | BaseException = making.made(upstream)
        except RaypipeError as error:
            outcome = error
        except BaseException as error:
            if self.num_threads == 0:
                self.makings.pop(making.name)
                raise
            # Outside of what may be ended it is raised by a `check` in a commit, or where it was forced as that was being left.
            outcome = (making.interrupt.reason or error) if isinstance(error, interrupt.Ended) else error
        self._ended.put((making, outcome))

    def _arrived(self, block_s: float | None) -> list[Ended]:
        found = []
        try:
            while True:
                making, outcome = self._ended.get(timeout=block_s) if not found else self._ended.get_nowait()
                if self.makings.get(making.name) is not making:  # given up before it ended
                    continue
                del self.makings[making.name]
                self._asked_at.pop(making.name, None)
                found.append(_ended(making, outcome))
        except queue.Empty:
            return found

    def _pause(self) -> float | None:
        """Until the next time at which something must be looked at; None: nothing but an end."""
        until = [m.try_until for m in self.makings.values() if m.try_until is not None]
        if self._asked_at:
            return 0.1
        # A try's time begins in its thread, which nobody here is told of.
        waits = any(m.execution.timeout is not None for m in self.makings.values())
        return max(0.0, min(until) - time.monotonic()) if until else 0.5 if waits else None

    def _watch(self) -> list[Ended]:
        """Tries whose time is over are asked to end; what does not hear is forced, and what that does not end is given up."""
        now, given_up = time.monotonic(), []
        for name, making in list(self.makings.items()):
            if making.try_until is not None and now >= making.try_until and making.interrupt.reason is None:
                making.interrupt.ask(TimedOut(f"step '{name}' took longer than its timeout of {making.execution.timeout}"))
                self._asked_at[name] = now
            if making.interrupt.reason is None:
                self._asked_at.pop(name, None)
            elif now - self._asked_at.get(name, now) > GRACE_S:
                given_up.append(self._give_up(making, making.interrupt.reason))
            elif now - self._asked_at.get(name, now) > HEARS_S:
                making.interrupt.force()
        return given_up

    def _give_up(self, making: Making, reason: RaypipeError) -> Ended:
        self._release(making)
        del self.makings[making.name]
        self._asked_at.pop(making.name, None)
        told = type(reason)(f"{reason}; its thread did not end within {GRACE_S:.0f} s, and what it still makes is not published")
        told.transient = False
        return Ended(making.name, None, told, time.monotonic() - making.began)


def _ended(making: Making, outcome: PlannedStep | BaseException) -> Ended:
    seconds = time.monotonic() - making.began
    if isinstance(outcome, RaypipeError):
        return Ended(making.name, None, outcome, seconds)
    if isinstance(outcome, BaseException):
        raise outcome
    return Ended(making.name, outcome, None, seconds, making.recorded)
