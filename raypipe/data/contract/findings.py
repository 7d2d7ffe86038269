"""What a contract finds: for each rule how many rows break it, of how many, with examples; merged over fragments in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raypipe.core.artifact import Json
from raypipe.data.types import is_text

NUM_EXAMPLES = 10
LONGEST_VALUE = 80
"""Characters of a value that stand in an example."""

Finding = Mapping[str, Json]
"""`column` (None of a rule over several, and of the table's figures), `rule`, `bound`, `on_breach`, `figure` (rows that break it, or what
was measured), `rows` (rows looked at), `examples` (`file`, `row`, `value`); `at_most`, the share of rows that may break it, where that is
not stated as any or none; once it is judged, `passed`."""


def finding(column: str | None, rule: str, limit: Json, on_breach: str, at_most: float | None) -> dict[str, Json]:
    """One without a figure yet."""
    about = {"column": column, "rule": rule, "bound": limit, "on_breach": on_breach}
    return about | ({} if at_most is None else {"at_most": at_most})


def allowance(on_breach: str, tolerance: float | None) -> float | None:
    """The share of rows that may break a rule; None is any, where they are left out anyhow."""
    return tolerance if tolerance is not None else None if on_breach in ("drop", "quarantine") else 0.0


def merge(parts: Sequence[Sequence[Finding]]) -> list[dict[str, Json]]:
    """The findings of fragments as those of all of them: rows added, the first ten examples."""
    merged: dict[tuple[str | None, str], dict[str, Json]] = {}
    for found in (found for part in parts for found in part):
        key = (found["column"], found["rule"])
        before = merged.get(key)
        merged[key] = dict(found) if before is None else _added(before, found)
    return list(merged.values())


def passed(found: Finding) -> bool:
    """Whether no more rows break it than may."""
    if "passed" in found:
        return found["passed"]
    return found.get("at_most") is None or found["figure"] <= found["at_most"] * found["rows"] + 1e-9


def refusals(findings: Sequence[Finding]) -> list[str]:
    """In words, those for which nothing may be taken."""
    return [words(found) for found in findings if found["on_breach"] != "warn" and not passed(found)]


def tolerated(findings: Sequence[Finding]) -> list[str]:
    """In words, those that something breaks and for which nothing is refused, each with what is done."""
    done = {"drop": "dropped", "quarantine": "in quarantine"}
    return [f"{words(found)}: {done.get(found['on_breach'], 'kept')}" for found in findings if is_news(found) and not _is_refused(found)]


def is_news(found: Finding) -> bool:
    """Whether a person wants to hear of it: a rule that is broken, rows that are left out; not a share of nulls that may be."""
    if is_measured(found) or (found["rule"] == "nulls" and found.get("at_most")) or found["on_breach"] == "warn":
        return not passed(found)
    return bool(found["figure"])


def _is_refused(found: Finding) -> bool:
    return not passed(found) and found["on_breach"] != "warn" and found["rule"] != "freshness"


def is_measured(found: Finding) -> bool:
    """Whether the figure is a measure of the table, and not a number of rows."""
    return found["rule"] in _OF_TABLE


def words(found: Finding) -> str:
    """`column 'distance': 12 of 27,004 rows below 0 (first: flights-2013-03.parquet row 17: -4)`."""
    if found["rule"] in _OF_TABLE:
        return _OF_TABLE[found["rule"]](found)
    text = f"{subject(found)}: {found['figure']:,} of {found['rows']:,} rows {verb(found)}{_share(found)}"
    if not found["examples"]:
        return text
    first = found["examples"][0]
    row = "" if first.get("row") is None else f" row {first['row']}"
    value = "" if found["rule"] == "nulls" else f": {first['value']}"
    return f"{text} (first: {first['file']}{row}{value})"


def subject(found: Finding) -> str:
    """What it is about: `column 'distance'`, `columns 'carrier', 'flight'`, `rule 'arrives_later'`."""
    column = found["column"]
    if column is None:
        return f"rule '{found['rule']}'"
    names = column.split(", ") if found["rule"] == "unique" else [column]
    return f"column{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"


def reason(found: Finding) -> str:
    """Why a row is kept out: `distance: below 0`, `later: not (arr > dep)`."""
    return f"{found['rule']}: not ({found['bound']})" if found["column"] is None else f"{found['column']}: {verb(found)}"


def verb(found: Finding) -> str:
    """What the rows are or do that break it."""
    rule, limit = found["rule"], found["bound"]
    if found["column"] is None:
        return f"for which it does not hold that {limit}"
    if rule == "allowed":
        named = ", ".join(map(str, limit[:NUM_EXAMPLES]))
        return f"not among {named}" + (f" and {len(limit) - NUM_EXAMPLES} more" if len(limit) > NUM_EXAMPLES else "")
    return {
        "nulls": "without a value",
        "min": f"below {limit}",
        "max": f"above {limit}",
        "pattern": f"not matching {limit}",
        "min_length": f"shorter than {limit}",
        "max_length": f"longer than {limit}",
        "references": f"not in {limit}",
        "unique": "with a value that came before" if ", " not in found["column"] else "with values that came before",
    }[rule]


def shown(value: Any) -> Json:
    """A scalar as an example has it."""
    plain = value.as_py()
    if plain is None or isinstance(plain, bool | int):
        return plain
    if not (is_text(value.type) or isinstance(plain, str)):
        return str(plain)
    return repr(plain if len(plain) <= LONGEST_VALUE else plain[:LONGEST_VALUE] + "...")


def _share(found: Finding) -> str:
    if not found.get("at_most"):
        return ""
    share = found["figure"] / found["rows"] if found["rows"] else 0.0
    return f", {share:.3%} where {found['at_most']:.3%} may be"


def _added(a: Finding, b: Finding) -> dict[str, Json]:
    if "newest" in a:
        return {**a, "newest": max(filter(None, (a["newest"], b["newest"])), default=None)}
    examples = [*a["examples"], *b["examples"]][:NUM_EXAMPLES]
    return {**a, "figure": a["figure"] + b["figure"], "rows": a["rows"] + b["rows"], "examples": examples}


def _rows_told(found: Finding) -> str:
    least = found["rule"] == "min_rows"
    return f"the table has {found['figure']:,} rows, the contract asks for at {'least' if least else 'most'} {found['bound']:,}"


def _freshness_told(found: Finding) -> str:
    if not found["newest"]:
        return f"column '{found['column']}': no value that tells how fresh the table is"
    return (
        f"column '{found['column']}': the newest value is {found['newest']}, {age(found['figure'])} old, expected at most {found['bound']}"
    )


def _distance_told(found: Finding) -> str:
    measured = f"{found['measure']} distance {found['figure']:.4f} from {found['against']}, expected at most {found['bound']:g}"
    return f"column '{found['column']}': {measured}"


_OF_TABLE = {"min_rows": _rows_told, "max_rows": _rows_told, "freshness": _freshness_told, "distance": _distance_told}


def age(seconds: float) -> str:
    """`3.2 days`, `40.5 hours`, `12 minutes`."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.0f} seconds"
