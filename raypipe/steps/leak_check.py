"""LeakCheck: rows and keys that parts of a split share, and columns that alone give the label away, as a report."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import ClassVar

from raypipe.core.artifact import Report, Table
from raypipe.core.errors import Problem, nearest
from raypipe.core.step import Columns, Made, Ref, Work


@dataclass(frozen=True)
class LeakCheck:
    """A report that fails where a bound is broken: what reads it is then left out. As the step `leak_check` it is read by `train`."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("numpy",)
    figures: ClassVar[tuple[str, ...]] = ("passed", "rules", "rows", "summary")

    table: Ref[Table] = Ref("split")
    """The step whose table is checked; it must have a split."""
    label: str | None = None
    """The label's column; left out: the pipeline's `label`, or what the table says is its label."""
    rows: list[str] | None = None
    """Columns by whose content two rows are the same row; null: all but the keys, []: no rows are looked for."""
    keys: list[str] = field(default_factory=list)
    """Columns of which no value should be in two parts, such as a customer's number; a row without a value has no key."""
    suspects: list[str] | None = None
    """Columns that might give the label away; null: all but the label, []: none are looked at."""
    max_shared_rows: float = 0.0
    """Greatest share of a part's rows that may be in an earlier part too, 0 to 1."""
    max_shared_keys: float = 0.0
    """Greatest share of a part's rows whose key may be in an earlier part too, 0 to 1."""
    max_auc: float = 0.99
    """Greatest AUC that a column may reach by itself, 0.5 to 1; one that is known only afterwards may reach any, and is told."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        shares = {"max_shared_rows": self.max_shared_rows, "max_shared_keys": self.max_shared_keys}
        found = [Problem(f"{where}.{n}", f"found {s}, expected a share from 0 to 1.") for n, s in shares.items() if not 0 <= s <= 1]
        if not 0.5 <= self.max_auc <= 1:
            found.append(Problem(f"{where}.max_auc", f"found {self.max_auc}, expected an AUC from 0.5 to 1."))
        if table is None or table.names is None:
            return found
        named = {"rows": self.rows, "keys": self.keys, "suspects": self.suspects, "label": [self.label] if self.label else []}
        missing = [(setting, c) for setting, names in named.items() for c in names or () if c not in table.names]
        return found + [
            Problem(f"{where}.{setting}", f"there is no column '{c}' in '{self.table}'.{nearest(c, table.names)}") for setting, c in missing
        ]

    def run(self, work: Work, table: Table) -> Made[Report]:
        from raypipe.data.leak import Bounds, leaks

        bounds = Bounds(self.max_shared_rows, self.max_shared_keys, self.max_auc)
        found = leaks(work, table, self.label, self.rows, self.keys, self.suspects, bounds)
        for line in found["summary"]:
            work.report(line)
        digest = hashlib.sha256(json.dumps([table.digest, found], sort_keys=True).encode()).hexdigest()
        return Made(digest, figures=found)
