"""Validate: what the contract found in a table, as a report that must pass before the table is used."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from raypipe.core.artifact import Report, Table
from raypipe.core.step import Made, Ref, Work


@dataclass(frozen=True)
class Validate:
    """The figures of the pass that wrote the table; it reads the table again only where the contract alone changed since."""

    revision: ClassVar[int] = 1

    contract: Any
    """What the rows must be: raypipe.Contract. Set by the slot `contract`."""
    table: Ref[Table] = Ref("source")
    """The step whose table is validated."""

    def run(self, work: Work, table: Table) -> Made[Report]:
        from raypipe.data.contract.judgement import findings_of

        findings = findings_of(work, self.contract, table)
        for line in findings["summary"]:
            work.report(line)
        digest = hashlib.sha256(json.dumps([table.digest, findings], sort_keys=True).encode()).hexdigest()
        return Made(digest, figures=findings)
