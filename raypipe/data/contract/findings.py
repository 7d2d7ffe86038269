"""What a contract finds in rows: for each rule how many rows break it, with examples, merged over fragments in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.data.contract.contract import Column, Contract, bound, whole
from raypipe.data.types import is_text, value_type

NUM_EXAMPLES = 10
LONGEST_VALUE = 80
"""Characters of a value that stand in an example."""

_compute: Any = pc


@dataclass(frozen=True)
class Place:
    """Where rows come from: a file, and the number of each of them in it, counted from 1."""

    file: str
    rows: Any
    """numpy integers [rows]."""


def examine(contract: Contract, table: pa.Table, place: Place) -> tuple[pa.Table, Any, list[Json]]:
    """The rows to keep, which of the rows those are (numpy bool [rows]), and a finding for each rule of the contract.

    A finding: `column`, `rule`, `bound`, `on_breach`, `figure` (rows that break it), `rows` (rows looked at), `examples` (`file`, `row`,
    `value`). `unique` is not among them: it is a matter of the whole table.
    """
    import numpy as np

    kept = np.ones(table.num_rows, dtype=bool)
    findings: list[Json] = []
    for name, column in contract.columns.items():
        values = table.column(name)
        for rule, limit in _rules(column, values.type):
            broken = _broken(rule, limit, values)
            findings.append(_finding(name, column, rule, limit) | _seen(values, broken, place))
            if column.on_breach == "drop":
                kept &= ~broken
    return (table if kept.all() else table.filter(pa.array(kept))), kept, findings


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
    """True where a value breaks the rule, numpy bool [rows]."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(value_type(values.type))
    broken = _BREAKS[rule](limit, values)
    return _compute.fill_null(broken, False).to_numpy()


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


def _seen(values: pa.ChunkedArray, broken: Any, place: Place) -> Json:
    import numpy as np

    at = np.flatnonzero(broken)
    examples = [{"file": place.file, "row": int(place.rows[i]), "value": _shown(values[i])} for i in at[:NUM_EXAMPLES].tolist()]
    return {"figure": len(at), "rows": len(broken), "examples": examples}


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
