"""Steps run by themselves: tables of a few fragments in a store and a ledger of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raypipe.core.artifact import Json, Table
from raypipe.core.ledger import Ledger, Record
from raypipe.core.step import Made, Work
from raypipe.core.store import Store
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.fragment.together import read_fragments
from raypipe.data.table import TableSchema, fragments, made


@dataclass
class Bench:
    """Publishes tables and runs steps as the driver would."""

    work: Work
    lines: list[str] = field(default_factory=list)
    """What the last step reported."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def table(self, *parts: pa.Table, known_afterwards: Sequence[str] = (), split: Json = None, label: str | None = None) -> Table:
        """A table of these fragments."""
        number = next(self.numbers)
        written = [write_fragment(self.work.store, f"given/{number}/{i}.parquet", part) for i, part in enumerate(parts)]
        schema = TableSchema(parts[0].schema, tuple(known_afterwards), split, label)
        return self.publish(made(self.work, f"given.t{number}", schema, written, mode="overwrite"))

    def run(self, step: Any, inline: bool = True, **inputs: Table) -> Table:
        """What the step makes of its inputs, published."""
        self.lines.clear()
        path = f"p/{type(step).__name__}/{next(self.numbers)}"
        work = Work(**{**self.work.__dict__, "path": path, "inline": inline, "report": self.lines.append})
        return self.publish(step.run(work, **inputs))

    def publish(self, made: Made[Table]) -> Table:
        fingerprint = f"f{next(self.numbers)}"
        lease = self.work.ledger.claim(fingerprint, "r1")
        about: dict[str, Any] = {"pipeline": self.work.pipeline, "step": self.work.step, "run": "r1", "fingerprint": fingerprint}
        record = Record(kind="Table", digest=made.digest, files=made.files, schema=made.schema, figures=made.figures, **about)
        published = self.work.ledger.publish(lease, record, made.commits)
        assert isinstance(published, Table)
        return published

    def read(self, table: Table) -> pa.Table:
        return read_fragments(self.work.store, fragments(self.work.ledger, table), TableSchema.from_json(table.schema).arrow)

    def fragments(self, table: Table) -> list[Any]:
        return fragments(self.work.ledger, table)


@pytest.fixture
def bench(tmp_path: Path, ledger: Ledger, store: Store) -> Bench:
    return Bench(Work(project=ledger.project, project_path=tmp_path, pipeline="p", step="s", ledger=ledger, store=store, run="r1"))


@pytest.fixture
def dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of any size are dealt to many buckets, which are worked on by several tasks."""
    from raypipe.data.shuffle import exchange, stages

    monkeypatch.setattr(stages, "SMALL_BYTES", -1)
    monkeypatch.setattr(exchange, "BUCKET_BYTES", 4096)
    monkeypatch.setattr(exchange, "PARTITION_BYTES", 8192)


@pytest.fixture(params=["one task", "dealt"])
def way(request: pytest.FixtureRequest) -> str:
    """Rows across a table are brought together by one task, or dealt to many."""
    if request.param == "dealt":
        request.getfixturevalue("dealt")
    return request.param
