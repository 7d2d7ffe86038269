"""Ingest: takes what is new in a source into a table, checked by a contract as it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from raypipe.core.artifact import Json, Table
from raypipe.core.errors import Problem
from raypipe.core.step import Columns, Look, Made, Work


@dataclass(frozen=True)
class Ingest:
    """Appends the files that the table does not hold yet, each exactly once; a file that changed since is refused by name."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("pyarrow",)

    source: Any
    """Where the rows are: raypipe.Parquet, raypipe.Csv."""
    contract: Any = None
    """What the rows must be: raypipe.Contract. One that drops no rows is no part of the fingerprint, but for marks and types."""
    table: str | None = None
    """Name of the table, to share it between pipelines; by default PIPELINE.STEP."""

    @classmethod
    def identity(cls, settings: dict[str, Json]) -> dict[str, Json]:
        """The settings that shape the rows."""
        contract = settings.pop("contract", None) or {}
        columns = contract.get("columns", {})
        marks = sorted(n for n, c in columns.items() if c.get("known") == "afterwards")
        drops = {n: c for n, c in columns.items() if c.get("on_breach") == "drop"}
        return {**settings, "types": {n: c.get("type") for n, c in columns.items()}, "known_afterwards": marks, "drops": drops}

    def observe(self, look: Look) -> Json:
        """The state of the source: a digest of its files' paths, sizes and content; a watermark; offsets."""
        from raypipe.data.progress import source_state

        return source_state(look, self.source, self.contract, self._table(look))

    def check(self, where: str) -> list[Problem]:
        parts = {f"{where}.source": self.source, f"{where}.contract": self.contract}
        return [Problem(at, text) for at, part in parts.items() if hasattr(part, "problems") for text in part.problems()]

    def columns(self) -> Columns:
        return self.contract.columns_of() if self.contract is not None else Columns(None)

    def run(self, work: Work) -> Made[Table]:
        from raypipe.data.ingest import ingest

        return ingest(work, self.source, self.contract, self._table(work))

    def _table(self, look: Look) -> str:
        name = self.table or f"{look.pipeline}.{look.step}"
        return name if look.sample >= 1 else f"{name}~{look.sample:g}"
