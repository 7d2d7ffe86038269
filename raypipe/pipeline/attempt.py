"""An attempt at making something: under a lease, in a folder of its own. `data/lake/attempts.py` tells such folders when it collects."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from raypipe.core.lease import Heartbeat, Lease, fence
from raypipe.core.ledger import Ledger
from raypipe.core.step import Look, Work

if TYPE_CHECKING:
    from sqlalchemy import Connection


@contextmanager
def leased(ledger: Ledger, key: str, run: str) -> Iterator[tuple[Lease, Heartbeat]]:
    """The lease of that key, kept alive, and given back at the end; LeaseHeld where another has it."""
    lease = ledger.claim(key, run)
    heartbeat = Heartbeat(ledger, lease)
    try:
        with heartbeat:
            yield lease, heartbeat
    finally:
        if not heartbeat.given_back:
            ledger.release(lease)


def work_under(lease: Lease, heartbeat: Heartbeat, look: Look, run: str, **more: Any) -> Work:
    """What a step works with, in the folder `PIPELINE/STEP/TOKEN-ID`; `more` are further fields of Work."""
    fields = {f.name: getattr(look, f.name) for f in dataclasses.fields(look)}
    path = f"{look.pipeline}/{look.step}/{lease.token:06d}-{uuid.uuid4().hex[:12]}"

    def keep(write: Callable[[Connection], None]) -> None:
        with look.ledger.writing() as connection:
            fence(connection, look.ledger.project, lease)
            write(connection)

    return Work(**{**fields, "run": run, "path": path, "alive": heartbeat.check, "keep": keep, **more})
