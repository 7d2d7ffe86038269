"""A request that is refused: the status, one clear message, and the fields that are wrong. It never repeats the body."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

NUM_SHOWN = 20
"""Bad fields that a refusal lists; all are counted."""


@dataclass(frozen=True)
class BadField:
    """One value that the model cannot take: `row` counts from 0, `found` names a JSON type and never the value."""

    row: int
    field: str
    found: str
    expected: str


class Refused(Exception):
    """Raised where a request cannot be answered; `status` is an HTTP status from 400 to 499, or 503."""

    def __init__(self, status: int, message: str, fields: Iterable[BadField] = (), num_bad: int = 0, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}
        self.fields = tuple(fields)
        self.num_bad = num_bad

    def to_json(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message}
        if self.fields:
            error |= {"num_bad_fields": self.num_bad, "fields": [asdict(f) for f in self.fields]}
        return {"error": error}


def refused_fields(bad: list[BadField], num_bad: int) -> Refused:
    """422 for the bad fields of a request: the message names the first, the list holds up to NUM_SHOWN of them."""
    first = bad[0]
    what = "One field is" if num_bad == 1 else f"{num_bad} fields are"
    where = f"Record {first.row}" + (f", '{first.field}'" if first.field else "")
    expected = first.expected if first.expected.endswith(("?", ".")) else f"{first.expected}."
    return Refused(422, f"{what} not what the model takes. {where}: found {first.found}, expected {expected}", bad, num_bad)


def excerpt(text: str, length: int = 60) -> str:
    """A name that a client sent, short enough to repeat and without control characters."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:length])
    return shown + "…" if len(text) > length else shown
