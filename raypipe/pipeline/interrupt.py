"""Ending a step's work from outside of its thread: asked for at first, and raised in it where it does not hear."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from raypipe.core.errors import RaypipeError, TimedOut

AGAIN_S = 4.0
"""Between two times that it is raised in a thread: so long it may take to clean up, which ends the tasks that it has on a cluster."""


class Ended(BaseException):
    """Raised inside of work that is to end. No Exception, so that code which catches those does not catch it."""


class Interrupt:
    """One step's. The reason that it ends with is the error that `reason` holds."""

    def __init__(self) -> None:
        self.reason: RaypipeError | None = None
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._forced = False
        self._forced_at = float("-inf")

    def ask(self, reason: RaypipeError) -> None:
        """The work is to end with that error: at its next `check` or `wait`. A try whose time is over may still be ended for good."""
        with self._lock:
            if self.reason is None or (isinstance(self.reason, TimedOut) and not isinstance(reason, TimedOut)):
                self.reason = reason
                self._asked.set()

    def check(self) -> None:
        if self.reason is not None:
            raise Ended

    def wait(self, seconds: float) -> None:
        """Sleeps that long, less where it is to end: then the reason is raised."""
        if self._asked.wait(seconds):
            assert self.reason is not None
            raise self.reason

    def force(self) -> None:
        """Raises Ended in the thread, where it is inside of `over`: at its next line of Python, wherever it is called from."""
        with self._lock:
            if self._thread is not None and time.monotonic() - self._forced_at >= AGAIN_S:
                self._forced, self._forced_at = True, time.monotonic()
                _raise_in(self._thread, Ended)

    def over(self) -> None:
        """This try has ended, the next one may take its time; unless it was not its time alone that it ended for."""
        with self._lock:
            if isinstance(self.reason, TimedOut):
                self.reason = None
                self._asked.clear()

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """Work of this thread that may be ended: the reason is raised then, whatever the work made of it. Nothing is published inside."""
        if self.reason is not None:
            raise self.reason
        with self._lock:
            self._thread, self._forced, self._forced_at = threading.get_ident(), False, float("-inf")
        try:
            try:
                yield
            finally:
                try:
                    self._disarm()
                except Ended:  # forced at this very moment: it is not again for a while
                    self._disarm()
        except BaseException as error:
            if self.reason is not None:
                raise self.reason from error
            raise
        if self.reason is not None:
            raise self.reason

    def _disarm(self) -> None:
        """What was forced and is not raised yet never will be, and nothing is forced any more."""
        with self._lock:
            thread, self._thread = self._thread, None
            if self._forced and thread is not None:
                _raise_in(thread, None)


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """None takes back what has not been raised yet."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else ctypes.py_object())
