"""Evaluate: the candidate's figures on the whole test part, overall and by slice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from raypipe.core.artifact import Evaluation, Json, Model, Table
from raypipe.core.errors import DataError, Problem, nearest
from raypipe.core.step import Columns, Made, Ref, Work
from raypipe.evaluate.figure import FIGURES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from raypipe.bundle.bundle import Bundle
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.evaluate.slices import Sliced


@dataclass(frozen=True)
class Evaluate:
    """Scores every row of the test part once, fragment by fragment; memory is bounded by a fragment."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("numpy",)
    figures: ClassVar[tuple[str, ...]] = (*FIGURES, "slices", "model", "of_rows")

    table: Ref[Table] = Ref("transform")
    """The step whose table holds the features, the label and the columns of the slices."""
    model: Ref[Model] = Ref("train")
    """The step whose model is scored."""
    slices: list[str] = field(default_factory=list)
    """Columns by whose values the figures are given again."""
    min_rows: int = 100
    """A slice with fewer rows is listed without figures."""

    def check(self, where: str, table: Columns | None = None, model: Columns | None = None) -> list[Problem]:
        if table is None or table.names is None:
            return []
        missing = [c for c in self.slices if c not in table.names]
        return [Problem(f"{where}.slices", f"there is no column '{c}' in '{self.table}'.{nearest(c, table.names)}") for c in missing]

    def run(self, work: Work, table: Table, model: Model) -> Made[Evaluation]:
        figures = score(work, model, table, self.slices, self.min_rows, transformed=True)
        work.report(f"AUC {figures['auc']:.3f} on {figures['rows']:,} rows" if figures["auc"] is not None else f"{figures['rows']:,} rows")
        figures |= {"model": model.digest, "of_rows": table.figures.get("of_rows", table.digest)}
        digest = hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()
        return Made(digest, figures=figures)


def score(work: Work, model: Model, table: Table, slices: Sequence[str], min_rows: int, *, transformed: bool) -> dict[str, Json]:
    """The figures of a model on the test part of a table: of features, or (`transformed=False`) of rows as a request would bring them."""
    from raypipe.bundle.bundle import load
    from raypipe.data.map import map_fragments
    from raypipe.data.table import TableSchema, fragments
    from raypipe.evaluate.slices import Sliced

    schema = TableSchema.from_json(table.schema)
    bundle = load(work.store, model)
    missing = [c for c in slices if c not in schema.arrow.names]
    if missing:
        raise DataError(f"{work.step}: there is no column '{missing[0]}' to slice by.{nearest(missing[0], schema.arrow.names)}")
    kernel = _Score(work.store, model, tuple(slices), schema.split, transformed)
    states = map_fragments(kernel, fragments(work.ledger, table), inline=work.inline)
    figures = Sliced.merge([s for s in states if s is not None]).figures(bundle.threshold, min_rows=min_rows)
    if not figures["rows"]:
        raise DataError(f"{work.step}: the test part has no rows.")
    return dict(figures)


def evaluated(ledger: Ledger, model: Model, table: Table) -> Mapping[str, Json] | None:
    """The figures of a model on the test part of these rows, where the ledger has them."""
    found = [a for a in ledger.children(model.id, "Evaluation") if a.figures.get("of_rows") == table.digest]
    return found[-1].figures if found else None


def is_positive(label: pa.ChunkedArray, bundle: Bundle) -> np.ndarray:
    """bool [rows]: whether the label is the positive class."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.equal(label.cast(pa.string()), bundle.signature.positive).to_numpy()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Score:
    """A fragment -> the state of its test rows; None where it has none."""

    store: Store
    model: Model
    slices: tuple[str, ...]
    split: Json
    transformed: bool

    def __call__(self, fragment: Fragment) -> Sliced | None:
        from raypipe.bundle.bundle import load
        from raypipe.data.fragment.fragment import read_fragment
        from raypipe.data.reconcile import reconciled
        from raypipe.data.split import columns, mask
        from raypipe.evaluate.slices import Sliced

        parts = read_fragment(self.store, fragment, list(columns(self.split)))
        test = mask(self.split, parts, "test")
        if not test.true_count:
            return None
        bundle = load(self.store, self.model)
        inputs = bundle.signature.features if self.transformed else bundle.inputs.names
        wanted = list(dict.fromkeys([*inputs, bundle.signature.label, *self.slices]))
        rows = read_fragment(self.store, fragment, wanted).filter(test)
        features = rows if self.transformed else bundle.transform(rows)
        label, scores = is_positive(rows.column(bundle.signature.label), bundle), bundle.score(features)
        reconciled(fragment.path, test.true_count, len(scores))
        return Sliced.partial(rows, label, scores, self.slices)
