"""Predict: a model's answer to every row of a table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from raypipe.core.artifact import Json, Model, Table
from raypipe.core.errors import Problem, nearest
from raypipe.core.step import Columns, Made, Ref, Work

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.core.store import Store


@dataclass(frozen=True)
class Predict:
    """A table of the columns to keep, then `prediction` (class name) and `probability` (of the positive class)."""

    revision: ClassVar[int] = 1
    figures: ClassVar[tuple[str, ...]] = ("model",)

    table: Ref[Table] = Ref("split")
    """The step whose rows are predicted: rows as they are before the transform."""
    model: Ref[Model] = Ref("train")
    """The step whose model answers."""
    keep: list[str] = field(default_factory=list)
    """Columns of the rows that stand beside the answer."""

    def check(self, where: str, table: Columns | None = None, model: Columns | None = None) -> list[Problem]:
        if table is None or table.names is None:
            return []
        return [
            Problem(f"{where}.keep", f"there is no column '{c}' in '{self.table}'.{nearest(c, table.names)}")
            for c in self.keep
            if c not in table.names
        ]

    def columns(self, table: Columns, model: Columns | None = None) -> Columns:
        return Columns((*self.keep, "prediction", "probability"), {"prediction": "string", "probability": "double"})

    def run(self, work: Work, table: Table, model: Model) -> Made[Table]:
        from raypipe.data.rows import map_rows
        from raypipe.data.table import TableSchema, fragments, made

        written = map_rows(work, _Answer(work.store, model, tuple(self.keep)), fragments(work.ledger, table))
        schema = replace(TableSchema(written.schema), known_afterwards=())
        return made(work, f"{work.pipeline}.{work.step}", schema, written.fragments, mode="overwrite", figures={"model": model.digest})


@dataclass(frozen=True)
class _Answer:
    """Rows -> the kept columns and the answers."""

    store: Store
    model: Model
    keep: tuple[str, ...]

    def __call__(self, rows: pa.Table) -> tuple[pa.Table, Json]:
        from raypipe.bundle.bundle import load

        answers = load(self.store, self.model).predict(rows)
        kept = rows.select(list(self.keep))
        for name in answers.column_names:
            kept = kept.append_column(name, answers.column(name))
        return kept, None
