"""Reconciliation: each row that a stage reads is one that it writes, or one that it has counted as kept out."""

from __future__ import annotations

from raypipe.core.errors import DataError


def reconciled(stage: str, read: int, written: int, **out: int) -> str:
    """The counts in words: `1,200 rows read, 1,190 written, 10 dropped`. `out` are rows that are kept out, by what became of them.

    Each count is taken where it happens, none by subtraction. DataError, before anything is published, where they do not add up: rows were
    lost, or came twice, and nothing has said so.
    """
    told = ", ".join([f"{read:,} rows read", f"{written:,} written", *(f"{n:,} {what.replace('_', ' ')}" for what, n in out.items() if n)])
    lost = read - written - sum(out.values())
    if lost:
        what = f"{lost:,} are lost" if lost > 0 else f"{-lost:,} came from nowhere"
        raise DataError(
            f"{stage}: {told}: {what}. Nothing is published: this is a fault of raypipe's, or of its machine's memory; run again."
        )
    return told
