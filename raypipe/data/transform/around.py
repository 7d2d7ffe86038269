"""A fitted chain over a whole table: the engine gets the columns that entries touch, all others go round it as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.contract.contract import Contract
from raypipe.data.transform.chain import FittedChain
from raypipe.data.transform.entry import Entry


@dataclass(frozen=True)
class Around:
    """What a chain makes of the columns that it touches, put among those that it does not."""

    chain: FittedChain
    """Over the touched columns alone."""
    features: tuple[str, ...]
    """All of them, in order."""
    is_whole: bool
    """Whether it touches all: a function of the user's gets every column that reaches it."""

    @classmethod
    def of(cls, chain: FittedChain) -> Around:
        reads = touched(chain.entries)
        if reads is None:
            return cls(chain, tuple(chain.features.names), True)
        inputs = pa.schema([field for field in chain.inputs if field.name in reads])
        return cls(FittedChain(chain.entries, chain.fitted, inputs), tuple(chain.features.names), False)

    def passes(self, schema: pa.Schema) -> list[str]:
        """The columns of text that are only passed on."""
        inputs = self.chain.inputs.names
        return [] if self.is_whole else [f.name for f in schema if pa.types.is_string(f.type) and f.name not in inputs]

    def apply(self, rows: pa.Table, split: Json = None) -> pa.Table:
        """The features, then the other columns. DataError where the chain changes a column by which the rows are split."""
        made = self.chain.apply(rows) if self.chain.inputs.names else rows.select([])
        _refuse_moved(split, rows, made)
        names = [*self.features, *(name for name in rows.column_names if name not in self.features)]
        found = {name: made if name in made.column_names else rows for name in names}
        schema = pa.schema([table.schema.field(name) for name, table in found.items()])
        return pa.Table.from_arrays([table.column(name) for name, table in found.items()], schema=schema)


def touched(entries: Mapping[str, Entry]) -> set[str] | None:
    """The columns whose values entries look at; None: all."""
    reads = [entry.reads() for entry in entries.values()]
    return None if None in reads else {name for names in reads for name in names or ()}


def fitted_to(contract: Contract, rows: pa.Table, coded: Collection[str]) -> pa.Table:
    """The rows as the contract has their columns; text that comes as codes stays so, where the contract says text."""
    held = {name: rows.column(name) for name in coded if pa.types.is_dictionary(rows.schema.field(name).type)}
    bare = rows
    for name, column in held.items():
        bare = bare.set_column(bare.column_names.index(name), name, pa.nulls(len(column), pa.string()))
    fitted = contract.fit(bare)
    for name, column in held.items():
        type_ = fitted.schema.field(name).type
        fitted = fitted.set_column(fitted.column_names.index(name), name, column if pa.types.is_string(type_) else column.cast(type_))
    return fitted


def as_text(schema: pa.Schema, coded: Collection[str]) -> pa.Schema:
    """The columns as they are told and written."""
    return pa.schema([f.with_type(f.type.value_type) if f.name in coded and pa.types.is_dictionary(f.type) else f for f in schema])


def _refuse_moved(split: Json, rows: pa.Table, made: pa.Table) -> None:
    """A row's part is told by columns of the split, here and behind: changed ones would put rows of one part into another."""
    from raypipe.data.split import columns

    for name in columns(split) if split else ():
        if name in made.column_names and not _is_same(made.column(name), rows.column(name)):
            raise DataError(
                f"the transform changes column '{name}', by which the rows are split into parts: from here on a row of one part would be "
                "taken for one of another. Split by another column, or let a function copy it first and transform the copy."
            )


def _is_same(made: pa.ChunkedArray, before: pa.ChunkedArray) -> bool:
    try:
        return made.equals(before) or (made.type != before.type and made.cast(before.type).equals(before))
    except pa.ArrowException:
        return False
