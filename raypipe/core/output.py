"""What code prints and logs while it runs, line by line, beside where it goes anyway: bounded, and in order."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

NUM_FIRST = 200
NUM_LAST = 200
"""Of the lines of one piece of work so many at its beginning and at its end are kept."""
LINE_CHARS = 2_000
"""A longer line is cut."""


@dataclass(frozen=True)
class Line:
    """One line, as it was printed."""

    at: str
    """UTC, ISO 8601."""
    stream: str
    """`out` or `err`; what is logged goes to `err` where nothing else is arranged."""
    text: str
    origin: str = ""
    """The piece of work that printed it, where a step has several."""


class Sink(Protocol):
    """Who is given lines."""

    def add(self, line: Line) -> None: ...
    def skip(self, num_lines: int) -> None:
        """So many lines were left out here."""


@dataclass
class Lines:
    """The first and the last lines of what was printed, as a value that a task can hand back."""

    first: list[Line] = field(default_factory=list)
    last: deque[Line] = field(default_factory=lambda: deque(maxlen=NUM_LAST))
    num_cut: int = 0
    """Lines between them that are not kept."""

    def add(self, line: Line) -> None:
        if len(self.first) < NUM_FIRST:
            self.first.append(line)
            return
        self.num_cut += len(self.last) == NUM_LAST
        self.last.append(line)

    def skip(self, num_lines: int) -> None:
        self.num_cut += num_lines


def hand_on(lines: Lines, origin: str = "") -> None:
    """What a task in another process printed, to whoever listens to the work that this thread does."""
    sink = _current.get()
    if sink is None:
        return
    for line in lines.first:
        sink.add(_of(line, origin))
    if lines.num_cut:
        sink.skip(lines.num_cut)
    for line in lines.last:
        sink.add(_of(line, origin))


def _of(line: Line, origin: str) -> Line:
    return Line(line.at, line.stream, line.text, line.origin or origin)


@contextlib.contextmanager
def heard(sink: Sink, *, alone: bool = False) -> Iterator[None]:
    """Gives `sink` what this thread prints in the block; `alone`: what any thread of the process prints, which does nothing else."""
    before = _current.set(sink)
    everyone, _Tee.everyone = _Tee.everyone, sink if alone else _Tee.everyone
    try:
        with _installed():
            yield
    finally:
        _Tee.everyone = everyone
        _current.reset(before)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """What this thread prints in the block is no output of the work that it does."""
    before = _current.set(None)
    try:
        yield
    finally:
        _current.reset(before)


def renew() -> None:
    """Listens again where the process's streams were replaced meanwhile, as a live display in the terminal does as it starts and stops."""
    with _lock:
        if _installs and not isinstance(sys.stdout, _Tee):
            sys.stdout, sys.stderr = _over(sys.stdout, "out"), _over(sys.stderr, "err")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


_current: ContextVar[Sink | None] = ContextVar("raypipe_output", default=None)
_lock = threading.Lock()
_passing = threading.local()
_installs: list[Sequence[Any]] = []
"""The streams that were replaced, while any block listens."""


class _Tee:
    """A stream that passes on what it gets, and gives whole lines to who listens."""

    everyone: Sink | None = None

    def __init__(self, below: Any, name: str):
        self._below, self._name = below, name
        self._begun: dict[int, str] = {}
        """Thread -> the line that it has begun."""

    def write(self, text: str) -> int:
        sink = _listening()
        # A terminal's live display puts a stream of its own over this one, and another of these may lie above that.
        outermost = not getattr(_passing, "now", False)
        _passing.now = True
        try:
            if sink is not None and outermost and isinstance(text, str):
                self._give(sink.add, text)
            return self._below.write(text)
        finally:
            if outermost:
                _passing.now = False

    def _give(self, add: Callable[[Line], None], text: str) -> None:
        me = threading.get_ident()
        *whole, begun = (self._begun.pop(me, "") + text).replace("\r\n", "\n").split("\n")
        for line in whole:
            add(Line(now(), self._name, _cut(line)))
        if begun:
            self._begun[me] = begun if len(begun) <= LINE_CHARS or "\r" not in begun else begun.rpartition("\r")[2]

    def end(self) -> None:
        """The last line may have no end."""
        begun = self._begun.pop(threading.get_ident(), "")
        sink = _listening()
        if begun and sink is not None:
            sink.add(Line(now(), self._name, _cut(begun)))

    def writelines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)


def _listening() -> Sink | None:
    sink = _current.get()
    return _Tee.everyone if sink is None else sink


def _cut(line: str) -> str:
    """Of a line that was overwritten, as progress bars are, what it came to."""
    line = line.rstrip("\r").rpartition("\r")[2]
    return line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]}... ({len(line):,} characters)"


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    """The process's streams are replaced while any block listens."""
    with _lock:
        _installs.append(())
        if len(_installs) == 1 or not isinstance(sys.stdout, _Tee):
            sys.stdout, sys.stderr = _over(sys.stdout, "out"), _over(sys.stderr, "err")
        tees = sys.stdout, sys.stderr
    try:
        yield
    finally:
        for tee in tees:
            if isinstance(tee, _Tee):
                tee.end()
        with _lock:
            _installs.pop()
            if not _installs:
                sys.stdout, sys.stderr = _below(sys.stdout), _below(sys.stderr)


def _over(stream: Any, name: str) -> Any:
    return stream if stream is None or isinstance(stream, _Tee) else _Tee(stream, name)


def _below(stream: Any) -> Any:
    return stream._below if isinstance(stream, _Tee) else stream
