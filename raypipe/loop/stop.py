"""A graceful stop: the first signal ends after the batch in hand, the second one drops it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from raypipe.core.errors import Terminated


@dataclass
class Stop:
    """What was asked for: `event` is set once, and `number` says by which signal."""

    event: threading.Event = field(default_factory=threading.Event)
    number: int = 0

    @property
    def exit_code(self) -> int:
        """0 where no signal came, 130 after SIGINT, 143 after SIGTERM."""
        return 128 + self.number if self.number else 0


@contextmanager
def on_signals() -> Iterator[Stop]:
    """SIGINT and SIGTERM set the event; a second one raises KeyboardInterrupt or Terminated, and nothing of the batch is kept."""
    stop = Stop()

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.number:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated
        stop.number = number
        stop.event.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
