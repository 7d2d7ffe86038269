"""Validate: what the contract found in a table, as a report that must pass before the table is used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from raypipe.core.artifact import Json, Report, Table
from raypipe.core.errors import Problem
from raypipe.core.step import Columns, Look, Made, Ref, Work


@dataclass(frozen=True)
class Validate:
    """The figures of the pass that wrote the table; it reads the table again only where the contract alone changed since."""

    revision: ClassVar[int] = 1
    figures: ClassVar[tuple[str, ...]] = ("passed", "rules", "rows", "against", "summary")

    contract: Any
    """What the rows must be: raypipe.Contract. Set by the slot `contract`."""
    table: Ref[Table] = Ref("source")
    """The step whose table is validated."""

    def observe(self, look: Look, table: Table | None = None) -> Json:
        """The content of the tables that the contract references or measures a distance from."""
        if not any(column.references or column.distance for column in self.contract.columns.values()):
            return {}
        from raypipe.data.contract.references import observed

        return observed(look, self.contract)

    def stale(self, look: Look, artifact: Report) -> str | None:
        """The table has grown too old since it was judged."""
        if self.contract.freshness is None:
            return None
        from raypipe.data.contract.judgement import outdated

        return outdated(self.contract, artifact.figures)

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        if table == self.contract.columns_of():
            # The Ingest that wrote it has the same one, and has told them.
            return []
        return [Problem(f"{where}.contract", text) for text in self.contract.problems()]

    def run(self, work: Work, table: Table) -> Made[Report]:
        from raypipe.data.contract.judgement import findings_of

        findings = findings_of(work, self.contract, table)
        for line in findings["summary"]:
            work.report(line)
        digest = hashlib.sha256(json.dumps([table.digest, findings], sort_keys=True).encode()).hexdigest()
        return Made(digest, figures=findings)
