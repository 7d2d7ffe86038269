"""InfraValidate: a real Serve replica of the candidate must answer as the bundle does, in time, and refuse bad input well."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from raypipe.core.artifact import Model, Report, Table, Version
from raypipe.core.errors import DataError, Problem
from raypipe.core.step import Columns, Made, Ref, Work

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.bundle.bundle import Bundle


@dataclass(frozen=True)
class InfraValidate:
    """Replays rows of the test part through a replica and compares: probabilities to 1e-5, every decision off the threshold."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("ray",)
    figures: ClassVar[tuple[str, ...]] = ("passed", "reasons", "checks")

    version: Ref[Version] = Ref("register")
    """The step whose version is tried."""
    model: Ref[Model] = Ref("train")
    """Its bundle."""
    table: Ref[Table] = Ref("split")
    """The rows before the transform; set to what `transform` reads."""
    rows: int = 64
    """Rows of the test part that are replayed."""
    latency_budget_ms: float = 1000.0
    """95 of 100 requests of one row must be answered within this time, in ms."""

    def check(self, where: str, **inputs: Columns | None) -> list[Problem]:
        return [] if self.rows >= 1 else [Problem(f"{where}.rows", f"found {self.rows}, expected at least 1.")]

    def run(self, work: Work, version: Version, model: Model, table: Table) -> Made[Report]:
        from raypipe.bundle.bundle import load
        from raypipe.serve.desired import Desired
        from raypipe.serve.probe import probe

        bundle = load(work.store, model)
        rows = self._test_rows(work, table, bundle)
        desired = Desired(version.figures["name"], version.figures["version"], work.store.root, model)
        work.report(f"replaying {rows.num_rows:,} rows through a replica of version {desired.version}")
        found = probe(desired, rows, bundle.predict(rows), latency_budget_ms=self.latency_budget_ms, inline=work.inline)
        for reason in found.reasons:
            work.report(reason)
        figures = found.to_json()
        return Made(hashlib.sha256(json.dumps([model.digest, figures["passed"]]).encode()).hexdigest(), figures=figures)

    def _test_rows(self, work: Work, table: Table, bundle: Bundle) -> pa.Table:
        from raypipe.data.fragment.fragment import read_fragment
        from raypipe.data.split import columns, mask
        from raypipe.data.table import TableSchema, fragments

        rule = TableSchema.from_json(table.schema).split
        wanted = list(dict.fromkeys([*bundle.inputs.names, *columns(rule)]))
        for fragment in reversed(fragments(work.ledger, table)):
            rows = read_fragment(work.store, fragment, wanted)
            found = rows.filter(mask(rule, rows, "test")).slice(0, self.rows).select(bundle.inputs.names)
            if found.num_rows:
                return found
        raise DataError(f"{work.step}: the test part of '{self.table}' has no rows to replay.")
