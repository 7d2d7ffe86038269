"""The log of one run on its way to the ledger: gathered from all threads, written at most once a second and when the run ends."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from dataclasses import replace

from raypipe.core.errors import LedgerError, RaypipeError
from raypipe.core.frame import trace
from raypipe.core.ledger import Ledger
from raypipe.core.logs import Entry, Kind
from raypipe.core.output import Line, now
from raypipe.core.secret import masked

PAUSE_S = 1.0
"""Between two transactions."""
NUM_PRINTED = 5_000
"""Lines that are kept of what one step prints in one run; what is beyond is counted."""
NUM_WAITING = 20_000
"""Lines that wait for a ledger that cannot be written; what is beyond is dropped."""


class Journal:
    """What is said of steps, and by them. It never fails the run: what the ledger does not take is tried again, and dropped in the end."""

    def __init__(self, ledger: Ledger, run: str):
        self.ledger, self.run = ledger, run
        self._waiting: list[Entry] = []
        self._printed: Counter[str] = Counter()
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._over = threading.Event()
        self._writer: threading.Thread | None = None

    def add(self, step: str, kind: Kind, text: str, at: str = "", origin: str = "") -> None:
        entry = Entry(self.run, step, at or now(), kind, text, origin)
        with self._lock:
            if len(self._waiting) < NUM_WAITING:
                self._waiting.append(entry)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_on, name="journal", daemon=True)
                self._writer.start()

    def failed(self, step: str, error: RaypipeError) -> None:
        """The error, with the traceback of what it came from where that was kept."""
        self.add(step, "error", "\n".join(filter(None, (str(error), trace(error)))))

    def printed(self, step: str) -> Printed:
        return Printed(self, step)

    def take(self, step: str, line: Line) -> None:
        """A line that the step printed, as long as there is room for it."""
        self._printed[step] += 1
        if self._printed[step] <= NUM_PRINTED:
            self.add(step, "err" if line.stream == "err" else "out", line.text, line.at, line.origin)

    def close(self) -> None:
        """Writes what is left."""
        for step, number in self._printed.items():
            if number > NUM_PRINTED:
                self.add(step, "cut", f"{number - NUM_PRINTED:,} more lines are not kept")
        self._over.set()
        if self._writer is not None:
            self._writer.join()
            self._write()

    def _write_on(self) -> None:
        while not self._over.wait(PAUSE_S):
            self._write()

    def _write(self) -> None:
        with self._writing:
            with self._lock:
                entries = list(self._waiting)
            if not entries:
                return
            with contextlib.suppress(LedgerError):
                texts = masked([entry.text for entry in entries])
                self.ledger.log([replace(entry, text=text) for entry, text in zip(entries, texts, strict=True)])
                with self._lock:
                    del self._waiting[: len(entries)]


class Printed:
    """Where the lines of one step go."""

    def __init__(self, journal: Journal, step: str):
        self._journal, self._step = journal, step

    def add(self, line: Line) -> None:
        self._journal.take(self._step, line)

    def skip(self, num_lines: int) -> None:
        self._journal.add(self._step, "cut", f"{num_lines:,} lines are not kept")
