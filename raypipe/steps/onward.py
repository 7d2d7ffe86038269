"""What travels on from the tables that a function of the user's reads: the split rule, the label and the marks of columns still there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from raypipe.core.errors import DataError
from raypipe.core.step import Columns

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.data.table import TableSchema


def columns_onward(inputs: Sequence[Columns]) -> Columns:
    """What is known of the columns before it runs: marks and the label, by name."""
    marked = frozenset().union(*(i.known_afterwards for i in inputs))
    label = next((i.label for i in inputs if i.label), None)
    return Columns(None, {}, marked, label)


def onward(target: str, inputs: Sequence[TableSchema], arrow: pa.Schema) -> TableSchema:
    """The schema of what it made. DataError where it joins tables of unlike splits, or drops a column that tells the part of a row."""
    from raypipe.data.split import columns
    from raypipe.data.table import TableSchema

    rules = [s.split for s in inputs if s.split is not None]
    if any(rule != rules[0] for rule in rules):
        raise DataError(f"function {target} joins tables that are split by different rules; split once, before they part.")
    rule = rules[0] if rules else None
    lost = [c for c in (columns(rule) if rule else ()) if c not in arrow.names]
    if lost:
        raise DataError(f"function {target} drops the column '{lost[0]}', by which the rows are split into parts; let it keep the column.")
    marked = tuple(sorted({c for s in inputs for c in s.known_afterwards if c in arrow.names}))
    label = next((s.label for s in inputs if s.label in arrow.names), None)
    return replace(TableSchema(arrow), known_afterwards=marked, split=rule, label=label)
