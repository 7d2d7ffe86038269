"""What a contract finds in rows: for each rule how many rows break it, with examples, merged over fragments in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.data.contract.breaches import Place, Reason, with_reasons
from raypipe.data.contract.contract import Column, Contract, bound, whole
from raypipe.data.types import is_text, value_type

NUM_EXAMPLES = 10
LONGEST_VALUE = 80
"""Characters of a value that stand in an example."""
NUM_REFUSED = 1_000
"""Rows of a batch that are kept to look at where a contract refuses it."""

_compute: Any = pc


@dataclass(frozen=True)
class Examined:
    """What a contract makes of some rows."""

    kept: pa.Table
    mask: Any
    """Which of the rows those are, numpy bool [rows]."""
    findings: list[Json]
    """One for each rule: `column`, `rule`, `bound`, `on_breach`, `figure` (rows that break it), `rows` (rows looked at), `examples`
    (`file`, `row`, `value`). What is a matter of the whole table is not among them."""
    quarantined: pa.Table | None = None
    """The rows that go to the table NAME~breaches, with their place and reasons; None where there are none."""
    refused: pa.Table | None = None
    """The first NUM_REFUSED rows that break a rule with `on_breach: fail`, the same way: for a person to look at."""

    @property
    def num_quarantined(self) -> int:
        return self.quarantined.num_rows if self.quarantined else 0


def examine(contract: Contract, table: pa.Table, place: Place) -> Examined:
    """Judges rows that have the contract's columns, in one pass. A row that breaks a rule with `drop` and one with `quarantine` goes to
    quarantine."""
    import numpy as np

    out = {what: np.zeros(table.num_rows, dtype=bool) for what in ("drop", "quarantine", "fail")}
    findings: list[Json] = []
    seen: list[Reason] = []
    for name, column in contract.columns.items():
        values = table.column(name)
        for rule, limit in _rules(column, values.type):
            finding = _finding(name, column, rule, limit)
            at = _broken(rule, limit, values)
            findings.append(finding | _seen(values, at, place))
            if len(at) and column.on_breach in out:
                out[column.on_breach][at] = True
                seen.append(Reason(reason(finding), at))
    quarantined = np.flatnonzero(out["quarantine"])
    kept = ~(out["drop"] | out["quarantine"])
    return Examined(
        table if kept.all() else table.filter(pa.array(kept)),
        kept,
        findings,
        with_reasons(table, place, quarantined, seen),
        with_reasons(table, place, np.flatnonzero(out["fail"])[:NUM_REFUSED], seen),
    )


def merge(parts: Sequence[list[Json]]) -> list[Json]:
    """The findings of fragments as those of all of them: rows added, the first ten examples."""
    merged: dict[tuple[str, str], Json] = {}
    for finding in (finding for part in parts for finding in part):
        key = (finding["column"], finding["rule"])
        before = merged.get(key)
        merged[key] = finding if before is None else _added(before, finding)
    return list(merged.values())


def words(finding: Mapping[str, Json]) -> str:
    """`column 'distance': 12 of 27,004 rows below 0 (first: flights-2013-03.parquet row 17: -4)`."""
    text = f"column '{finding['column']}': {finding['figure']:,} of {finding['rows']:,} rows {_verb(finding)}"
    if not finding["examples"]:
        return text
    first = finding["examples"][0]
    row = "" if first.get("row") is None else f" row {first['row']}"
    value = "" if finding["rule"] == "nulls" else f": {first['value']}"
    return f"{text} (first: {first['file']}{row}{value})"


def reason(finding: Mapping[str, Json]) -> str:
    """Why a row is kept out: `distance: below 0`."""
    return f"{finding['column']}: {_verb(finding)}"


def breaches(findings: Sequence[Mapping[str, Json]], on_breach: str) -> list[str]:
    """In words, those of the findings that some row breaks and of which that is done."""
    return [words(finding) for finding in findings if finding["figure"] and finding["on_breach"] == on_breach]


def finding_of_unique(name: str, column: Column, num_rows: int, figure: int, examples: list[Json]) -> Json:
    """The finding of a column that should have no value twice; `figure` counts the rows that have a value for the second time or more."""
    return _finding(name, column, "unique", None) | {"figure": figure, "rows": num_rows, "examples": examples[:NUM_EXAMPLES]}


def _finding(name: str, column: Column, rule: str, limit: Json) -> Json:
    return {"column": name, "rule": rule, "bound": limit, "on_breach": column.on_breach}


def _rules(column: Column, type: pa.DataType) -> list[tuple[str, Json]]:
    bounds = {"min": column.min, "max": column.max, "allowed": column.allowed, "pattern": column.pattern}
    return [*([] if column.nulls else [("nulls", False)]), *((rule, limit) for rule, limit in bounds.items() if limit is not None)]


def _broken(rule: str, limit: Any, values: pa.ChunkedArray) -> Any:
    """The places of the values that break the rule, numpy int64, ascending."""
    import numpy as np

    if pa.types.is_dictionary(values.type):
        values = values.cast(value_type(values.type))
    broken = _BREAKS[rule](limit, values)
    if not _compute.any(broken).as_py():
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(_compute.fill_null(broken, False).to_numpy())


_BREAKS: dict[str, Any] = {
    "nulls": lambda _, values: _compute.is_null(values, nan_is_null=True),
    # A comparison with null is null, with NaN false: what is missing breaks `nulls` only.
    "min": lambda limit, values: _compute.less(values, bound(limit, values.type)),
    "max": lambda limit, values: _compute.greater(values, bound(limit, values.type)),
    "allowed": lambda limit, values: _compute.and_(
        _present(values), _compute.invert(_compute.is_in(values, value_set=_limits(limit, values.type)))
    ),
    "pattern": lambda limit, values: _compute.invert(_compute.match_substring_regex(values, whole(limit))),
}


def _present(values: pa.ChunkedArray) -> Any:
    return _compute.invert(_compute.is_null(values, nan_is_null=True))


def _limits(limits: Sequence[Any], type: pa.DataType) -> pa.Array:
    return pa.array([bound(limit, type).as_py() for limit in limits], type)


def _seen(values: pa.ChunkedArray, at: Any, place: Place) -> Json:
    examples = [{"file": place.file, "row": int(place.rows[i]), "value": _shown(values[i])} for i in at[:NUM_EXAMPLES].tolist()]
    return {"figure": len(at), "rows": len(values), "examples": examples}


def _shown(value: pa.Scalar) -> Json:
    plain = value.as_py()
    if plain is None or (isinstance(plain, bool | int) and not isinstance(plain, str)):
        return plain
    if not (is_text(value.type) or isinstance(plain, str)):
        return str(plain)
    return repr(plain if len(plain) <= LONGEST_VALUE else plain[:LONGEST_VALUE] + "...")


def _added(a: Json, b: Json) -> Json:
    examples = [*a["examples"], *b["examples"]][:NUM_EXAMPLES]
    return {**a, "figure": a["figure"] + b["figure"], "rows": a["rows"] + b["rows"], "examples": examples}


def _verb(finding: Mapping[str, Json]) -> str:
    rule, limit = finding["rule"], finding["bound"]
    if rule == "allowed":
        named = ", ".join(map(str, limit[:NUM_EXAMPLES]))
        return f"not among {named}" + (f" and {len(limit) - NUM_EXAMPLES} more" if len(limit) > NUM_EXAMPLES else "")
    return {
        "nulls": "without a value",
        "min": f"below {limit}",
        "max": f"above {limit}",
        "pattern": f"not matching {limit}",
        "unique": "with a value that came before",
    }[rule]
