"""The leak check: what parts of a split share, and columns that alone give the label away, judged by bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from raypipe.core.artifact import Json, Table
from raypipe.core.errors import DataError, nearest
from raypipe.core.step import Work
from raypipe.data.giveaway import Asked, Giveaway, can_be_told, giveaways
from raypipe.data.shared import Shared, Sought, shared
from raypipe.data.split import columns as rule_columns
from raypipe.data.table import TableSchema, fragments


@dataclass(frozen=True)
class Bounds:
    """What may be, before it is a leak."""

    max_shared_rows: float
    max_shared_keys: float
    max_auc: float


def leaks(
    work: Work,
    table: Table,
    label: str | None,
    rows: Sequence[str] | None,
    keys: Sequence[str],
    columns: Sequence[str] | None,
    bounds: Bounds,
) -> dict[str, Json]:
    """`passed`, `rules` (each with `rule`, `figure`, `bound`, `passed`, `words` and what was found), `summary` (lines). None for `rows`
    means all but the keys, for `columns` all but the label. DataError where the table has no split, or a column is not there."""
    schema, parts = TableSchema.from_json(table.schema), fragments(work.ledger, table)
    if schema.split is None:
        raise DataError(f"{work.step}: table {table.name} has no split, so it has no parts that could share anything; let it read a split.")
    label = label or schema.label
    _refuse_missing(work, schema, [*(rows or ()), *keys, *(columns or ()), *([label] if label else [])])
    chosen = tuple(name for name in schema.arrow.names if name not in keys) if rows is None else tuple(rows)
    rules = _shared_rules("rows", chosen, bounds.max_shared_rows, _look(work, schema, chosen, True, parts)) if chosen else []
    for key in keys:
        rules += _shared_rules("key", (key,), bounds.max_shared_keys, _look(work, schema, (key,), False, parts))
    rules += _column_rules(schema, _give(work, schema, label, columns, parts), bounds.max_auc)
    summary = [rule["words"] for rule in rules if rule["figure"] is not None and rule["figure"] > rule["bound"]]
    passed = all(rule["passed"] for rule in rules)
    return {"passed": passed, "rules": rules, "rows": table.num_rows, "summary": summary or [f"{len(rules)} rules, none broken"]}


def _look(work: Work, schema: TableSchema, columns: tuple[str, ...], nulls: bool, parts: Sequence[Json]) -> list[Shared]:
    work.alive()
    return shared(Sought(work.store, schema.split, columns, nulls), parts, work.inline)


def _give(work: Work, schema: TableSchema, label: str | None, columns: Sequence[str] | None, parts: Sequence[Json]) -> list[Giveaway]:
    """Of all columns but the label where none are named; those of types that are not looked at are told."""
    if columns is not None and not columns:
        return []
    if label is None:
        raise DataError(f"{work.step}: the table has no label to be given away: name it (label: NAME), or leave that out (suspects: []).")
    names = [name for name in (schema.arrow.names if columns is None else columns) if name != label]
    left_out = [name for name in names if not can_be_told(schema.arrow.field(name).type)]
    if left_out:
        work.report(f"not looked at for giving the label away, by their types: {', '.join(left_out)}")
    work.alive()
    told = tuple(name for name in names if name not in left_out)
    return giveaways(Asked(work.store, schema.split or {}, label, told), parts, work.inline) if told else []


def _shared_rules(rule: str, columns: tuple[str, ...], bound: float, found: Sequence[Shared]) -> list[Json]:
    return [
        {
            "rule": f"shared_{rule}",
            "columns": list(columns),
            "between": [one.earlier, one.later],
            "figure": (share := one.num_rows / one.of_rows if one.of_rows else 0.0),
            "bound": bound,
            "passed": share <= bound,
            "values": one.num_values,
            "rows": one.num_rows,
            "of_rows": one.of_rows,
            "examples": one.examples,
            "words": _words(rule, columns, one),
        }
        for one in found
    ]


def _words(rule: str, columns: tuple[str, ...], one: Shared) -> str:
    what = f"rows of {one.later} are in {one.earlier} too, alike" if rule == "rows" else f"rows of {one.later} have a {columns[0]} that is"
    where = f"in {_list(columns)}" if rule == "rows" else f"in {one.earlier} too"
    text = f"{one.num_rows:,} of {one.of_rows:,} {what} {where} ({one.num_values:,} different)"
    if not one.examples:
        return text
    first = one.examples[0]
    at = " and ".join(f"{first[part]['file']} row {first[part]['row']}" for part in (one.earlier, one.later))
    value = f" {first['value'][columns[0]]}" if rule == "key" else ""
    return f"{text}; first{value}: {at}"


def _column_rules(schema: TableSchema, found: Sequence[Giveaway], bound: float) -> list[Json]:
    """A column that is known only afterwards is told and lets the check pass: no model may read it."""
    rules = []
    for one in found:
        afterwards = one.column in schema.known_afterwards
        over = one.auc is not None and one.auc > bound
        rules.append(
            {
                "rule": "gives_label_away",
                "figure": one.auc,
                "bound": bound,
                "passed": afterwards or not over,
                "known": "afterwards" if afterwards else "before",
                "in_split": one.column in rule_columns(schema.split or {}),
                "words": _told(one, afterwards),
                **{name: value for name, value in asdict(one).items() if name != "auc"},
            }
        )
    return rules


def _told(one: Giveaway, afterwards: bool) -> str:
    if one.auc is None:
        return f"column '{one.column}': not enough rows of both classes to tell"
    by_order = one.by_order is not None and one.by_order == one.auc
    how = "by its order" if by_order else "by the label's mean of each value"
    error = f" +- {one.error:.1g}" if by_order and one.error else ""
    mark = "; it is marked known afterwards, so that no model may read it" if afterwards else ""
    return f"column '{one.column}' alone tells {one.positive} with an AUC of {one.auc:.4f}{error}, {how}{mark}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 5 else f"all of {len(names)} columns"


def _refuse_missing(work: Work, schema: TableSchema, names: Sequence[str]) -> None:
    missing = [name for name in dict.fromkeys(names) if name not in schema.arrow.names]
    if missing:
        told = [f"{work.step}: there is no column '{name}'.{nearest(name, schema.arrow.names)}" for name in missing]
        raise DataError("\n".join(told))
