"""What was said while a run went on, kept with the run: a row a line, in the order in which it was told."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, insert, select

from raypipe.core import schema

table = schema.logs

Kind = Literal["report", "wait", "retry", "error", "out", "err", "cut"]
"""What a step reported, waited for, was retried for or failed with; what the user's code printed; how much of that is not kept."""


@dataclass(frozen=True)
class Entry:
    """One line, or the several of an error."""

    run: str
    step: str
    at: str
    """UTC, ISO 8601: when it was said, where it was said."""
    kind: Kind
    text: str
    origin: str = ""
    """The piece of work that printed it."""
    number: int = 0
    """Rises with each line; given by the ledger."""


def write(connection: Connection, project: str, entries: Sequence[Entry]) -> None:
    rows = [{"project": project, **{k: v for k, v in dataclasses.asdict(entry).items() if k != "number"}} for entry in entries]
    connection.execute(insert(table), rows)


def read(connection: Connection, project: str, run: str, step: str | None = None, after: int = 0, limit: int | None = None) -> list[Entry]:
    """In order, those behind the entry numbered `after`."""
    query = select(table).where(table.c.project == project, table.c.run == run, table.c.number > after)
    if step is not None:
        query = query.where(table.c.step == step)
    names = [field.name for field in dataclasses.fields(Entry)]
    return [Entry(**{n: getattr(row, n) for n in names}) for row in connection.execute(query.order_by(table.c.number).limit(limit))]
