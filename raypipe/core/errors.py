"""What goes wrong, in words for the person who caused it, and the exit code that says so."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class RaypipeError(Exception):
    """An error whose text is meant for the user: it is printed without a traceback."""

    exit_code = 1
    transient = False
    """Whether the same work may succeed at another try; set where that is known better than by the class (see `core/transient.py`)."""
    trace = ""
    """The traceback of what a task raised, as text: between processes the frames are lost."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `where` is a config key, step, column or file; `what` says found, expected and what to do."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ConfigError(RaypipeError, ValueError):
    """The pipeline as written cannot run: every problem found, before Ray starts (exit 2)."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem] | str):
        self.problems = [Problem("", problems)] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DataError(RaypipeError, ValueError):
    """The data is not what the pipeline needs: a file, column or value, named (exit 1)."""


class Conflict(DataError):
    """Another commit to the same table came first, and what this one computed may not hold any more: done again, it may (exit 1)."""


class StepFailed(RaypipeError):
    """Code of the user's, or a library below it, raised inside a step: the text names the step, the error and its line (exit 1)."""


class TimedOut(RaypipeError):
    """A step took longer than its `timeout`, or waited longer for its resources than its `deadline` (exit 1)."""

    transient = True


class Interrupted(RaypipeError):
    """A step was ended from outside: by a signal, or because another one failed (exit 130)."""

    exit_code = 130


class Terminated(KeyboardInterrupt):
    """SIGTERM came. No SystemExit: code of the user's may raise that, and is told as its error."""

    exit_code = 143


class LedgerError(RaypipeError):
    """The ledger cannot be opened or trusted: newer version, not writable, on a network file system (exit 2)."""

    exit_code = 2


class LedgerLost(LedgerError):
    """The server under the ledger broke off, or does not answer any more: what was in hand may or may not have happened."""

    transient = True


class StoreError(RaypipeError):
    """The store cannot be read or written, or bytes in it are not what was recorded (exit 1)."""


class ClusterError(RaypipeError):
    """Ray cannot be started or joined (exit 1)."""


class LeaseHeld(RaypipeError):
    """Another live process is making the same thing; the text says who and since when (exit 75)."""

    exit_code = 75


class Fenced(RaypipeError):
    """This process lost its lease: another has claimed a higher token, and what this one writes is refused (exit 75)."""

    exit_code = 75


def nearest(name: str, valid: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest of `valid`, or the list of what is valid, or nothing where there is nothing."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    return f" Valid: {', '.join(names)}." if names else ""


def nearest_and_all(name: str, valid: Iterable[str]) -> str:
    """`nearest`, and the list in any case: ` Did you mean 'x'? There are: x, y.`"""
    names = sorted(valid)
    hint = nearest(name, names)
    return f"{hint} There are: {', '.join(names)}." if hint.startswith(" Did") else hint
