"""The steps of raypipe's side: a function of a table, which is a task with a Parquet file and a snapshot, and a class that says figures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from raypipe import Made, Ref, Report, Work


def first() -> pa.Table:
    return pa.table({"number": [0]})


def add(table: pa.Table, by: int = 1) -> pa.Table:
    return pa.table({"number": [table["number"][0].as_py() + by]})


@dataclass(frozen=True)
class Figure:
    """Adds to the number that it reads, in the driver."""

    driver_only: ClassVar[bool] = True
    by: int = 0
    reads: Ref[Report] | None = None

    def run(self, work: Work, reads: Report | None = None) -> Made[Report]:
        number = self.by + (reads.figures["number"] if reads else 0)
        return Made(hashlib.sha256(str(number).encode()).hexdigest(), figures={"number": number})
