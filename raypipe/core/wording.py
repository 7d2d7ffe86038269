"""How errors of others and sizes are worded for people, wherever they are shown."""

from __future__ import annotations


def first_line(error: object) -> str:
    """The first line of what an error, or a library's text, says; the name of its class where it says nothing."""
    return next((line for line in str(error).strip().splitlines() if line), type(error).__name__)


def counted(number: int, what: str) -> str:
    """`1 file`, `12,000 files`, `2 batches`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}{'es' if what.endswith('ch') else 's'}"


def size_text(size: float) -> str:
    """`512 B`, `37.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
