"""MapBatches: a function of the user's over a table, batch by batch, in the manner of Ray Data's `map_batches`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from raypipe.code.called import forms, problems_of
from raypipe.code.recorded import UserCode
from raypipe.core.artifact import Json, Table
from raypipe.core.errors import Problem, nearest
from raypipe.core.explain import WRITE, Part, Pass, some
from raypipe.core.form import ROW_FORMS
from raypipe.core.step import NO_IDENTITY, Columns, Function, Made, Ref, Work
from raypipe.steps.onward import columns_onward, onward

if TYPE_CHECKING:
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.function.batches import Batches
    from raypipe.data.rows import Written


@dataclass(frozen=True)
class MapBatches:
    """The function's rows for the table's, a fragment for each fragment, so that after an append only what is new is computed.

    The annotation of the function's first parameter says what a batch is: `pa.Table`, `dict[str, np.ndarray]`, `pd.DataFrame`,
    `pl.DataFrame` or `pl.LazyFrame`. A class is built once a worker process, with its settings, and called with each batch.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("pyarrow",)
    figures: ClassVar[tuple[str, ...]] = ("rows_in", "deterministic", "fragments_computed", "rows_computed")

    function: Function
    """A function of a batch, or a class whose objects are called with one."""
    table: Ref[Table] = Ref("source")
    """The step whose table is worked on."""
    takes: list[str] | None = None
    """The columns that the function gets; by default all. With `rows: same` the others go round it, with `rows: any` they are not read."""
    rows: Literal["same", "any"] = "same"
    """Whether it gives a row for each row, in order, or may drop and add rows."""
    batch_rows: int | None = None
    """Rows of a batch; by default a whole fragment, and of a large one a row group (131,072 rows)."""
    num_cpus: float = field(default=1, metadata=NO_IDENTITY)
    """CPUs of each worker."""
    num_gpus: float = field(default=0, metadata=NO_IDENTITY)
    """GPUs of each worker."""
    concurrency: int | None = field(default=None, metadata=NO_IDENTITY)
    """Workers at once, at most; by default as many as the cluster has room for."""

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        found = problems_of(f"{where}.function", self._code, ROW_FORMS)
        if self.batch_rows is not None and self.batch_rows < 1:
            found.append(Problem(f"{where}.batch_rows", f"found {self.batch_rows}, expected at least 1."))
        if self.concurrency is not None and self.concurrency < 1:
            found.append(Problem(f"{where}.concurrency", f"found {self.concurrency}, expected at least 1."))
        for name, number in (("num_cpus", self.num_cpus), ("num_gpus", self.num_gpus)):
            if not 0 <= number < float("inf"):
                found.append(Problem(f"{where}.{name}", f"found {number:g}, expected 0 or more."))
        names = table.names if table else None
        missing = [c for c in self.takes or () if names is not None and c not in names]
        return found + [Problem(f"{where}.takes", f"there is no column '{c}' in '{self.table}'.{nearest(c, names or ())}") for c in missing]

    def columns(self, table: Columns) -> Columns:
        return columns_onward([table])

    def explain(self, table: Columns) -> list[Pass]:
        takes, gives = forms(self._code)
        names = self.takes or table.names
        read = "all columns" if names is None or self.rows == "same" else some(names, "")
        called = Part(self._code.target, "Python", f"gets {some(names, 'all columns')} as {takes}, gives {gives}", cuts=True)
        around = "all but those" if self.takes and self.rows == "same" else ""
        return [Pass("every row", (Part("read", "Arrow", f"{read}; page checksums verified"), called, WRITE), around)]

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.increment import increment
        from raypipe.data.map import Workers
        from raypipe.data.table import TableSchema

        schema = TableSchema.from_json(table.schema)
        stay = self._code.shape is not None and self._code.shape.kind == "class"
        on = Workers(self.num_cpus, self.num_gpus, self.concurrency, stay, waits=True)  # for all that is known of the function
        new = increment(work, table)
        if str(new):
            work.report(str(new))
        before = TableSchema.from_json(new.earlier.schema).arrow if new.earlier else None

        def compute(parts: list[Fragment]) -> Written:
            written = self._batches().over(work, parts, on, before)
            for line in told(self._code.target, written.notes):
                work.report(line)
            return written

        whole = new.whole(compute)
        after = onward(self._code.target, [schema], whole.schema)
        figures = {"rows_in": sum(note["rows"] for note in whole.notes), "deterministic": not any("unsteady" in n for n in whole.notes)}
        return whole.made(work, f"{work.pipeline}.{work.step}", after, figures)

    @property
    def _code(self) -> UserCode:
        assert isinstance(self.function, UserCode)
        return self.function

    def _batches(self) -> Batches:
        from raypipe.data.function.batches import Batches
        from raypipe.data.function.callee import Code

        takes, gives = forms(self._code)
        assert takes is not None, "checked"
        assert gives is not None, "checked"
        code = Code(self._code, takes, gives)
        return Batches(code, self.rows, self.takes, self.batch_rows)


def told(target: str, notes: list[Json]) -> list[str]:
    """What a person should know of the calls, one line each."""
    lines = [
        f"{target} is not deterministic: for the same rows {note['unsteady']}. What is kept is what came out; computed anew it is "
        "another table, and everything behind it is computed anew too"
        for note in notes
        if "unsteady" in note
    ]
    printed = [note["printed"] for note in notes if "printed" in note]
    return lines[:1] + ([f"{target} printed {printed[0]}"] if printed else [])
