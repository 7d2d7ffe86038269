"""A plain function of the user's as a step: its table parameters are edges, what it returns is a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from raypipe.code.recorded import UserCode
from raypipe.core.artifact import Json, Table
from raypipe.core.errors import DataError, Problem
from raypipe.core.step import Columns, Made, Work

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.core.store import Store
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.table import TableSchema


@dataclass(frozen=True)
class FunctionStep:
    """Calls the function in a Ray task with its tables whole in memory. What the tables' contracts marked stays marked, by name."""

    target: str
    """Import path of the function."""
    settings: Mapping[str, Any]
    """Its arguments that are no tables."""
    edges: Mapping[str, str]
    """Parameter -> its annotation (`pa.Table`, `ray.data.Dataset`)."""
    recorded: Json
    """Its source closure; None for installed code."""

    def check(self, where: str, **inputs: Columns | None) -> list[Problem]:
        others = [name for name, annotation in self.edges.items() if "pyarrow" not in annotation]
        what = (
            f"a function step takes whole Arrow tables in this version: annotate it pa.Table, not {{}}; {self.target} is called with them."
        )
        return [Problem(f"{where}.{name}", what.format(self.edges[name].rpartition(".")[2])) for name in others]

    def columns(self, **inputs: Columns) -> Columns:
        marked = frozenset().union(*(i.known_afterwards for i in inputs.values()))
        label = next((i.label for i in inputs.values() if i.label), None)
        return Columns(None, {}, marked, label)

    def run(self, work: Work, **inputs: Table) -> Made[Table]:
        from raypipe.data.map import map_fragments
        from raypipe.data.rows import gather
        from raypipe.data.table import TableSchema, fragments, made

        schemas = {name: TableSchema.from_json(table.schema) for name, table in inputs.items()}
        parts = {name: fragments(work.ledger, table) for name, table in inputs.items()}
        tables = {name: _Part(schemas[name].arrow, parts[name]) for name in inputs}
        call = _Call(self.target, self.recorded, dict(self.settings), work.store, work.path)
        written = gather(map_fragments(call, [tables], inline=work.inline)[0])
        schema = _after(self.target, list(schemas.values()), written.schema)
        return made(work, f"{work.pipeline}.{work.step}", schema, written.fragments, mode="overwrite")


@dataclass(frozen=True)
class _Part:
    """One table as it travels to the task."""

    schema: pa.Schema
    fragments: list[Fragment]


@dataclass(frozen=True)
class _Call:
    """Reads the tables, calls the function, writes what it returns. It travels to a task with the function's source."""

    target: str
    recorded: Json
    settings: dict[str, Any]
    store: Store
    path: str

    def __call__(self, tables: Mapping[str, _Part]) -> list[tuple[Fragment, pa.Schema, Json]]:
        import pyarrow as pa

        from raypipe.data.rows import write_rows
        from raypipe.data.table import read_fragments

        function = UserCode(self.target, {}, self.recorded).load()
        result = function(
            **{name: read_fragments(self.store, part.fragments, part.schema) for name, part in tables.items()}, **self.settings
        )
        if not isinstance(result, pa.Table):
            raise DataError(f"function {self.target} returned {type(result).__name__}, expected a pyarrow.Table")
        return [(f, result.schema, None) for f in write_rows(self.store, self.path, result)]


def _after(target: str, inputs: list[TableSchema], arrow: pa.Schema) -> TableSchema:
    """What travels on: the split rule, the label and the marks of columns that are still there by name."""
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
