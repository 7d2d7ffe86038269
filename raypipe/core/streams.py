"""The process's standard streams: there, or lost."""

from __future__ import annotations

import contextlib
import os
import sys


def open_streams() -> None:
    """A process that was started without standard streams (`>&-`) has them all the same: the next file that it opens, a ledger say, would
    be in the place of one, and be written to by whatever prints."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest number that is free
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def say(text: str) -> None:
    """On standard error, if it can be written."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)


def output_is_lost() -> bool:
    """Whether standard output cannot be written; then what is left of it goes nowhere."""
    try:
        print(flush=True)  # what failed is not always left in the buffer, to fail again
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False
