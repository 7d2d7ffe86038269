"""What a function prints in a worker, where nobody would see it: counted, the first line kept, all of it left to the worker's log."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator

SHOWN = 120
"""Characters of the first line that are kept."""


class Printed(io.TextIOBase):
    """A standard output that passes on what it gets to the error output."""

    def __init__(self) -> None:
        self.num_lines, self.first = 0, ""

    def write(self, text: str) -> int:
        if self.num_lines == 0 and len(self.first) < SHOWN:
            self.first = (self.first + text)[:SHOWN]
        self.num_lines += text.count("\n")
        sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def __str__(self) -> str:
        """`3 lines, the first: loading`; empty where nothing was printed."""
        if not self.first.strip():
            return ""
        return f"{max(self.num_lines, 1):,} line{'s' if self.num_lines > 1 else ''}, the first: {self.first.strip().splitlines()[0]}"


@contextlib.contextmanager
def printed(inline: bool) -> Iterator[Printed]:
    """What is printed inside the block. Inline it goes where it always went: a person is looking on."""
    found = Printed()
    with contextlib.nullcontext() if inline else contextlib.redirect_stdout(found):
        yield found
