"""What one pass of a step over the files of a table consists of: for a person who wants to know what is read, computed and written how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NUM_NAMED = 8
"""Columns that are named one by one."""


@dataclass(frozen=True)
class Part:
    """One thing that a pass does with the rows of a file."""

    what: str
    """`read`, `where`, the name of an entry, `contract`, `write`."""
    engine: str
    """What runs it: Arrow, Polars, NumPy, Python; empty where names alone are dealt with."""
    detail: str
    cuts: bool = False
    """Whether it keeps others from being fused with it, or from going round: a Python function of the user's."""


@dataclass(frozen=True)
class Pass:
    """Each file is read once for it, in a task of its own."""

    over: str
    """The rows that it looks at."""
    parts: tuple[Part, ...]
    around: str = ""
    """The columns that no engine touches."""


@dataclass(frozen=True)
class Explained:
    """What a step does in passes over files."""

    passes: list[Pass]
    apart: tuple[str, ...] = ()
    """The steps that it reads whose passes are their own: what a step makes is an artifact, which later runs and other steps find, so that
    its rows are written even where only one step reads them."""


WRITE = Part("write", "Arrow", "Parquet with page checksums, its sha256 on the way, fsync")


def some(names: Sequence[str] | None, unknown: str) -> str:
    """The first names, and how many more there are; `unknown` where they are not known."""
    if names is None:
        return unknown
    more = f" and {len(names) - NUM_NAMED} more" if len(names) > NUM_NAMED else ""
    return ", ".join(names[:NUM_NAMED]) + more
