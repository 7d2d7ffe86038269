"""A plain function of the user's as a step: its table parameters are edges, what it returns is a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raypipe.code.recorded import UserCode
from raypipe.core.artifact import Json, Table
from raypipe.core.errors import DataError, Problem
from raypipe.core.explain import WRITE, Part, Pass, some
from raypipe.core.form import WRITTEN, Form, expected, form_of
from raypipe.core.step import Columns, Made, Work
from raypipe.steps.onward import columns_onward, onward

if TYPE_CHECKING:
    from raypipe.data.function.callee import Code
    from raypipe.data.rows import Written


@dataclass(frozen=True)
class FunctionStep:
    """Calls the function once with its tables, each as its annotation says. What their contracts marked stays marked, by name.

    Tables in memory and iterators of pieces: in one Ray task. Datasets of Ray's: in the driver, which starts what they ask for.
    """

    target: str
    """Import path of the function."""
    settings: Mapping[str, Any]
    """Its arguments that are no tables."""
    edges: Mapping[str, str]
    """Parameter -> its annotation."""
    recorded: Json
    """Its source closure; None for installed code."""
    returns: str = ""
    """The annotation of what it returns; empty: the same as its first table."""

    def check(self, where: str, **inputs: Columns | None) -> list[Problem]:
        words = [(f"{where}.{name}", f"takes '{name}' as", annotation) for name, annotation in self.edges.items()]
        words += [(where, "returns", self.returns)] if self.returns else []
        found = [
            Problem(place, f"{self.target} {word} {annotation}; a function that is a step takes and returns one of: {expected(WRITTEN)}.")
            for place, word, annotation in words
            if form_of(annotation) is None
        ]
        if not found and self._is_of_datasets and self._gives.kind != "dataset":
            found.append(
                Problem(
                    where,
                    f"{self.target} takes a ray.data.Dataset and returns {self._gives}: return the Dataset, which is written by tasks.",
                )
            )
        if not found and not self._is_of_datasets and self._gives.kind == "dataset":
            found.append(
                Problem(where, f"{self.target} returns a ray.data.Dataset and takes none: rows come to it by an edge, or by a source.")
            )
        if self._is_of_datasets and any(form.streamed for form in self._forms.values()):
            found.append(
                Problem(where, f"{self.target} takes a Dataset and an iterator: the one runs on the cluster, the other in one task.")
            )
        return found

    def columns(self, **inputs: Columns) -> Columns:
        return columns_onward(list(inputs.values()))

    def explain(self, **inputs: Columns) -> list[Pass]:
        gets = ", ".join(f"{name} as {form}" for name, form in self._forms.items())
        how = "in the driver, its tasks by Ray Data" if self._is_of_datasets else "once, in one task"
        called = Part(self.target, "Python", f"gets {gets}, gives {self._gives}; called {how}", cuts=True)
        reads = "; ".join(f"{name}: {some(found.names, 'all columns')}" for name, found in inputs.items())
        parts = (Part("read", "Arrow", f"{reads}; page checksums verified"), called, WRITE)
        return [Pass("whole tables" if not any(form.streamed for form in self._forms.values()) else "row groups, one after another", parts)]

    def run(self, work: Work, **inputs: Table) -> Made[Table]:
        from raypipe.data.function.whole import Given
        from raypipe.data.table import TableSchema, fragments, made

        schemas = {name: TableSchema.from_json(table.schema) for name, table in inputs.items()}
        tables = {n: Given(schemas[n].arrow, fragments(work.ledger, table), self._forms[n]) for n, table in inputs.items()}
        written = self._called(work, tables)
        after = onward(self.target, list(schemas.values()), written.schema)
        figures = {"rows_in": {name: table.num_rows for name, table in inputs.items()}}
        return made(work, f"{work.pipeline}.{work.step}", after, written.fragments, mode="overwrite", figures=figures)

    def _called(self, work: Work, tables: Mapping[str, Any]) -> Written:
        from raypipe.data.function import dataset, whole

        if self._is_of_datasets:
            if work.inline:
                raise DataError(
                    f"step '{work.step}': {self.target} is a function of Datasets of Ray's, and cluster=debug has no Ray: use cluster=local"
                )
            return dataset.call(work, self._code(), tables)
        written, printed = whole.call(work, self._code(), tables)
        if printed:
            work.report(f"{self.target} printed {printed}")
        return written

    def _code(self) -> Code:
        from raypipe.data.function.callee import Code

        return Code(UserCode(self.target, dict(self.settings), self.recorded), gives=self._gives)

    @property
    def _forms(self) -> dict[str, Form]:
        return {name: form for name, annotation in self.edges.items() if (form := form_of(annotation))}

    @property
    def _gives(self) -> Form:
        form = form_of(self.returns) if self.returns else next(iter(self._forms.values()), Form("arrow"))
        assert form is not None, "checked"
        return form

    @property
    def _is_of_datasets(self) -> bool:
        return any(form.kind == "dataset" for form in self._forms.values())
