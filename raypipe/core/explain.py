"""What one pass of a step over the files of a table consists of: for a person who wants to know what is read, computed and written how."""

from __future__ import annotations

from dataclasses import dataclass


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


WRITE = Part("write", "Arrow", "Parquet with page checksums, its sha256 on the way, fsync")
