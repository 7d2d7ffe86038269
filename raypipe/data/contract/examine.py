"""The examination of rows by a contract, in one pass: which of them are kept, which go where, and what every rule has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.contract.against import NOTHING, Against
from raypipe.data.contract.checks import broken, checks, plain
from raypipe.data.contract.contract import Contract, Rule
from raypipe.data.contract.findings import LONGEST_VALUE, NUM_EXAMPLES, allowance, finding, reason, shown
from raypipe.data.contract.reasons import Place, Reason, with_reasons
from raypipe.data.fragment.sieve import kept as sieved
from raypipe.data.types import type_name

if TYPE_CHECKING:
    import numpy as np

NUM_REFUSED = 1_000
"""Rows that are kept to look at where a contract refuses a batch."""
_compute: Any = pc


@dataclass(frozen=True)
class Examined:
    """What a contract makes of some rows."""

    kept: pa.Table
    mask: Any
    """Which of the rows those are, numpy bool [rows]."""
    findings: list[dict[str, Json]]
    """One for each rule that rows can be held to one by one, and the newest value where the contract states freshness."""
    quarantined: pa.Table | None = None
    """The rows that go to the table NAME~breaches, with their place and reasons; None where there are none."""
    refused: pa.Table | None = None
    """The first NUM_REFUSED rows that break a rule with `on_breach: fail`, the same way: for a person to look at."""

    @property
    def num_quarantined(self) -> int:
        return self.quarantined.num_rows if self.quarantined else 0


def examine(contract: Contract, table: pa.Table, place: Place, others: Against = NOTHING) -> Examined:
    """Judges rows that have the contract's columns; `others` are the tables that it references (`against.against`).

    A row that breaks a rule with `drop` and one with `quarantine` goes to quarantine. Every rule looks at every row.
    """
    import numpy as np

    seen = _Seen(table, place)
    _examine_columns(contract, seen, others)
    _examine_rules(contract.rules, seen)
    out = seen.out
    mask = ~(out["drop"] | out["quarantine"]) if seen.reasons else np.ones(table.num_rows, dtype=bool)
    kept = table if not seen.reasons or mask.all() else sieved(table, mask)
    if contract.freshness is not None:
        seen.findings.append(_newest(contract, kept))
    gone = [np.flatnonzero(out[what])[:most] for what, most in (("quarantine", None), ("fail", NUM_REFUSED))]
    return Examined(kept, mask, seen.findings, *(with_reasons(table, place, at, seen.reasons) for at in gone))


class _Seen:
    """What was found so far."""

    def __init__(self, table: pa.Table, place: Place):
        import numpy as np

        self.table, self.place = table, place
        self.findings: list[dict[str, Json]] = []
        self.reasons: list[Reason] = []
        self.out = {what: np.zeros(table.num_rows, dtype=bool) for what in ("drop", "quarantine", "fail")}

    def add(self, found: dict[str, Json], at: np.ndarray, values: Sequence[Json], of_table: bool = False) -> None:
        """A rule with the places of the rows that break it and what the first of them have; `of_table`: no single row breaks it."""
        examples = [
            {"file": self.place.file, "row": int(self.place.rows[i]), "value": value}
            for i, value in zip(at[:NUM_EXAMPLES].tolist(), values, strict=True)
        ]
        self.findings.append(found | {"figure": len(at), "rows": self.table.num_rows, "examples": examples})
        if len(at) and not of_table and found["on_breach"] in self.out:
            self.out[found["on_breach"]][at] = True
            self.reasons.append(Reason(reason(found), at))


def _examine_columns(contract: Contract, seen: _Seen, others: Against) -> None:
    for name, column in contract.columns.items():
        if not column.stated:
            continue
        values = seen.table.column(name)
        for rule, limit in checks(column):
            breach, share = column.breach(rule), column.nulls_share if rule == "nulls" else None
            at_most = allowance(breach, column.tolerance) if share is None else share
            at = broken(rule, limit, values)
            found = finding(name, rule, limit, breach, at_most)
            seen.add(found, at, _values(values, at), of_table=share is not None)
        if column.references is not None:
            breach = column.breach("references")
            at = others.absent(name, values)
            found = finding(name, "references", others.values[name].name, breach, allowance(breach, column.tolerance))
            seen.add(found, at, _values(values, at))


def _values(values: pa.ChunkedArray, at: np.ndarray) -> list[Json]:
    return [shown(values[i]) for i in at[:NUM_EXAMPLES].tolist()]


def _examine_rules(rules: dict[str, Rule], seen: _Seen) -> None:
    import numpy as np

    if not rules:
        return
    from raypipe.data.expression import Expression, computed

    expressions = {name: Expression(rule.sql) for name, rule in rules.items()}
    for name, values in computed(expressions, seen.table).items():
        rule = rules[name]
        at = np.flatnonzero(_not_holding(name, rule, values))
        reads = expressions[name].columns
        told = [", ".join(f"{c} {_short(seen.table.column(c)[i])}" for c in reads) for i in at[:NUM_EXAMPLES].tolist()]
        seen.add(finding(None, name, rule.sql, rule.on_breach, allowance(rule.on_breach, rule.tolerance)), at, told)


def _not_holding(name: str, rule: Rule, values: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_null(values.type):
        values = values.cast(pa.bool_())
    if not pa.types.is_boolean(values.type):
        raise DataError(f"rule '{name}': '{rule.sql}' is no condition: it is {type_name(values.type)}, expected true or false")
    return ~_compute.fill_null(values, rule.nulls == "pass").to_numpy()


def _short(value: pa.Scalar) -> str:
    return str(value.as_py())[:LONGEST_VALUE]


def _newest(contract: Contract, rows: pa.Table) -> dict[str, Json]:
    """The newest value of the column that says how fresh the table is, ISO 8601 in UTC."""
    fresh = contract.freshness
    assert fresh is not None
    newest = _compute.max(plain(rows.column(fresh.column)))
    about = finding(fresh.column, "freshness", fresh.within, fresh.on_breach, None)
    return about | {"newest": _utc(newest), "figure": 0, "rows": 0, "examples": []}


def _utc(value: Any) -> str | None:
    if not value.is_valid:
        return None
    zone = value.type.tz if pa.types.is_timestamp(value.type) else None
    micros = value.cast(pa.timestamp("us", zone), safe=False) if zone else value.cast(pa.timestamp("us"), safe=False)
    return datetime.fromtimestamp(micros.value / 1e6, UTC).isoformat(timespec="seconds")
