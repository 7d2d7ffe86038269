"""The judgement of a contract over a table: of the pass that wrote it, or of another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.core.artifact import Json, Table
from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.data.contract.breaches import Place
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.findings import breaches, examine, merge, words
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.ingest.intake import Taken
from raypipe.data.map import map_fragments
from raypipe.data.table import fragments

if TYPE_CHECKING:
    from raypipe.core.store import Store


def findings_of(work: Work, contract: Contract, table: Table) -> dict[str, Json]:
    """`passed`, `rules` (every rule with its figure), `rows`, `summary` (lines): of the pass that wrote the table, or of another one where
    this contract was not the one that it was written under. DataError with every rule that is broken and fails."""
    written = table.figures.get("contract")
    if written and written["digest"] == contract.digest():
        rules = written["rules"]
    else:
        parts = fragments(work.ledger, table)
        rules = merge(map_fragments(_Examine(work.store, contract), parts, inline=work.inline))
        rules = [*rules, *_unique(work, contract, parts, {})]
    _refuse_breaches(work, contract, rules, table.num_rows)
    broken = [words(rule) for rule in rules if rule["figure"]]
    return {"passed": True, "rules": rules, "rows": table.num_rows, "summary": broken or [f"{len(rules)} rules, none broken"]}


@dataclass(frozen=True)
class Stays:
    """What is in the table already, and stays."""

    num_rows: int = 0
    fragments: Callable[[], Sequence[Fragment]] = lambda: ()
    """Asked for only where a rule looks at the whole table."""
    table: Table | None = None
    """With the contract's figures over those rows; None where they are not known."""


def judged(work: Work, contract: Contract | None, stays: Stays, taken: Sequence[Taken]) -> dict[str, Json]:
    """The contract's figures over the whole table, those of what stays and of what was taken, where all of it was taken under this
    contract. DataError where it is broken."""
    if contract is None:
        return {}
    new = [fragment for t in taken for fragment in t.fragments]
    names = {fragment.path: t.piece.name for t in taken for fragment in t.fragments}
    whole = [*stays.fragments(), *new] if any(column.unique for column in contract.columns.values()) else []
    found = [*merge([t.findings for t in taken]), *_unique(work, contract, whole, names)]
    _refuse_breaches(work, contract, found, stays.num_rows + sum(f.num_live for f in new))
    for what, done in (("drop", "dropped"), ("quarantine", "in quarantine"), ("warn", "kept")):
        for text in breaches(found, what):
            work.report(f"{text}: {done}")
    if not stays.num_rows:
        return {"contract": {"digest": contract.digest(), "rules": found}}
    earlier = stays.table.figures.get("contract") if stays.table else None
    if not earlier or earlier["digest"] != contract.digest():
        return {}
    rules = [rule for rule in earlier["rules"] if rule["rule"] != "unique"]
    return {"contract": {"digest": contract.digest(), "rules": merge([rules, found])}}


def _unique(work: Work, contract: Contract, parts: Sequence[Fragment], names: Mapping[str, str]) -> list[Json]:
    if not any(column.unique for column in contract.columns.values()):
        return []
    from raypipe.data.contract.unique import repeated

    told = {fragment.path: names.get(fragment.path, "rows taken before") for fragment in parts}
    return repeated(work.store, contract, parts, told, work.inline)


def _refuse_breaches(work: Work, contract: Contract, rules: Sequence[Json], num_rows: int) -> None:
    told = breaches(rules, "fail")
    # A sample of a table need not be as large as the table.
    if num_rows < (contract.min_rows if work.sample >= 1 else min(contract.min_rows, 1)):
        told.append(f"the table has {num_rows:,} rows, the contract asks for at least {contract.min_rows:,}")
    if told:
        raise DataError("\n".join(told))


@dataclass(frozen=True)
class _Examine:
    """A fragment -> what a contract finds in it. It travels to a task."""

    store: Store
    contract: Contract

    def __call__(self, fragment: Fragment) -> list[Json]:
        import numpy as np

        rows = self.contract.fit(read_fragment(self.store, fragment))
        return examine(self.contract, rows, Place(fragment.path, np.arange(1, rows.num_rows + 1))).findings
