"""Altering a table: other columns from the next snapshot on, without a file being written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from raypipe.core.artifact import Table
from raypipe.core.errors import DataError
from raypipe.core.step import Made, Work
from raypipe.data.fragment.conform import bare_schema
from raypipe.data.lake import layouts, schemas
from raypipe.data.lake.current import Current, change_made, operation, require
from raypipe.data.lake.evolve import Alter, Evolution, altered, layout_problems
from raypipe.data.table import TableSchema


def alter(work: Work, name: str, change: Alter) -> Made[Table]:
    """The table with its columns changed; rows written before have them as `change` says. Earlier snapshots stay as they were.

    DataError with everything that cannot be done: by the rules of evolution, or since the table is partitioned, sorted, split or labelled
    by a column that would go. Figures: `changes`, a line each.
    """
    now = require(work.ledger, name)
    with work.ledger.reading() as connection:
        columns, layout = schemas.of(connection, now.snapshot), layouts.of(connection, now.snapshot)
    evolution = altered(columns, change)
    if not evolution.did:
        raise DataError(f"table {name}: nothing is to change: say add, widen, rename, drop or order")
    if told := [*layout_problems(layout, evolution), *_meaning_problems(now, change)]:
        raise DataError("\n".join(f"table {name}: {line}" for line in told))
    for line in evolution.did:
        work.report(line)
    what = {
        "numbered": evolution.after,
        "alters": True,
        "layout": layout.renamed(evolution.renamed),
        "exact": True,
        "digests": [operation("evolve", list(evolution.did))],
    }
    return change_made(work, name, "evolve", now, _schema(now.schema, evolution), {"changes": list(evolution.did)}, **what)


def _meaning_problems(now: Current, change: Alter) -> Iterator[str]:
    from raypipe.data.split import columns as rule_columns

    rule = rule_columns(now.schema.split) if now.schema.split else []
    for name in rule:
        if name in change.drop or name in change.rename:
            yield f"column {name!r}: the table's split rule is about it, so that it keeps its name; put the Split step behind this one"
    if now.schema.label in change.drop:
        yield f"column {now.schema.label!r}: it is the table's label, and cannot be dropped"


def _schema(schema: TableSchema, evolution: Evolution) -> TableSchema:
    """What is known of the table, by the new names."""
    names = dict(evolution.renamed)
    arrow = bare_schema(evolution.after)
    known = tuple(name for old in schema.known_afterwards if (name := names.get(old, old)) in arrow.names)
    features = None if schema.features is None else tuple(n for old in schema.features if (n := names.get(old, old)) in arrow.names)
    label = None if schema.label is None else names.get(schema.label, schema.label)
    return replace(schema, arrow=arrow, known_afterwards=known, label=label, features=features)
