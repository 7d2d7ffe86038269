"""One item of a mapped step, as the ledger and the tasks know it."""

from __future__ import annotations

from dataclasses import dataclass

from raypipe.core.artifact import File


@dataclass(frozen=True)
class Item:
    """One item that was run: its rows are a part of a file."""

    key: str
    """sha256 of all that shapes its result."""
    file: File | None
    """None where the function gave nothing, or rows without columns of their own."""
    columns: str = ""
    """The digest of what the file's columns are."""
    first_row: int = 0
    """Its first row in the file."""
    num_rows: int = 0
